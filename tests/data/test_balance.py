"""Label balance: counted by hand, and drawn."""

import json
import sys

import pytest

from tristance.data.actors import Actors
from tristance.data.balance import balance, plot_balance
from tristance.data.errors import UserError
from tristance.data.records import Record, Target

ACTORS = Actors.load()


def rec(text, west, russia, korea, holder=None, sentiment=None, **fields):
    stance = {"west": west, "russia": russia, "north_korea": korea}
    return Record("x", text, {k: v for k, v in stance.items() if v}, holder or {}, sentiment, fields=fields)


RECORDS = [
    rec("one two", "favor", "against", "unrelated", {"west": "author", "russia": "west"}, "positive", genre="wire"),
    rec("one two three", "against", "neutral", "unrelated", {"west": "russia"}, "negative", genre="wire"),
    rec("one", "unrelated", "unrelated", "unrelated", sentiment="neutral", genre="speech"),
    rec("one two three four", "favor", None, None),
]


def test_counts_by_hand():
    found = balance(RECORDS, ACTORS)
    assert found["records"] == 4
    assert found["stance"]["west"] == {"favor": 2, "against": 1, "neutral": 0, "unrelated": 1}
    assert found["stance"]["russia"] == {"favor": 0, "against": 1, "neutral": 1, "unrelated": 1}
    assert found["holder"]["west"] == {"author": 1, "other": 0, "west": 0, "russia": 1, "north_korea": 0}
    assert found["holder"]["russia"]["west"] == 1
    assert found["sentiment"] == {"negative": 1, "neutral": 1, "positive": 1}
    assert found["genre"]["wire"]["west"] == {"favor": 1, "against": 1, "neutral": 0, "unrelated": 0}
    assert found["genre"]["speech"]["west"]["unrelated"] == 1
    assert found["genre"]["(none)"]["west"]["favor"] == 1
    assert found["referred"] == {"0": 1, "1": 0, "2": 2, "3": 0}
    assert found["opposite"] == {"count": 1, "of": 3, "share": pytest.approx(1 / 3)}
    assert found["words"] == {"min": 1, "5%": 1, "25%": 2, "median": 3, "75%": 3, "95%": 4, "max": 4}
    assert found["characters"]["max"] == len("one two three four")
    assert json.loads(json.dumps(found)) == found


def test_targets_are_counted_for_themselves():
    row = Record("x", "Ames left.", targets=(Target("t", "Ames", stance="against"), Target("u", "left")))
    assert balance([row], ACTORS)["targets"] == {"favor": 0, "against": 1, "neutral": 0, "unrelated": 0}


def test_a_target_may_hold_an_actors_stance():
    row = Record("x", "Ames left.", {"west": "favor"}, {"west": "t"}, targets=(Target("t", "Ames"),))
    assert balance([row], ACTORS)["holder"]["west"]["t"] == 1


def test_nothing_to_count():
    found = balance([], ACTORS)
    assert found["opposite"] == {"count": 0, "of": 0, "share": None}
    assert found["words"]["median"] is None


@pytest.mark.parametrize(("kind", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_plot_is_whole_and_repeats(tmp_path, kind, magic):
    result = balance(RECORDS, ACTORS)
    for name in ("a", "b"):
        plot_balance(result, tmp_path / f"{name}.{kind}")
    content = (tmp_path / f"a.{kind}").read_bytes()
    assert content.startswith(magic)
    assert content == (tmp_path / f"b.{kind}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_plot_of_nothing(tmp_path):
    plot_balance(balance([], ACTORS), tmp_path / "a.svg")
    assert (tmp_path / "a.svg").exists()


def test_plot_of_an_unknown_kind(tmp_path):
    with pytest.raises(UserError, match=r"\.svg or \.png"):
        plot_balance(balance(RECORDS, ACTORS), tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


def test_plot_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match="tristance\\[train\\]"):
        plot_balance(balance(RECORDS, ACTORS), tmp_path / "a.svg")
