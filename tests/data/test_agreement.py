"""Agreement: counted by hand, and held against the packages that others trust."""

import json

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tristance.data.actors import Actors
from tristance.data.agreement import agreement, alpha, alpha_sums, kappa, read_annotations
from tristance.data.errors import DataError, UserError
from tristance.data.labels import SENTIMENTS, STANCES
from tristance.data.records import Record
from tristance.data.statistics import confusion_cells

ACTORS = Actors.load()
HELD = ("favor", "against")
# Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, section C: four observers, twelve units.
BOOK = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def row(name, west="unrelated", russia="unrelated", holder=None, sentiment="neutral"):
    stance = {"west": west, "russia": russia, "north_korea": "unrelated"}
    holder = {actor: (holder or "author") if label in HELD else "none" for actor, label in stance.items()}
    return {"id": name, "stance": stance, "holder": holder, "sentiment": sentiment}


def write(folder, **raters):
    folder.mkdir(exist_ok=True)
    for name, rows in raters.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return folder


@pytest.fixture
def random_raters(tmp_path):
    """Three raters who mostly agree; the third saw half of the sentences."""
    draw = np.random.default_rng(5)
    raters = {"writer": [], "a1": [], "a2": []}
    for number in range(300):
        west, russia, sentiment = draw.choice(STANCES), draw.choice(STANCES), draw.choice(SENTIMENTS)
        for name, rows in raters.items():
            if name == "a2" and number % 2:
                continue
            noisy = [
                draw.choice(labels) if draw.random() < 0.2 else kept
                for labels, kept in ((STANCES, west), (STANCES, russia))
            ]
            tone = draw.choice(SENTIMENTS) if draw.random() < 0.2 else sentiment
            rows.append(row(f"s{number}", *map(str, noisy), str(draw.choice(["author", "other", "west"])), str(tone)))
    return read_annotations(write(tmp_path / "annotations", **raters), ACTORS)


def codes(raters, labels, read):
    ids = list(dict.fromkeys(key for rows in raters.values() for key in rows))
    return np.array([[labels.index(read(rows[key])) if key in rows else -1 for key in ids] for rows in raters.values()])


def by_package(coded):
    return krippendorff.alpha(np.where(coded < 0, np.nan, coded), level_of_measurement="nominal")


def test_the_example_of_the_book():
    coded = np.array(
        [[-1 if cell == "." else int(cell) - 1 for cell in line.split()] for line in BOOK.split("\n") if line]
    )
    assert alpha(alpha_sums(coded, 5).sum(0)) == pytest.approx(0.743, abs=5e-4)
    assert alpha(alpha_sums(coded, 5).sum(0)) == pytest.approx(by_package(coded))


def test_by_hand():
    # Units aa, ab, bb: 4 of 6 values agree; chance agrees in 2 * 3 * 2 of 6 * 5 pairs.
    sums = alpha_sums(np.array([[0, 0, 1], [0, 1, 1]]), 2)
    assert sums.tolist() == [[2, 0, 2], [1, 1, 0], [0, 2, 2]]
    assert alpha(sums.sum(0)) == pytest.approx(1 - (1 / 3) / (1 - 12 / 30))
    # 20 yes-yes, 15 no-no, 5 and 10 apart: observed 0.7, expected 0.5.
    assert kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)


def test_undefined_where_nothing_varies():
    assert np.isnan(alpha(alpha_sums(np.array([[0, 0], [0, 0]]), 2).sum(0)))
    assert np.isnan(alpha(alpha_sums(np.array([[0, -1], [-1, 1]]), 2).sum(0)))
    assert np.isnan(kappa(np.array([[7, 0], [0, 0]])))
    assert np.isnan(kappa(np.zeros((2, 2))))


def test_stance_and_sentiment_as_the_package_has_them(random_raters):
    found = agreement(random_raters, ACTORS, resamples=0)["alpha"]
    west = codes(random_raters, STANCES, lambda each: each.stance["west"])
    russia = codes(random_raters, STANCES, lambda each: each.stance["russia"])
    korea = codes(random_raters, STANCES, lambda each: each.stance["north_korea"])
    tone = codes(random_raters, SENTIMENTS, lambda each: each.sentiment)
    assert found["stance"]["west"]["all"]["value"] == pytest.approx(by_package(west), abs=1e-6)
    assert found["stance"]["pooled"]["all"]["value"] == pytest.approx(
        by_package(np.hstack([west, russia, korea])), abs=1e-6
    )
    assert found["sentiment"]["sentence"]["all"]["value"] == pytest.approx(by_package(tone), abs=1e-6)
    related = ((west >= 0) & (west != STANCES.index("unrelated"))).any(0)
    assert 0 < related.sum() < len(related)
    assert found["stance"]["west"]["related"]["value"] == pytest.approx(by_package(west[:, related]), abs=1e-6)
    assert found["stance"]["west"]["related"]["rows"] == related.sum()
    assert found["stance"]["north_korea"]["all"]["value"] is None


def test_holder_over_every_scope(random_raters):
    holders = ("author", "other", "west", "russia", "north_korea", "none")
    found = agreement(random_raters, ACTORS, resamples=0)["alpha"]["holder"]["west"]
    coded = codes(random_raters, holders, lambda each: each.holder["west"])
    held = np.where(coded == 5, -1, coded)
    assert found["all"]["value"] == pytest.approx(by_package(coded), abs=1e-6)
    assert found["held"]["value"] == pytest.approx(by_package(held), abs=1e-6)
    assert found["held"]["rows"] == ((held >= 0).sum(0) > 1).sum() < found["related"]["rows"] < found["all"]["rows"]


def test_kappa_as_scikit_learn_has_it(random_raters):
    pairs = agreement(random_raters, ACTORS, resamples=0)["kappa"]
    assert [pair["raters"] for pair in pairs] == [["a1", "a2"], ["a1", "writer"], ["a2", "writer"]]
    assert [pair["sentences"] for pair in pairs] == [150, 300, 150]
    for pair in pairs:
        left, right = (random_raters[name] for name in pair["raters"])
        both = [key for key in left if key in right]
        for actor in ("west", "russia"):
            expected = cohen_kappa_score(*([side[key].stance[actor] for key in both] for side in (left, right)))
            assert pair["stance"][actor]["value"] == pytest.approx(expected, abs=1e-6)
        held = [key for key in both if "none" not in (left[key].holder["west"], right[key].holder["west"])]
        expected = cohen_kappa_score(*([side[key].holder["west"] for key in held] for side in (left, right)))
        assert pair["holder"]["west"]["value"] == pytest.approx(expected, abs=1e-6)
        assert pair["holder"]["west"]["rows"] == len(held)


def test_a_resample_is_a_weighted_sum():
    draw = np.random.default_rng(1)
    coded = draw.integers(-1, 3, (3, 40))
    chosen = draw.integers(0, 40, 40)
    weights = np.bincount(chosen, minlength=40)
    assert alpha((alpha_sums(coded, 3) * weights[:, None]).sum(0)) == pytest.approx(by_package(coded[:, chosen]))
    pair = np.where((coded[:2] >= 0).all(0), coded[:2], -1)
    cells = confusion_cells(pair[0], pair[1], 3)[..., :3]
    drawn = [label for label in pair[:, chosen].T if label[0] >= 0]
    expected = cohen_kappa_score(*np.array(drawn).T)
    assert kappa((cells * weights[:, None, None]).sum(0)) == pytest.approx(expected)


def test_intervals_hold_the_value_and_narrow_with_more(random_raters):
    def width(ids):
        figure = agreement(random_raters, ACTORS, ids=ids, resamples=500)["alpha"]["stance"]["pooled"]["all"]
        assert figure["low"] < figure["value"] < figure["high"] <= 1
        return figure["high"] - figure["low"]

    assert width(None) < width({f"s{number}" for number in range(60)}) < 0.5
    assert agreement(random_raters, ACTORS, resamples=50) == agreement(random_raters, ACTORS, resamples=50)


def test_the_adjudicator_is_no_rater_and_missing_labels_are_none(tmp_path):
    settled = [{**row("a", "favor"), "reason": "rule 2"}]
    partial = {"id": "b", "stance": {"west": "favor"}}
    folder = write(
        tmp_path / "x",
        a1=[row("a", "against"), partial],
        a2=[row("a", "favor"), row("b", "favor")],
        adjudicator=settled,
    )
    raters = read_annotations(folder, ACTORS)
    assert list(raters) == ["a1", "a2"]
    found = agreement(raters, ACTORS, resamples=0)
    assert found["sentences"] == 2
    assert found["alpha"]["stance"]["west"]["all"]["rows"] == 2
    assert found["alpha"]["stance"]["russia"]["all"]["rows"] == 1
    assert found["alpha"]["sentiment"]["sentence"]["all"]["rows"] == 1


def test_faults_of_all_files_at_once(tmp_path):
    wrong = [
        {**row("a"), "stance": {"west": "hostile"}},
        row("b"),
        row("b"),
        {"stance": {}},
        row("c") | {"sentiment": "bad"},
    ]
    folder = write(tmp_path / "x", a1=wrong, a2=[{**row("a", "favor"), "holder": {"west": "none"}}])
    (folder / "a3.jsonl").write_text('{"id": "a"\n[1]\n', encoding="utf-8")
    with pytest.raises(DataError) as raised:
        read_annotations(folder, ACTORS)
    places = [(fault.file.rsplit("/", 1)[-1], fault.line, fault.field) for fault in raised.value.faults]
    assert places == [
        ("a1.jsonl", 1, "stance.west"),
        ("a1.jsonl", 3, "id"),
        ("a1.jsonl", 4, "id"),
        ("a1.jsonl", 5, "sentiment"),
        ("a2.jsonl", 1, "holder.west"),
        ("a3.jsonl", 1, None),
        ("a3.jsonl", 2, None),
    ]


def test_nothing_to_compare(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        read_annotations(tmp_path / "none", ACTORS)
    with pytest.raises(UserError, match="no rater's file"):
        read_annotations(write(tmp_path / "x", adjudicator=[row("a")]), ACTORS)
    apart = {"a1": {"a": Record("a", "-")}, "a2": {"b": Record("b", "-")}}
    with pytest.raises(UserError, match="only a1, a2"):
        agreement(apart, ACTORS)
    with pytest.raises(UserError, match="no annotation"):
        agreement(apart, ACTORS, ids={"z"})


def test_command(tmp_path, cli, random_raters):
    folder = tmp_path / "annotations"
    assert random_raters
    corpus = tmp_path / "some.jsonl"
    corpus.write_text(
        "".join(json.dumps({"id": f"s{n}", "text": "It said so."}) + "\n" for n in range(40)), encoding="utf-8"
    )
    done = cli("data", "agreement", folder, "--corpus", corpus, "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert found["raters"] == {"a1": 40, "a2": 20, "writer": 40}
    shown = cli("data", "agreement", folder)
    assert shown.code == 0
    assert "stance pooled" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 100
    value = agreement(random_raters, ACTORS)["alpha"]["stance"]["pooled"]["all"]
    assert f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" in shown.out
    failed = cli("data", "agreement", tmp_path / "nowhere")
    assert failed.code == 2
    assert "no such folder" in failed.err
