"""What the commands share: columns by another name, an interruption."""

from __future__ import annotations

import csv

import click
import pytest

from tristance.train.cli import run


@pytest.mark.parametrize("command", [("data", "check"), ("data", "stats"), ("evaluate", "majority", "--data")])
def test_columns_by_another_name(cli, overrides, tmp_path, command):
    file = tmp_path / "a.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [
                ["nr", "sentence", "w", "feeling"],
                ["1", "Lavrov told the West that its era was over.", "against", "negative"],
                ["2", "A trade fair opened in Lyon on Monday.", "unrelated", "neutral"],
            ]
        )
    if command[0] == "evaluate":
        assert cli("train", "majority", *overrides).code == 0
        command = ("evaluate", tmp_path / "runs" / "majority" / "13" / "model", "--data")
    columns = ("text=sentence", "id=nr", "stance.west=w", "sentiment=feeling")
    done = cli(*command, file, *(word for column in columns for word in ("--column", column)))
    assert done.code == 0, done.err
    assert cli(*command, file).code == 2, "there is no text without them"
    done = cli(*command, file, "--column", "sentence")
    assert (done.code, "allowed: field=name" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "base"], "interrupted; the same command goes on where it stopped\n"),
        (["train", "base", "--again"], "interrupted\n"),
        (["predict", "train"], "interrupted\n"),
    ],
)
def test_only_training_goes_on_after_an_interruption(capsys, words, said):
    @click.command()
    @click.argument("words", nargs=-1)
    @click.option("--again", is_flag=True)
    def interrupted(**_):
        raise KeyboardInterrupt

    assert run(interrupted, words) == 130
    assert capsys.readouterr().err.lstrip("\n") == said
