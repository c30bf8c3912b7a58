"""Configs: merging, overrides, errors with file, key, value and what is allowed; comments, schema, commands."""

from __future__ import annotations

import json
import typing

import jsonschema
import pytest
import yaml
from pydantic import BaseModel, ValidationError

from tristance.data.errors import UserError
from tristance.train.config import BASE, SHIPPED, Config, known_keys, load_config, shipped_configs
from tristance.train.config_views import difference, flatten, is_shipped, json_schema, with_comments


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Write a config and give its path."""
    monkeypatch.chdir(tmp_path)

    def write(content, name="mine.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


# Merging


def test_what_is_left_out_comes_from_base(config):
    found = load_config(config({"name": "mine", "train": {"epochs": 7}}))
    base = load_config(BASE)
    assert difference(base.resolved(), found.resolved()) == {
        "name": ("base", "mine"),
        "train.epochs": (base.train.epochs, 7.0),
    }


def test_extends_a_file_beside_it_or_a_shipped_one(config):
    config({"name": "parent", "train": {"epochs": 7, "batch_size": 8}}, "folder/parent.yaml")
    found = load_config(config({"extends": "parent.yaml", "train": {"epochs": 9}}, "folder/child.yaml"))
    assert (found.name, found.train.epochs, found.train.batch_size) == ("parent", 9, 8)
    assert load_config(config({"extends": "pair"})).model.architecture == "pair"


def test_the_stages_of_a_file_replace_those_it_extends(config):
    found = load_config(config({"extends": "transfer", "stages": [{"name": "only"}]}))
    assert [(stage.name, stage.sources) for stage in found.stages] == [("only", ("corpus",))]


def test_overrides_win_in_their_order(config):
    path = config({"train": {"epochs": 7}})
    found = load_config(
        path,
        [
            "train.epochs=8",
            "train.epochs=9",
            "train.learning_rate=3e-5",
            "seeds=[1,2]",
            "model.layers=null",
            "description=a = b",
        ],
    )
    assert (found.train.epochs, found.train.learning_rate, found.seeds, found.model.layers) == (9, 3e-5, (1, 2), None)
    assert found.description == "a = b"
    assert load_config(path, ["train={batch_size: 3}"]).train.epochs == 7, "a section is merged, not replaced"


def test_interpolation(config, monkeypatch):
    monkeypatch.setenv("TRISTANCE_TEST", "from-outside")
    found = load_config(
        config(
            {
                "name": "${oc.env:TRISTANCE_TEST}",
                "description": "${train.epochs} epochs",
                "train": {"eval_batch_size": "${train.batch_size}"},
            }
        )
    )
    assert (found.name, found.description, found.train.eval_batch_size) == (
        "from-outside",
        f"{found.train.epochs} epochs",
        found.train.batch_size,
    )


def test_one_file_of_a_split_needs_no_brackets(config):
    found = load_config(config({"data": {"sources": {"corpus": {"train": "a.jsonl", "test": None}}}}))
    assert (found.data.sources["corpus"].train, found.data.sources["corpus"].test) == (("a.jsonl",), ())


@pytest.mark.parametrize("name", ["pair", "pair.yaml", "configs/pair.yaml", SHIPPED / "pair.yaml"])
def test_a_shipped_config_by_its_name(name, config):
    config({})  # from another folder
    assert load_config(name).name == "pair"


def test_a_stage_may_differ_in_any_key_of_train(config):
    found = load_config(
        config({"stages": [{"name": "one", "train": {"epochs": 1, "loss_weights": {"holder": 0}}}, {"name": "two"}]})
    )
    one, two = map(found.training, found.stages)
    assert (one.epochs, one.loss_weights.holder, one.loss_weights.stance) == (1, 0, 1)
    assert two == found.train


def test_a_config_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        load_config(BASE).name = "other"


# Errors


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"train": {"epocs": 3}}, "train.epocs: unknown key; did you mean train.epochs?"),
        ({"learning_rate": 3}, "learning_rate: unknown key; did you mean train.learning_rate?"),
        ({"zzz": 3}, "zzz: unknown key; allowed: name, description, seeds"),
        (
            {"model": {"slots": {"atention": "full"}}},
            "model.slots.atention: unknown key; did you mean model.slots.attention?",
        ),
        (
            {"data": {"sources": {"x": {"formt": "csv"}}}},
            "data.sources.x.formt: unknown key; did you mean data.sources.x.format?",
        ),
        ({"stages": [{"nam": "a"}]}, "stages.0.nam: unknown key; did you mean stages.0.name?"),
        (
            {"stages": [{"train": {"epocs": 1}}]},
            "stages.0.train.epocs: unknown key; did you mean stages.0.train.epochs?",
        ),
        ({"stages": [{"train": {"epochs": "many"}}]}, "stages.0.train.epochs: found 'many'; allowed: a valid number"),
        ({"train": {"epochs": -1}}, "train.epochs: found -1; allowed: greater than 0"),
        ({"train": {"batch_size": 1.5}}, "train.batch_size: found 1.5; allowed: a valid integer"),
        ({"train": {"schedule": "square"}}, "train.schedule: found 'square'; allowed: 'linear', 'cosine'"),
        ({"model": {"architecture": "slot"}}, "model.architecture: found 'slot'; allowed: 'slots', 'pair'"),
        ({"train": 5}, "train: found 5; allowed: keys and values"),
        ({"train": None}, "train: found None; allowed: keys and values"),
        ({"train": [1]}, "train: found [1]; allowed: keys and values"),
        ({"stages": "main"}, "stages: found 'main'; allowed: a list"),
        ({"stages": []}, "stages: found []; allowed: tuple should have at least 1 item"),
        ({"seeds": "many"}, "seeds: found 'many'; allowed: a list"),
        ({"seeds": []}, "seeds: found []"),
        ({"seeds": [1, 1]}, "seeds: found [1, 1]; allowed: every seed may stand there once"),
        ({"seeds": [-1]}, "seeds.0: found -1; allowed: greater than or equal to 0"),
        ({"name": "a/b"}, "name: found 'a/b'"),
        ({"name": ".."}, "name: found '..'"),
        ({"name": {"x": 1}}, "name: found {'x': 1}; allowed: a valid string"),
        ({"tracking": ["wandb"]}, "tracking.0: found 'wandb'; allowed: 'tensorboard', 'mlflow' or 'trackio'"),
        ({"evaluation": {"primary": "f1"}}, "evaluation.primary: found 'f1'; allowed: 'mean.F_avg'"),
        (
            {"data": {"sources": {"corpus": {"format": "xls"}}}},
            "data.sources.corpus.format: found 'xls'; allowed: one of auto, jsonl",
        ),
        (
            {"data": {"sources": {"corpus": {"stance_labels": ["favor", "love"]}}}},
            "allowed: at least two of favor, against, neutral, unrelated",
        ),
        ({1: 2}, "1: found 1; allowed: keys should be strings"),
        # pairs that contradict each other
        (
            {"model": {"architecture": "pair", "slots": {"anonymous": True}}},
            "model: allowed: slots.anonymous needs architecture: slots, found pair",
        ),
        ({"stages": [{"sources": ["news"]}]}, "allowed: stage 'main': no source 'news' in data.sources: corpus"),
        ({"stages": [{"name": "a"}, {"name": "a"}]}, "allowed: stages need different names"),
        (
            {"model": {"architecture": "tfidf"}, "stages": [{"name": "a"}, {"name": "b"}]},
            "allowed: architecture tfidf is trained in one stage, found 2",
        ),
    ],
)
def test_an_error_names_file_key_value_and_what_is_allowed(config, content, said):
    path = config(content)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_all_errors_are_told_at_once_each_with_its_own_file(config):
    parent = config({"train": {"epochs": 0}}, "parent.yaml")
    child = config({"extends": "parent.yaml", "model": {"layers": 0}, "seed": [1]}, "child.yaml")
    with pytest.raises(UserError) as caught:
        load_config(child, ["train.warmup=2"])
    assert str(caught.value).splitlines() == [
        f"{child}: model.layers: found 0; allowed: a number of layers from 1 on, or a list of them such as [0, 2, 4]",
        f"{parent}: train.epochs: found 0; allowed: greater than 0",
        "command line: train.warmup: found 2; allowed: less than 1",
        f"{child}: seed: unknown key; did you mean seeds?",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [1\nb: }", "is not YAML: while parsing a flow sequence"),
        ("just words", "found 'just words'; allowed: keys and values"),
        ("- 1\n- 2", "found [1, 2]; allowed: keys and values"),
        ("name: 2024-01-01", "name: Value 'date' is not a supported primitive type"),
        ("name: ${", "name: no viable alternative at input '${'"),
        ("name: ${nowhere}", "name: Interpolation key 'nowhere' not found"),
        (
            "name: ${oc.env:TRISTANCE_NOT_SET}",
            "resolving interpolation: \"Environment variable 'TRISTANCE_NOT_SET' not found\"",
        ),
        ("extends: mine.yaml", "extends itself"),
        (
            "extends: nothing.yaml",
            "nothing.yaml: no such config; allowed: a file, or one of the shipped: ablations/end-place.yaml",
        ),
    ],
)
def test_a_file_that_is_no_config(config, content, said):
    path = config(content)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_files_that_extend_each_other(config):
    config({"extends": "b.yaml"}, "a.yaml")
    config({"extends": "a.yaml"}, "b.yaml")
    with pytest.raises(UserError, match=r"a\.yaml: extends itself by way of .*a\.yaml -> .*b\.yaml"):
        load_config("a.yaml")


def test_an_empty_file_is_base_under_another_name(config):
    assert load_config(config("")) == load_config(BASE)


@pytest.mark.parametrize("path", ["nowhere.yaml", "base.v2", "pair.yml", "/dev/null/x", "configs/nowhere.yaml"])
def test_no_such_config(path):
    with pytest.raises(UserError, match=f"{path}: no such config; allowed: a file, or one of the shipped"):
        load_config(path)


def test_a_folder_or_bytes_are_no_config(tmp_path):
    with pytest.raises(UserError, match="is a folder; allowed: a YAML file"):
        load_config(tmp_path)
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        load_config(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epochs", "override 'train.epochs': allowed: key=value, for example"),
        ("=3", "override '=3': allowed: key=value"),
        ("seeds=[13,", "override 'seeds=[13,': "),
        ("name=${", "override 'name=${': "),
        ("train.epochs=", "command line: train.epochs: found None; allowed: a valid number"),
        ("train.learning_rate=fast", "command line: train.learning_rate: found 'fast'; allowed: a valid number"),
        ("train.lr=3", "command line: train.lr: unknown key"),
        ("stages.0.name=b", "command line: stages: found {'0': {'name': 'b'}}; allowed: a list"),
        ("name=${nowhere}", "command line: name: Interpolation key 'nowhere' not found"),
    ],
)
def test_a_bad_override(override, said):
    with pytest.raises(UserError) as caught:
        load_config(BASE, [override])
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


# Comments, schema


def test_base_holds_every_key_with_its_meaning():
    header, _, content = BASE.read_text().partition("\n\n")
    assert all(line.startswith("#") for line in header.splitlines())
    assert content == with_comments(load_config(BASE))


def test_comments_change_nothing(config):
    for path in shipped_configs():
        loaded = load_config(path)
        assert load_config(config(with_comments(loaded))) == loaded, path


def test_every_field_of_every_section_says_what_it_means():
    sections, without = [Config], []
    for section in sections:
        assert section.__doc__
        for name, field in section.model_fields.items():
            inner = [
                kind
                for kind in (field.annotation, *typing.get_args(field.annotation))
                if isinstance(kind, type) and issubclass(kind, BaseModel)
            ]
            sections += [kind for kind in inner if kind not in sections]
            if not field.description and not (inner and inner[0] is field.annotation):
                without.append(f"{section.__name__}.{name}")
    assert len(sections) >= 9
    assert without == []


def test_the_schema_accepts_every_shipped_config_and_refuses_what_loading_refuses():
    schema = json.loads(json.dumps(json_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in shipped_configs():
        validator.validate(yaml.safe_load(path.read_text()))
    validator.validate({"seeds": 13, "data": {"sources": {"corpus": {"swap": "pairs.jsonl"}}}})
    for wrong in (
        {"train": {"epocs": 1}},
        {"seeds": "many"},
        {"train": {"epochs": "many"}},
        {"model": {"architecture": "oracle"}},
        {"stages": []},
    ):
        assert not validator.is_valid(wrong), wrong
    assert schema["$defs"]["TrainConfig"]["properties"]["warmup"]["description"].startswith("Share of the steps")


# Differences


def test_one_seed_needs_no_brackets():
    assert load_config(BASE, ["seeds=7"]).seeds == (7,)


def test_flatten_and_difference():
    first = {"a": {"b": 1, "c": {"d": [1, 2]}}, "e": {}, "f": 0}
    assert flatten(first) == {"a.b": 1, "a.c.d": [1, 2], "e": {}, "f": 0}
    assert difference(first, first) == {}
    assert difference(first, {"a": {"b": 1, "c": {"d": [1]}}, "e": {}, "g": None}) == {
        "a.c.d": ([1, 2], [1]),
        "f": (0, None),
    }


def test_known_keys_reach_into_every_section():
    assert {"train.loss_weights.stance", "data.sources.*.columns", "stages.*.train", "model.slots.place"} <= set(
        known_keys(Config)
    )


def test_what_is_shipped():
    base = load_config(BASE, ["seeds=[1,2,3]", "output=/elsewhere", "tracking=[mlflow]"])
    assert is_shipped(base.resolved())
    assert not is_shipped(load_config(BASE, ["train.epochs=5"]).resolved())
    assert not is_shipped(load_config(BASE, ["name=mine"]).resolved())


# Commands


def test_config_list_names_every_shipped_config(cli):
    lines = cli("config", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == [
        str(path.relative_to(SHIPPED).with_suffix("")) for path in shipped_configs()
    ]
    assert all(len(line.split(maxsplit=1)[1]) > 20 for line in lines), "each says what it is for"


def test_config_show_is_a_config(cli, config):
    shown = cli("config", "show", "quick", "train.epochs=2").out
    assert load_config(config(shown)) == load_config("quick", ["train.epochs=2"])
    assert cli("config", "show", "base", "--comments").out == with_comments(load_config(BASE))


def test_config_diff(cli):
    done = cli("config", "diff", "base", "quick")
    assert "model.layers: null -> 2" in done.out.splitlines()
    assert "train.epochs: 3.0 -> 0.5" in done.out.splitlines()
    assert not [line for line in done.out.splitlines() if line.startswith("seeds")]
    assert cli("config", "diff", "base", "base").out == ""


def test_config_validate(cli, config):
    good, bad = config({}, "good.yaml"), config({"seed": [1]}, "bad.yaml")
    done = cli("config", "validate", good, bad, "nowhere.yaml")
    assert done.code == 2
    assert done.out == f"{good}: valid\n"
    assert done.err.splitlines()[0] == f"error: {bad}: seed: unknown key; did you mean seeds?"
    assert done.err.splitlines()[1].startswith("error: nowhere.yaml: no such config")
    assert cli("config", "validate", good).code == 0


def test_config_schema(cli):
    assert json.loads(cli("config", "schema").out) == json_schema()


def test_no_such_command(cli):
    assert cli("config", "shw").code == 2
    assert cli("teach").code == 2
    assert cli("config", "show").code == 2
