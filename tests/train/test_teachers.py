"""Learning from trained models: what the teachers say, whether it is learnt, what a run notes and refuses."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from tests.train.test_experiment import trained_with
from tristance.data.actors import Actors
from tristance.data.errors import UserError
from tristance.data.records import Record, Target
from tristance.data.sources import load_corpus
from tristance.models import StanceClassifier
from tristance.models.backbone import load_tokenizer
from tristance.models.manifest import write_checksums
from tristance.models.networks import build_encoding
from tristance.models.registry import ModelConfig
from tristance.train import experiment, features
from tristance.train.config import load_config
from tristance.train.experiment import run_experiment


@pytest.fixture
def taught(overrides, trained, monkeypatch):
    """What makes any config small, with the trained run as its teacher; judged by validation alone, to be quick."""
    monkeypatch.setattr(experiment, "write_plots", lambda *_: None)
    monkeypatch.setattr(experiment, "_baselines", lambda _: {})
    quick = [f"data.sources.corpus.{part}=[]" for part in ("test", "contrast", "swap")]
    return [*overrides, *quick, f"train.teacher.models=[{trained.run.folder}]", "train.learning_rate=1e-3"]


def validation(run):
    """Its figures there, to the last digit."""
    return run.metrics()["validation"]


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of the trained model whose manifest says something else."""

    def make(**changes):
        folder = tmp_path / "copied"
        shutil.copytree(trained.model, folder)
        content = json.loads((folder / "config.json").read_text())
        content["tristance"] |= changes
        (folder / "config.json").write_text(json.dumps(content))
        write_checksums(folder)
        return folder

    return make


def test_a_student_keeps_what_it_was_made_from(taught, trained):
    student = trained_with(taught, "name=student", f"model.backbone={trained.model}", "model.layers=[1]")
    assert list(student.provenance()["models"]) == [str(trained.model)]
    assert len(student.provenance()["models"][str(trained.model)]) == 64
    assert student.provenance()["seconds"]["teachers"] > 0
    card = (student.model / "README.md").read_text()
    assert f"as teachers or as backbone:\n\n- `{trained.model}`" in card
    inner = json.loads((student.model / "config.json").read_text())["backbone"]
    assert inner["num_hidden_layers"] == 1
    assert "trained models" not in (trained.model / "README.md").read_text()
    assert trained.run.provenance()["models"] == {}


def test_several_teachers_count_by_their_mean(taught, trained, tmp_path):
    words = ["name=tfidf", "model.architecture=tfidf", "train.teacher.models=[]"]
    tfidf = trained_with(taught, *words)
    records = load_corpus("corpus", trained.config.data.sources["corpus"], Actors.load(), "ignore").splits["train"]
    alone = [
        StanceClassifier.from_pretrained(run.model).score_records(records, tempered=False)
        for run in (trained.run, tfidf)
    ]
    seen = []
    plain = features.training_set

    def spy(*arguments):
        seen.append(plain(*arguments))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "training_set", spy)
        models = f"train.teacher.models=[{trained.model}, {tmp_path / 'runs' / 'tf*'}, {tfidf.folder}]"
        trained_with(taught, models, "train.epochs=1")
    for part in ("stance", "holder", "sentiment"):
        mean = (getattr(alone[0], part) + getattr(alone[1], part)) / 2
        np.testing.assert_allclose(np.array(seen[0][f"teacher_{part}"]), mean, atol=1e-6)


@pytest.mark.slow
def test_with_all_the_weight_on_the_teacher_the_labels_do_not_matter(taught, small_corpus, tmp_path):
    rows = [json.loads(line) for line in small_corpus.train.read_text().splitlines()]
    for row in rows:  # every label turns into another
        row["stance"] = {actor: {"favor": "against"}.get(label, "favor") for actor, label in row["stance"].items()}
        row["holder"] = dict.fromkeys(row["stance"], "other")
        row["sentiment"] = "positive" if row["sentiment"] != "positive" else "negative"
    rows[0]["stance"]["west"] = "against"  # one class alone would be refused
    turned = tmp_path / "turned.jsonl"
    turned.write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = f"data.sources.corpus.train={turned}"

    def outcome(weight, *more):
        return validation(trained_with(taught, f"train.teacher.weight={weight}", "train.epochs=1", *more))

    assert outcome(1, "name=right") == outcome(1, "name=wrong", other)
    assert outcome(0.5, "name=half-right") != outcome(0.5, "name=half-wrong", other)


def test_a_teacher_without_weight_changes_nothing(taught, trained):
    assert validation(trained_with(taught, "train.teacher.weight=0")) == validation(trained.run)


def test_a_trained_model_as_backbone_brings_its_heads(taught, trained):
    still = [f"model.backbone={trained.model}", "train.learning_rate=1e-30", "train.epochs=1"]
    assert validation(trained_with(taught, *still, "train.teacher.models=[]")) == validation(trained.run)


def test_an_interrupted_student_goes_on_without_asking_its_teacher_again(taught, tmp_path, monkeypatch):
    undisturbed = trained_with(taught, "name=undisturbed")
    for epoch in (1, 2):  # before the first checkpoint, and after it
        config = load_config("base", [*taught, f"name=stopped-{epoch}"])

        def stop(now, _, epoch=epoch):
            if now == epoch:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_experiment(config, watch=stop)
        folder = tmp_path / "runs" / config.name / "13" / "stages" / "0-main"
        assert (folder / "teacher.npz").is_file()
        assert len(list(folder.glob("checkpoint-*"))) == epoch - 1
        with monkeypatch.context() as patch:
            patch.setattr(experiment, "teach", None)
            assert validation(run_experiment(config).runs[0]) == validation(undisturbed)


def test_another_teacher_under_the_same_name_is_another_run(taught, copy):
    folder = copy()
    mine = [*taught, f"train.teacher.models=[{folder}]"]

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_experiment(load_config("base", mine), watch=stop)
    # what it holds is as good as before, but it is not the same
    (folder / "checksums.json").write_text((folder / "checksums.json").read_text().replace('"config', '"./config'))
    with pytest.raises(UserError, match=rf"holds another run \(models\.{folder}: '"):
        trained_with(mine)


def test_soft_labels_stand_at_the_slots_that_a_sentence_has(trained, tiny_backbone):
    host = Target("host", "Oslo", 0, 4, "neutral")
    records = [
        Record("1", "Oslo thanked Moscow.", {"russia": "favor"}, sentiment="positive"),
        Record("2", "Oslo scolded Moscow.", {"russia": "against"}, targets=(host,)),
    ]
    teacher = StanceClassifier.from_pretrained(trained.model)
    config, labels = ModelConfig(backbone=tiny_backbone), ("favor", "against", "neutral", "unrelated")
    encoding = build_encoding(config, load_tokenizer(tiny_backbone))
    made = features.training_set(records, [labels] * 2, Actors.load(), encoding, teacher.score_records(records))
    batch = features.Collator(encoding)(list(made))
    for number, record in enumerate(records):  # asked alone, there are no other slots to be mixed up with
        alone = teacher.score_records([record])
        count = len(alone.slots)
        assert count == (3, 2)[number]
        np.testing.assert_allclose(batch["teacher_stance"][number, :count], alone.stance[0], atol=1e-5)
        np.testing.assert_allclose(batch["teacher_holder"][number, :count, : 2 + count], alone.holder[0], atol=1e-5)
        np.testing.assert_allclose(batch["teacher_sentiment"][number], alone.sentiment[0], atol=1e-5)
        assert not batch["teacher_stance"][number, count:].any()


# What is refused


def refused(overrides, *more):
    with pytest.raises(UserError) as caught:
        trained_with(overrides, *more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_teacher_that_is_not_there(taught, tmp_path):
    (tmp_path / "empty").mkdir()
    for name, said in (
        ("nowhere", "nowhere: no such folder"),
        ("empty", "empty: holds no finished run"),
        ("no*where", "no*where: fits no finished run"),
    ):
        found = refused(taught, f"train.teacher.models=['{tmp_path / name}']")
        assert found.startswith(f"train.teacher.models: {tmp_path / said}; allowed: ")
        assert found.endswith("train it first, for example: tristance train configs/base.yaml")
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_is_no_model_of_ours(taught, tiny_backbone):
    found = refused(taught, f"train.teacher.models=[{tiny_backbone}]")
    assert found.startswith(f"train.teacher.models: {tiny_backbone}/config.json: found no 'tristance' entry; allowed: ")


def test_a_teacher_of_other_actors(taught, copy):
    found = refused(taught, f"train.teacher.models=[{copy(actors=Actors.load().as_list()[:2])}]")
    assert found.endswith(
        "found actors west, russia; allowed: those of this experiment, in its order: west, russia, north_korea"
    )


def test_a_teacher_of_fewer_labels(taught, copy):
    found = refused(taught, f"train.teacher.models=[{copy(stance_labels=['favor', 'against'])}]")
    assert "found stance labels favor, against; allowed: a model that knows all of source corpus: favor, " in found


def test_a_teacher_that_is_broken(taught, copy):
    folder = copy()
    (folder / "model.safetensors").write_bytes(b"nothing")
    assert "model.safetensors: sha256 is" in refused(taught, f"train.teacher.models=[{folder}]")
    (folder / "checksums.json").unlink()
    assert "no checksums.json in it" in refused(taught, f"train.teacher.models=[{folder}]")


def test_a_protocol_that_holds_out_what_the_teacher_has_learnt(taught):
    found = refused(taught, "protocol.name=grouped-kfold")
    assert found.startswith("protocol.name: found grouped-kfold; allowed with trained models as teachers or backbone: ")


def test_a_run_that_would_overwrite_its_teacher(taught, trained):
    own = [f"output={trained.run.folder.parent.parent}", "name=trained"]
    with pytest.raises(UserError, match=r"model: lies in .*trained, which this experiment writes; allowed: another"):
        run_experiment(load_config("base", [*taught, *own]), again=True)
    assert trained.run.finished


def test_a_teacher_judged_by_other_sentences_is_told(taught, trained, small_corpus, tmp_path, capsys):
    fewer = tmp_path / "validation.jsonl"
    fewer.write_text("".join(small_corpus.validation.read_text().splitlines(keepends=True)[:40]))
    trained_with(taught, "train.epochs=1", f"data.sources.corpus.validation={fewer}")
    assert f"warning: {trained.model}: its data were split otherwise" in "".join(capsys.readouterr().err.split("\n"))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.teacher.weight=2", "train.teacher.weight: found 2; allowed: less than or equal to 1"),
        ("train.teacher.temperature=0.5", "train.teacher.temperature: found 0.5; allowed: greater than or equal to 1"),
        ("train.teacher.models=runs/base", "train.teacher.models: found 'runs/base'; allowed: a list"),
        ("model.layers=[2, 0]", "model.layers: found [2, 0]; allowed: layers counted from 0 in rising order"),
        ("model.layers=[]", "model.layers: found []; allowed: a number of layers from 1 on, or a list"),
        ("model.layers=half", "model.layers: found 'half'; allowed: a number of layers from 1 on, or a list"),
    ],
)
def test_a_wrong_option(override, said):
    with pytest.raises(UserError) as caught:
        load_config("base", [override])
    assert str(caught.value).startswith(f"command line: {said}")
    assert "\n" not in str(caught.value)


def test_words_counted_have_no_teacher(trained):
    with pytest.raises(UserError, match=r"train\.teacher\.models needs architecture: slots or pair, found tfidf"):
        load_config("tfidf", [f"train.teacher.models=[{trained.model}]"])


def test_layers_that_a_trained_model_does_not_have(overrides, trained):
    assert "model.layers: found [0, 2]; allowed: layers 0 to 1" in refused(
        overrides, f"model.backbone={trained.model}", "model.layers=[0,2]"
    )


def test_slots_are_no_backbone_of_pair(overrides, trained):
    assert "a trained slots model; allowed with it: architecture: slots" in refused(
        overrides, f"model.backbone={trained.model}", "model.architecture=pair"
    )
