"""The audit finds what was planted, and finds nothing in what is clean."""

import json
import math
import random

import numpy as np
import pytest

from tristance.data.actors import Actors
from tristance.data.errors import UserError
from tristance.data.records import Record
from tristance.train.audit import TOGETHER, audit, growth, learning_curve, log_odds, shortcuts, tokens
from tristance.train.audit_report import write_audit
from tristance.train.repeats import alike, overlap, repeats, skeleton

ACTORS = Actors.load()
RELATED = ("favor", "against", "neutral")
WORDS = [a + b + c for a in ("bar", "lom", "tis", "ked", "von") for b in "aeiou" for c in ("ran", "mel", "dop", "sit")]


def sentences(count, seed, plant=None, name="r"):
    """Random words about Russia, labelled at random; `plant(stance, draw)` gives fields that go with the label."""
    draw = random.Random(seed)
    for number in range(count):
        stance = draw.choice(RELATED)
        fields = {
            "genre": draw.choice(["wire", "letter"]),
            "topic": draw.choice("abcdef"),
            "group": f"{name}{number // 4}",
        }
        words = draw.choices(WORDS, k=draw.randint(8, 30))
        fields |= plant(stance, draw) if plant else {}
        words[3] = fields.pop("word", words[3])
        labels = {"west": "unrelated", "russia": stance, "north_korea": "unrelated"}
        text = " ".join([words[0].capitalize(), *words[1:], "in Moscow."])
        yield Record(f"{name}{number}", text, labels, fields=fields, file=name, line=number + 1)


def by_topic(stance, draw):
    return {"topic": stance if draw.random() < 0.4 else draw.choice(RELATED)}


def test_a_clean_corpus_passes():
    notes = []
    found = shortcuts(list(sentences(900, 1)), ACTORS, notes)
    assert all(each["passed"] for each in found["russia"]["properties"].values())
    assert set(found["russia"]["properties"]) == {"genre", "topic", "length", "first word", "actors", TOGETHER}
    assert notes == [
        "no sentence has the field voice: not audited",
        "west: too few sentences that refer to it: shortcuts not audited",
        "north_korea: too few sentences that refer to it: shortcuts not audited",
    ]


def test_a_planted_shortcut_is_caught_and_no_other():
    found = shortcuts(list(sentences(900, 1, by_topic)), ACTORS, [])["russia"]
    assert found["n"] == 900
    failed = {name for name, each in found["properties"].items() if not each["passed"]}
    assert failed == {"topic", TOGETHER}
    topic = found["properties"]["topic"]
    assert topic["gain"] == pytest.approx(100 * (topic["accuracy"] - found["majority"]["share"]), abs=0.01)
    assert topic["gain"] > 15


def test_documents_stay_on_one_side():
    """A topic for each document tells its sentences' stance by heart, which is no shortcut to any other document."""

    def plant(records):
        return [
            Record(r.id, r.text, {"russia": RELATED[int(r.group[1:]) % 3]}, fields={**r.fields, "topic": r.group})
            for r in records
        ]

    records = plant(sentences(600, 2))
    assert shortcuts(records, ACTORS, [])["russia"]["properties"]["topic"]["passed"]
    loose = [Record(r.id, r.text, r.stance, fields={"topic": r.fields["topic"]}) for r in records]
    assert not shortcuts(loose, ACTORS, [])["russia"]["properties"]["topic"]["passed"]


def test_log_odds_by_hand():
    counts, prior = np.array([[8, 2], [2, 8]]), np.array([1.0, 1.0])
    # In class 0: 9 against 3, outside 3 against 9; variance 1/9 + 1/3.
    expected = (math.log(9 / 3) - math.log(3 / 9)) / math.sqrt(1 / 9 + 1 / 3)
    assert log_odds(counts, prior) == pytest.approx(np.array([[expected, -expected], [-expected, expected]]))
    assert log_odds(np.array([[5, 5], [5, 5]]), prior) == pytest.approx(0)


def test_the_strongest_token_is_the_planted_one():
    def plant(stance, draw):
        return {"word": "frobnicated"} if stance == "against" and draw.random() < 0.5 else {}

    found = tokens(list(sentences(600, 3, plant)), ACTORS)["russia"]
    assert found["against"][0]["token"] == "frobnicated"
    assert found["against"][0]["share"] == 1
    assert list(found) == ["favor", "against", "neutral"]


def test_skeletons():
    assert skeleton("The Kremlin said Angela Dorn paid 1,200 roubles.", ACTORS) == "The mask said mask paid 0 roubles."
    assert skeleton("Kim Jong Un’s envoy met I. and others in 2019", ACTORS) == "mask’s envoy met I. and others in 0"
    assert skeleton("Snow fell, Ivar said.", ACTORS) == "Snow fell, mask said."


ONE = "In the spring of 2015 the mayor of Tver told reporters that Moscow would never again pay for the broken bridge"
MASKED = (
    "In the spring of 2021 the mayor of Gdansk told reporters that Warsaw would never again pay for the broken bridge"
)


def test_planted_repeats_are_found_within_and_across():
    splits = {"train": list(sentences(150, 4, name="t")), "test": list(sentences(100, 5, name="v"))}
    clean = repeats(splits, ACTORS)
    assert clean["sentences"]["passed"]
    assert clean["skeletons"]["passed"]

    splits["train"] += [Record("x", ONE), Record("p", "Paired " + ONE, fields={"pair": "1"})]
    splits["train"] += [Record("q", "Paired " + ONE + " now", fields={"pair": "1"})]
    splits["test"] += [Record("y", MASKED)]
    found = repeats(splits, ACTORS)
    assert found["sentences"]["across"] == 0
    assert found["sentences"]["within"]["train"]["count"] == 3
    assert found["skeletons"]["across"] == 3
    assert not found["skeletons"]["passed"]
    assert found["skeletons"]["examples"][0]["sentences"][1] == {"file": "test", "id": "y", "text": MASKED}
    assert found["skeletons"]["examples"][0]["score"] == 1

    twins = [Record("p", ONE, fields={"pair": "1"}), Record("q", ONE + " now", fields={"pair": "1"})]
    splits["train"] = [*splits["train"][:150], *twins]
    assert repeats(splits, ACTORS)["sentences"]["within"]["train"]["count"] == 0, "twins are alike by design"


def test_copies_by_the_thousand_stay_cheap():
    texts = [ONE, ONE + " now"] * 500
    links = list(alike(texts, ["a"] * 1000))
    assert len(links) < 3000
    assert {place for link in links for place in link[:2]} == set(range(1000))


def test_overlap():
    train = [*sentences(50, 6, name="t"), Record("x", ONE)]
    other = [Record("a", ONE.upper() + "!"), Record("b", ONE + " today"), Record("c", MASKED)]
    found = overlap({"train": train}, {"real": other, "none": list(sentences(20, 7))})
    assert (found["real"]["exact"], found["real"]["near"], found["real"]["passed"]) == (1, 1, False)
    assert (found["none"]["exact"], found["none"]["near"], found["none"]["passed"]) == (0, 0, True)
    assert found["real"]["examples"][0]["sentences"][0]["id"] == "x"


def test_growth():
    fresh = growth([f"w{''.join(chr(97 + int(digit)) for digit in str(number))}" for number in range(1000)])
    assert len(fresh["points"]) == 20
    assert fresh["points"][-1] == {"tokens": 1000, "types": 1000}
    assert fresh["exponent"] == pytest.approx(1)
    assert growth(["the same words"] * 100)["exponent"] == 0
    assert growth(["word"])["exponent"] is None


def test_a_learning_curve_rises_where_there_is_something_to_learn():
    def plant(stance, draw):
        return {"word": f"{stance}{draw.randrange(40)}"}

    train, test = list(sentences(640, 8, plant)), list(sentences(100, 9, plant))
    points = learning_curve(train, ("test", test), ACTORS, [])["points"]
    assert [point["sentences"] for point in points] == [40, 80, 160, 320, 640]
    assert points[-1]["F_avg"]["russia"] > points[0]["F_avg"]["russia"] + 0.1


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    for name, records in (("train", sentences(200, 1, by_topic)), ("validation", sentences(60, 2, name="v"))):
        rows = (json.dumps(record.as_dict()) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder


def test_command_prints_and_writes(files, cli, tmp_path):
    train, validation = files / "train.jsonl", files / "validation.jsonl"
    done = cli("audit", train, validation, "--against", validation, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    for words in ("note: no sentence has the field voice", "over 6", "60 the same", "tfidf, 200 sentences", "lexicon"):
        assert words in done.out
    found = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert found["curve"]["test"] == str(validation)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("audit.json", "shortcuts.svg", "tokens.svg", "growth.svg", "curve.svg"),
    }
    again = write_audit(found, tmp_path / "again")
    assert all(path.read_bytes() == (tmp_path / "out" / path.name).read_bytes() for path in again)


def test_command_without_a_test_says_so(files, cli):
    done = cli("audit", files / "train.jsonl")
    assert done.code == 0, done.err
    assert "no learning curve" in done.out
    assert "tfidf" not in done.out
    assert "tfidf" in cli("audit", files / "train.jsonl", "--test", files / "validation.jsonl").out


def test_mistakes(files, cli, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"text": "It said so.", "stance": {"west": "hostile"}}\n')
    done = cli("audit", files / "train.jsonl", "--against", tmp_path / "bad.jsonl")
    assert (done.code, "stance.west" in done.err) == (2, True)
    assert cli("audit", tmp_path / "none.jsonl").code == 2
    with pytest.raises(UserError, match="no sentences"):
        audit({"a": []}, ACTORS)


def test_sentences_without_labels_are_audited_for_what_they_have(tmp_path, cli):
    (tmp_path / "a.jsonl").write_text('{"text": "It said so."}\n')
    (tmp_path / "validation.jsonl").write_text('{"text": "They said no."}\n')
    done = cli("audit", tmp_path / "a.jsonl", tmp_path / "validation.jsonl", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"audit.json", "growth.svg"}
