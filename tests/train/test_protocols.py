"""Protocols: who is learnt from and who is judged by, and the table that comes of it."""

from __future__ import annotations

import json
import re

import pytest

from tristance.data.errors import UserError
from tristance.data.records import Record
from tristance.train.config import load_config
from tristance.train.experiment import run_experiment
from tristance.train.protocols import ProtocolConfig, parts

ACTORS = ("west", "russia", "north_korea")


def record(number, split, **fields):
    stance = {"west": "favor", "russia": "against", "north_korea": "unrelated"}
    holder = {"west": "russia", "russia": "west", "north_korea": "none"}
    return Record(
        f"{split}-{number}", f"Sentence {number} of {split}.", stance, holder, "neutral", (), fields, split, number
    )


@pytest.fixture
def splits():
    """60 sentences to learn from in documents of three, 20 for validation, of four voices, two genres, ten years."""

    def rows(split, count):
        return [
            record(
                number,
                split,
                group=f"{split}-{number // 3}",
                voice=f"voice-{number // 3 % 4}",
                genre=("report", "opinion")[number // 3 % 2],
                date=f"{2014 + number // 3 % 10}-05-01",
            )
            for number in range(count)
        ]

    return {"train": rows("train", 60), "validation": rows("validation", 20), "test": rows("test", 5)}


def ids(records):
    return {each.id for each in records}


@pytest.mark.parametrize("name", ["grouped-kfold", "leave-genre-out", "leave-voices-out"])
def test_every_sentence_is_held_out_once_and_nothing_leaks(splits, name):
    made = parts(ProtocolConfig(name=name, folds=4), splits, ACTORS)
    held = [each.id for part in made for each in part.splits["test"]]
    assert sorted(held) == sorted(ids(splits["train"]) | ids(splits["validation"])), "the test split stays sealed"
    for part in made:
        judged = {each.unit for each in part.splits["test"]}
        for split in ("train", "validation"):
            assert not judged & {each.unit for each in part.splits[split]}
            assert ids(part.splits[split]) <= ids(splits[split]), "what remains keeps its role"
    if name != "grouped-kfold":
        field = {"leave-genre-out": "genre", "leave-voices-out": "voice"}[name]
        for part in made:
            assert not {each.fields[field] for each in part.splits["test"]} & {
                each.fields[field] for each in part.splits["train"]
            }


def test_after_a_date(splits):
    [part] = parts(ProtocolConfig(name="after-date", date="2021"), splits, ACTORS)
    assert {each.fields["date"][:4] for each in part.splits["test"]} == {"2021", "2022", "2023"}
    assert max(each.fields["date"] for each in part.splits["train"]) < "2021"
    assert part.name == "from-2021"


def test_leaving_an_actor_out_takes_its_labels_and_gives_no_other(splits):
    made = {part.name: part.splits for part in parts(ProtocolConfig(name="leave-actor-out"), splits, ACTORS)}
    assert list(made) == list(ACTORS)
    learnt = made["west"]["train"][0]
    assert (learnt.stance["west"], learnt.stance["russia"]) == (None, "against")
    assert learnt.holder["russia"] is None, "it is held by the actor that nobody may hear of"
    assert learnt.sentiment == "neutral"
    judged = made["west"]["test"][0]
    assert (judged.stance["west"], judged.stance["russia"], judged.sentiment) == ("favor", None, None)
    assert ids(made["west"]["test"]) == ids(splits["validation"])


def test_a_learning_curve_is_nested(splits):
    made = parts(ProtocolConfig(name="learning-curve", sizes=(0.5, 0.25, 1)), splits, ACTORS)
    sizes = [ids(part.splits["train"]) for part in made]
    assert sizes[0] < sizes[1] < sizes[2] == ids(splits["train"])
    assert [part.name for part in made] == [f"size-{len(each)}" for each in sizes]
    assert all(part.splits["validation"] == splits["validation"] for part in made)
    for part, whole in zip(made, sizes, strict=True):
        documents = {each.group for each in part.splits["train"]}
        assert whole == {each.id for each in splits["train"] if each.group in documents}, "documents stay whole"


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ({"name": "leave-genre-out"}, "found no sentence with the field 'genre'; allowed: sentences that have it"),
        ({"name": "grouped-kfold", "folds": 5}, "would have an empty"),
    ],
)
def test_sentences_that_do_not_serve_are_refused(protocol, said):
    bare = {"train": [record(1, "train", group="d")], "validation": [record(1, "validation", group="d")], "test": []}
    with pytest.raises(UserError, match=re.escape(said)):
        parts(ProtocolConfig(**protocol), bare, ACTORS)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("protocol.name=after-date", "protocol after-date needs a date"),
        ("protocol.sizes=[2]", "shares above 0, at most 1"),
        ("protocol.name=kfold", "'random-seeds', 'grouped-kfold'"),
    ],
)
def test_a_wrong_protocol_is_said(override, said):
    with pytest.raises(UserError, match=re.escape(said)):
        load_config("base", [override])


@pytest.mark.parametrize(
    ("name", "architecture", "rows"),
    [
        ("grouped-kfold", "tfidf", ["fold-1", "fold-2", "fold-3", "all held out"]),
        ("leave-actor-out", "slots", list(ACTORS)),
        ("learning-curve", "tfidf", ["size-", "size-"]),
    ],
)
def test_a_protocol_trains_its_parts_and_gives_one_table(cli, overrides, tmp_path, name, architecture, rows):
    more = ["protocol.folds=3", "protocol.sizes=[0.5,1]", "evaluation.resamples=20", "train.epochs=1", "seeds=[13,42]"]
    done = cli(
        "train", "base", f"protocol.name={name}", f"model.architecture={architecture}", *overrides, *more, "name=parted"
    )
    assert done.code == 0, done.err
    folder = tmp_path / "runs" / "parted"
    found = json.loads((folder / "protocol.json").read_text())
    assert [part.startswith(said) for part, said in zip(found["parts"], rows, strict=True)] == [True] * len(rows)
    for part in found["parts"]:
        assert part in done.out
        if part != "all held out":
            assert (folder / part / "42" / "metrics.json").is_file()
    figure = next(iter(found["parts"].values()))["mean.F_avg"]
    assert figure["low"] <= figure["value"] <= figure["high"]
    assert figure["sd"] is not None
    if name == "leave-actor-out":
        assert found["parts"]["west"]["russia.F_avg"]["value"] is None, "it is not what is judged"
    if name == "grouped-kfold":
        whole = found["parts"]["all held out"]["mean.F_avg"]["n"]
        assert whole == sum(found["parts"][part]["mean.F_avg"]["n"] for part in rows[:-1])
    assert (folder / "protocol.svg").read_text().lstrip().startswith("<?xml")
    again = cli(
        "train", "base", f"protocol.name={name}", f"model.architecture={architecture}", *overrides, *more, "name=parted"
    )
    assert "finished before" in again.err
    assert again.out == done.out


def test_an_experiment_reports_on_what_its_protocol_holds_out(overrides):
    config = load_config("base", [*overrides, "protocol.name=grouped-kfold", "model.architecture=majority"])
    result = run_experiment(config)
    assert list(result.parts) == [f"fold-{number}" for number in range(1, 6)]
    assert len(result.runs) == 5
    assert result.runs[0].name == "base/fold-1"
