"""Actors: data, not code."""

import pytest
import yaml

from tristance.data.actors import BUNDLED, Actors
from tristance.data.errors import UserError

ACTORS = Actors.load()
X = {"id": "x", "name": "X"}
RESERVED = ("author", "other", "none", "pooled", "sentiment")


def mentioned(text, actors=ACTORS):
    return {actor: [text[a:b] for a, b in spans] for actor, spans in actors.mentions(text).items() if spans}


def test_the_bundled_three():
    assert ACTORS.ids == ("west", "russia", "north_korea")
    assert [actor.name for actor in ACTORS] == ["the West", "Russia", "North Korea"]
    assert all(actor.description for actor in ACTORS)


def test_mentions_in_order_with_spans():
    text = "Moscow told NATO that Russia and the DPRK agree."
    assert mentioned(text) == {"russia": ["Moscow", "Russia"], "west": ["NATO"], "north_korea": ["DPRK"]}
    assert ACTORS.mentions("Nothing here.") == {"west": [], "russia": [], "north_korea": []}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Kim Jong Un waved.", {"north_korea": ["Kim Jong Un"]}),  # not Kim and then nothing
        ("The State Department spoke.", {"west": ["State Department"]}),
        ("The State Duma voted.", {"russia": ["State Duma"]}),
        ("The U.S. and the US.", {"west": ["U.S.", "US"]}),
        ("They gave us nothing.", {}),  # by case
        ("Europeanised Putinism", {}),  # whole words
        ("Putin's aide", {"russia": ["Putin"]}),
    ],
)
def test_aliases_are_whole_words_by_case_and_the_longest_wins(text, expected):
    assert mentioned(text) == expected


def test_a_fourth_actor_takes_an_entry_and_nothing_else(tmp_path):
    rows = yaml.safe_load(BUNDLED.read_text())
    rows.append({"id": "china", "name": "China", "aliases": ["Beijing", "Xi Jinping"]})
    path = tmp_path / "actors.yaml"
    path.write_text(yaml.safe_dump(rows, allow_unicode=True))
    actors = Actors.load(path)
    assert actors.ids[-1] == "china"
    assert mentioned("Beijing thanked Moscow.", actors) == {"china": ["Beijing"], "russia": ["Moscow"]}


def test_list_round_trip():
    assert Actors.from_list(ACTORS.as_list()) == ACTORS


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "a list of actors"),
        ({"id": "x"}, "a list of actors"),
        ([{"id": "x"}], "actor 1"),
        ([{"id": "x", "name": "X"}, {"name": "Y"}], "actor 2"),
        ([X | {"aliases": "Oslo"}], r"actors: actor 1 \(x\): aliases: found 'Oslo'; allowed: a list of words"),
        ([X | {"aliases": None}], "aliases: found None; allowed: a list of words"),
        ([X | {"aliases": [False, "Oslo"]}], "aliases: found False; allowed: words, in quotes"),
        ([X | {"aliases": [" "]}], "aliases: found ' '; allowed: words"),
        ([X | {"alias": ["Oslo"]}], "alias: found 'alias'; allowed: id, name, description, aliases"),
        ([X | {"name": 7}], "name: found 7; allowed: text"),
        ([X | {"description": None}], "description: found None; allowed: text"),
        ([X, X | {"id": "North-Korea"}], r"actor 2 \(North-Korea\): id: found 'North-Korea'; allowed: a small letter"),
        ([X | {"id": 7}], "id: found 7; allowed: a small letter"),
        *[([X | {"id": name}], f"id: found '{name}'; allowed: an id that is not reserved") for name in RESERVED],
        ([{"id": "x", "name": "X"}, {"id": "x", "name": "Y"}], "'x' is given to x and to x"),
        ([{"id": "x", "name": "X", "aliases": ["Z"]}, {"id": "y", "name": "Y", "aliases": ["Z"]}], "'Z' is given to"),
    ],
)
def test_faulty_lists(rows, message):
    with pytest.raises(UserError, match=message):
        Actors.from_list(rows)


@pytest.mark.parametrize("content", [None, b"- id: [", b"\xff\xfe"])
def test_files_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "actors.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"actors\.yaml: cannot be read as actors"):
        Actors.load(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "moscow lied to the european union, and pyongyang with it.",
            {"russia": ["moscow"], "west": ["european union"], "north_korea": ["pyongyang"]},
        ),
        ("PUTIN THANKS KIM FOR SHELLS", {"russia": ["PUTIN"], "north_korea": ["KIM"]}),
        ("he told us to go north, to congress or to any other place", {}),
        ("Moscow lied, says the north.", {"russia": ["Moscow"]}),
        ("İSTANBUL HOSTS LAVROV", {"russia": ["LAVROV"]}),
    ],
)
def test_case_counts_only_where_there_is_some(text, found):
    spans = Actors.load().mentions(text)
    assert {actor: [text[start:end] for start, end in places] for actor, places in spans.items() if places} == found
