"""`tristance estimate`, from predictions through a sheet to shares."""

from __future__ import annotations

import csv
import json
from datetime import date

import numpy as np
import pytest

from tristance.data.labels import SENTIMENTS, STANCES
from tristance.models.predictions import Scores, to_predictions

ROWS = 1500


@pytest.fixture(scope="module")
def news(tmp_path_factory):
    """Predictions of a classifier that takes half of `favor` for `neutral`; gold by text."""
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("news") / "p.jsonl"
    tass = np.arange(ROWS) % 2 == 0
    stance = np.where(tass, *(rng.choice(4, ROWS, p=p) for p in ([0.4, 0.1, 0.3, 0.2], [0.2, 0.3, 0.3, 0.2])))
    tone = rng.integers(0, 3, ROWS)
    said = np.where((stance == 0) & (rng.random(ROWS) < 0.5), 2, stance)
    scores = Scores(
        ("russia",),
        np.where(np.eye(4)[said] > 0, 0.7, 0.1)[:, None].astype(np.float32),
        np.full((ROWS, 1, 3), 1 / 3, np.float32),
        np.eye(3, dtype=np.float32)[tone],
    )
    texts = [f"={number} said Moscow." for number in range(ROWS)]
    gold = {text: (STANCES[one], SENTIMENTS[two]) for text, one, two in zip(texts, stance, tone, strict=True)}
    with path.open("w") as stream:
        for number, prediction in enumerate(to_predictions(texts, scores)):
            row = {
                "id": f"00{number}",
                "text": texts[number],
                "source": "TASS" if tass[number] else "Reuters",
                "date": f"2024-0{number % 6 + 1}-15",
                "doc": number // 5,
            }
            stream.write(json.dumps(row | prediction.as_dict()) + "\n")
    return path, gold


def label(sheet, gold, *, rows=None):
    found = list(csv.DictReader(sheet.open(encoding="utf-8-sig", newline="")))
    for row in found[:rows]:
        row["stance.russia"], row["sentiment"] = gold[row["text"].removeprefix("'")]
    with sheet.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, list(found[0]))
        writer.writeheader()
        writer.writerows(found)


@pytest.fixture(scope="module")
def labelled(news, tmp_path_factory):
    from tristance.train.cli import run, tristance

    path, gold = news
    sheet = tmp_path_factory.mktemp("sheet") / "sheet.csv"
    assert run(tristance, ["estimate", str(path), "--draw", "400", "-o", str(sheet)]) == 0
    label(sheet, gold)
    return sheet


def read(path):
    return {(e["kind"], e["actor"], e["figure"], e["group"]): e for e in json.loads(path.read_text())["estimates"]}


def test_shares_are_set_right(cli, news, labelled, tmp_path):
    path, gold = news
    done = cli("estimate", path, "--labelled", labelled, "-o", tmp_path / "e.json")
    assert done.code == 0, done.err
    assert "1,500 sentences of" in done.out
    assert "300 clusters, told by 'doc'" in done.out
    found = read(tmp_path / "e.json")
    favor = found["share", "russia", "favor", ""]
    truth = sum(stance == "favor" for stance, _ in gold.values()) / ROWS
    assert favor["low"] < truth < favor["high"]
    assert favor["counted"] < favor["low"] - 0.05, "half of it was taken for neutral"
    assert (favor["rows"], favor["labelled"]) == (1500, 400)
    assert favor["worth"] > 500, "predictions are worth labels"
    assert favor["high"] - favor["low"] < favor["sample_high"] - favor["sample_low"]
    shares = [found["share", "russia", stance, ""] for stance in STANCES]
    assert sum(each["sample"] for each in shares) == pytest.approx(1)
    assert shares[3]["value"] + sum(shares[n]["value"] for n in range(3)) == pytest.approx(1, abs=0.02)
    related = found["share", "russia", "favor of related", ""]
    assert related["value"] == pytest.approx(favor["value"] / (1 - shares[3]["value"]), abs=0.02)
    assert found["share", "russia", "net", ""]["value"] == pytest.approx(favor["value"] - shares[1]["value"], abs=0.02)
    tone = found["share", "sentence", "positive", ""]
    assert tone["counted"] == pytest.approx(sum(tone == "positive" for _, tone in gold.values()) / ROWS)
    assert tone["low"] < tone["counted"] < tone["high"], "sentiment was predicted right"


def test_groups_and_their_difference(cli, news, labelled, tmp_path):
    path, _ = news
    done = cli(
        *("estimate", path, "--labelled", labelled, "--by", "source"),
        *("--contrast", "TASS", "Reuters", "-o", tmp_path / "e.json"),
    )
    assert done.code == 0, done.err
    assert "russia by source" in done.out
    assert "TASS - Reuters" in done.out
    found = read(tmp_path / "e.json")
    difference = found["difference", "russia", "net", "TASS - Reuters"]
    assert difference["low"] < 0.4 < difference["high"]
    assert difference["low"] > 0.1
    one, other = (found["share", "russia", "net", source] for source in ("TASS", "Reuters"))
    assert difference["value"] == pytest.approx(one["value"] - other["value"])
    assert one["rows"] == other["rows"] == 750
    assert one["labelled"] + other["labelled"] == 400
    assert not any(kind == "trend" for kind, *_ in found)


def test_trends_and_files(cli, news, labelled, tmp_path):
    path, gold = news
    for ending in ("csv", "md", "html", "svg", "json"):
        done = cli("estimate", path, "--labelled", labelled, "--by", "date:month", "-o", tmp_path / f"e.{ending}")
        assert done.code == 0, done.err
    assert "Change in points a month" in done.out
    found = read(tmp_path / "e.json")
    trend = found["trend", "russia", "favor", ""]
    favors = [stance == "favor" for stance, _ in gold.values()]
    days = [date.fromisoformat(f"2024-0{number % 6 + 1}-15").toordinal() / 30.436875 for number in range(ROWS)]
    assert trend["low"] < np.polyfit(days, favors, 1)[0] < trend["high"]
    assert trend["high"] - trend["low"] < 0.1
    assert found["share", "russia", "favor", "2024-03"]["rows"] == 250
    rows = list(csv.DictReader((tmp_path / "e.csv").open()))
    assert len(rows) == len(found)
    assert float(rows[0]["value"]) == pytest.approx(found["share", "russia", "favor", ""]["value"])
    assert "| russia | favor |" in (tmp_path / "e.md").read_text()
    assert "2024-06" in (tmp_path / "e.svg").read_text()
    assert "russia by date:month" in (tmp_path / "e.html").read_text()


def test_a_few_labels_give_wide_intervals_and_a_warning(cli, news, tmp_path):
    path, gold = news
    sheet = tmp_path / "s.csv"
    assert cli("estimate", path, "--draw", 30, "-o", sheet).code == 0
    label(sheet, gold, rows=12)
    done = cli("estimate", path, "--labelled", sheet, "--by", "source", "-o", tmp_path / "e.json")
    assert done.code == 0, done.err
    assert "18 rows of" in done.out
    assert "are not labelled yet" in " ".join(done.out.split())
    assert "passed over" not in done.out, "it was labelled from the top"
    assert "careful: fewer than 5 labelled sentences tell russia favor" in done.out
    favor = read(tmp_path / "e.json")["share", "russia", "favor", ""]
    assert favor["labelled"] == 12
    assert favor["high"] - favor["low"] > 0.3


def test_parquet_and_labels_without_probabilities(cli, news, labelled, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, _ = news
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    assert cli("estimate", tmp_path / "p.parquet", "--labelled", labelled, "-o", tmp_path / "a.json").code == 0
    hard = tmp_path / "hard.jsonl"
    hard.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "probabilities"}) + "\n" for row in rows))
    assert cli("estimate", path, "--labelled", labelled, "-o", tmp_path / "b.json").code == 0
    assert cli("estimate", hard, "--labelled", labelled, "-o", tmp_path / "c.json").code == 0
    soft, same, plain = (read(tmp_path / f"{name}.json") for name in "bac")
    assert same == soft
    key = ("share", "russia", "favor", "")
    # these probabilities are a linear function of the label, so that λ makes up for it
    assert plain[key]["value"] == pytest.approx(soft[key]["value"])
    assert plain[key]["tuning"] == pytest.approx(0.6 * soft[key]["tuning"], rel=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "allowed: --draw N to draw a sheet, or --labelled to read it"),
        (["--draw", "5", "--labelled", "SHEET"], "allowed: --draw N to draw a sheet, or --labelled to read it"),
        (["--draw", "5"], "allowed: -o sheet.csv"),
        (["--draw", "5000", "-o", "s.csv"], "found 1500 sentences, asked for 5000; allowed: at most 1500"),
        (["--draw", "5", "-o", "SHEET"], "is there already, and may hold labels; allowed: another name"),
        (["--labelled", "none.csv"], "none.csv: no such file"),
        (["--labelled", "SHEET", "-o", "e.pdf"], "found the ending '.pdf'; allowed: .csv, .html, .json, .md, .svg"),
        (["--labelled", "SHEET", "-o", "SHEET"], "is a file that is read; allowed: another file"),
        (["--labelled", "SHEET", "--by", "outlet"], "--by: found 'outlet'; allowed: a field of"),
        (["--labelled", "SHEET", "--cluster", "page"], "--cluster: found 'page'; allowed: a field of"),
        (["--labelled", "SHEET", "--by", "date:moon"], "found the period 'moon'; allowed: day, week, month, quarter"),
        (["--labelled", "SHEET", "--by", "source:day"], ":1: source: found 'TASS'; allowed: a date that tells the day"),
        (["--labelled", "SHEET", "--contrast", "a", "b"], "--contrast: found no groups; allowed: --by FIELD beside it"),
        (
            ["--labelled", "SHEET", "--by", "source", "--contrast", "TASS", "AFP"],
            "--contrast: found 'AFP'; allowed: Reuters, TASS",
        ),
    ],
)
def test_mistakes_are_told_in_a_line(cli, news, labelled, tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    done = cli("estimate", news[0], *(str(labelled) if word == "SHEET" else word for word in options))
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert said in done.err
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_a_sheet_of_other_sentences_is_refused(cli, news, labelled, tmp_path):
    path, _ = news
    lines = path.read_text().splitlines()
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join(lines[:750]))
    done = cli("estimate", other, "--labelled", labelled)
    assert done.code == 2
    assert f"which is no sentence of {other} (key s" in done.err
    assert "allowed: the predictions it was drawn from" in done.err
    rows = list(csv.reader(labelled.open(encoding="utf-8-sig", newline="")))
    rows[1][1], rows[2][1] = rows[2][1], rows[1][1]  # one column sorted, the others not
    sorted_sheet = tmp_path / "sorted.csv"
    with sorted_sheet.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    done = cli("estimate", path, "--labelled", sorted_sheet)
    assert done.code == 2
    assert f"{sorted_sheet}:2: text: found" in done.err


def test_no_label_and_broken_predictions(cli, news, tmp_path):
    path, _ = news
    sheet = tmp_path / "s.csv"
    assert cli("estimate", path, "--draw", 5, "-o", sheet).code == 0
    done = cli("estimate", path, "--labelled", sheet)
    assert (done.code, "found no label" in done.err) == (2, True)
    broken = tmp_path / "b.jsonl"
    broken.write_text(
        '{"text": "A.", "stance": {"russia": "favor"}, "probabilities": {"stance": {"russia": {"favor": 3}}}}\n'
    )
    done = cli("estimate", broken, "--draw", 2, "-o", tmp_path / "x.csv")
    assert done.code == 2
    assert f"{broken}:1: probabilities.stance.russia: found {{'favor': 3}}; allowed: numbers from 0 to 1" in done.err
    broken.write_text('{"text": "A."}\n')
    done = cli("estimate", broken, "--draw", 2, "-o", tmp_path / "x.csv")
    assert (done.code, "found no predicted label" in done.err) == (2, True)
