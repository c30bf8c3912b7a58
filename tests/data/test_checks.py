"""Duplicates, near-duplicates and leaks, within and across splits."""

import random
import time
from itertools import combinations

import pytest

from tristance.data.checks import NEAR, check, similarity
from tristance.data.records import Record, Target

LONG = "The ministry said on Monday that the new bridge over the river would open to trucks before winter comes"
NEARLY = LONG + " again"


def rec(name, text, line=1, file="train.jsonl", targets=(), **fields):
    return Record(name, text, targets=targets, fields=fields, file=file, line=line)


def said(splits):
    return [(fault.kind, fault.field, f"{fault.file}:{fault.line}") for fault in check(splits)]


def test_sound_splits_have_no_faults():
    splits = {"train": [rec("a", LONG), rec("b", "Something else was decided.", 2)], "test": [], "dev": []}
    assert check(splits) == []
    assert check({}) == []


def test_ids():
    train = [rec("a", "One thing.", 1), rec("a", "Other thing.", 2)]
    test = [rec("a", "Third matter.", 5, "test.jsonl")]
    assert said({"train": train, "test": test}) == [
        ("duplicate", "id", "train.jsonl:2"),
        ("leak", "id", "test.jsonl:5"),
    ]


def test_line_numbers_that_stand_in_for_ids_may_repeat():
    assert check({"train": [rec("1", "One thing.")], "test": [rec("1", "Other thing.", file="test.txt")]}) == []


@pytest.mark.parametrize("other", [LONG, LONG.upper() + "!", LONG.replace("said on Monday", "said,  on “Monday”")])
def test_exact_duplicates_after_folding_name_both_places(other):
    first, second = rec("a", LONG, 3), rec("b", other, 9)
    (fault,) = check({"train": [first, second]})
    assert (fault.kind, fault.line) == ("duplicate", 9)
    assert "train.jsonl:3 (train)" in fault.found
    (leak,) = check({"train": [first], "test": [second]})
    assert (leak.kind, leak.field) == ("leak", "text")


def test_one_text_with_other_digits_is_near_and_not_the_same():
    texts = "Russia lost 40 tanks in one week.", "Russia lost 512 tanks in one week."
    assert similarity(*texts) == 1.0
    assert said({"train": [rec("a", texts[0]), rec("b", texts[1], 2)]}) == [("near-duplicate", "text", "train.jsonl:2")]
    assert check({"train": [rec("a", "In 1999."), rec("b", "In 2001.", 2)]})[0].kind == "near-duplicate"


def test_texts_without_words_are_compared_as_they_are():
    assert check({"train": [rec("a", "…"), rec("b", "?!", 2)]}) == []
    assert said({"train": [rec("a", "…"), rec("b", "…", 2)]}) == [("duplicate", "text", "train.jsonl:2")]


def test_one_sentence_asked_about_two_targets_is_no_duplicate_but_may_leak():
    about = [rec(n, LONG, i, targets=(Target("t", n, i, i + 1),)) for i, n in enumerate(("a", "b"), 1)]
    assert check({"train": about}) == []
    assert said({"train": about[:1], "test": about[1:]}) == [("leak", "text", "train.jsonl:2")]
    again = rec("c", LONG, 3, targets=about[0].targets)
    assert said({"train": [*about, again]}) == [("duplicate", "text", "train.jsonl:3")]


def test_near_duplicates_and_the_threshold():
    assert NEAR <= similarity(LONG, NEARLY) < 1
    (fault,) = check({"train": [rec("a", LONG)], "test": [rec("b", NEARLY, 7, "test.jsonl")]})
    assert (fault.kind, fault.file, fault.line) == ("leak", "test.jsonl", 7)
    assert "train.jsonl:1 (train) (similarity 0.94)" in fault.found
    assert said({"train": [rec("a", LONG), rec("b", NEARLY, 2)]}) == [("near-duplicate", "text", "train.jsonl:2")]
    changed = LONG.replace("bridge", "tunnel").replace("winter", "summer")
    assert similarity(LONG, changed) < NEAR
    assert check({"train": [rec("a", LONG), rec("b", changed, 2)]}) == []


def test_similarity_by_hand():
    assert similarity("a b c d", "a b c e") == 1 / 3  # abc of abc, bcd, bce
    assert similarity("a b", "a b c") == 0.0
    assert similarity("", "") == 0.0


def test_a_pair_may_be_near_but_not_the_same_and_not_apart():
    twins = [rec("a", LONG, 1, pair="p1"), rec("b", NEARLY, 2, pair="p1")]
    assert check({"train": twins}) == []
    assert said({"train": [twins[0]], "test": [twins[1]]}) == [("leak", "pair", "train.jsonl:2")]
    assert said({"train": [twins[0], rec("c", NEARLY, 3, pair="p2")]}) == [("near-duplicate", "text", "train.jsonl:3")]
    assert said({"train": [twins[0], rec("c", LONG, 3, pair="p1")]}) == [("duplicate", "text", "train.jsonl:3")]


def test_a_group_within_one_split():
    train = [rec("a", "One thing.", 1, group="g"), rec("b", "Other thing.", 2, group="g")]
    test = [rec("c", "Third matter.", 1, "t.jsonl", group="g"), rec("d", "Last of all.", 2, "t.jsonl", group="g")]
    assert check({"train": train}) == []
    assert said({"train": train, "test": test}) == [("leak", "group", "t.jsonl:1")], "said once a group and split"
    assert check({"train": train, "test": [rec("c", "Third matter.", group=None)]}) == []


def sentences(count, seed):
    draw = random.Random(seed)
    words = [f"w{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}" for n in range(3000)]
    return [" ".join(draw.choices(words, k=draw.randint(12, 30))) for _ in range(count)]


def test_the_index_finds_what_comparing_all_finds():
    draw = random.Random(3)
    texts = sentences(120, 3)
    for text in texts[:80]:
        words = text.split()
        for _ in range(draw.randint(1, 3)):
            words[draw.choice([0, 1, -1, -2])] = draw.choice(["other", "changed", "new"])
        texts.append(" ".join(words))
    expected = {(a, b) for (a, s), (b, t) in combinations(enumerate(texts), 2) if s != t and similarity(s, t) >= NEAR}
    found = check({"train": [rec(f"r{n}", text, n, "f") for n, text in enumerate(texts)]})
    got = {(int(f.found.split("f:")[1].split()[0]), f.line) for f in found if f.kind == "near-duplicate"}
    assert len(expected) > 20
    assert got == expected


def test_ten_thousand_sentences_take_seconds():
    texts = sentences(10_000, 5)
    texts[9_999] = texts[17] + " today"
    start = time.perf_counter()
    (fault,) = check({"train": [rec(f"r{n}", text, n) for n, text in enumerate(texts)]})
    assert time.perf_counter() - start < 20
    assert (fault.kind, fault.line) == ("near-duplicate", 9_999)
