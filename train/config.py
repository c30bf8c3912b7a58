"""An experiment's config: YAML merged by OmegaConf, validated into frozen models; each room defines its section."""

from __future__ import annotations

import difflib
import fnmatch
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails

from tristance.data.errors import UserError, first_line, shorten
from tristance.data.sections import Section
from tristance.data.sources import ActorsConfig, DataConfig
from tristance.models.registry import BASELINES, ModelConfig
from tristance.train.evaluation.options import EvaluationConfig
from tristance.train.protocols import ProtocolConfig

SHIPPED: Final = Path(__file__).parent.parent / "configs"
BASE: Final = SHIPPED / "base.yaml"
COMMAND_LINE: Final = "command line"


class LossWeights(Section):
    """Share of each task in the loss."""

    stance: float = Field(1.0, ge=0)
    """Weight of the stance loss."""
    holder: float = Field(0.5, ge=0)
    """Weight of the holder loss."""
    sentiment: float = Field(0.5, ge=0)
    """Weight of the sentiment loss."""


class TeacherConfig(Section):
    """Trained models whose probabilities are learnt beside the labels: Hinton, Vinyals & Dean, 2015."""

    models: tuple[str, ...] = ()
    """Runs (runs/base/13), experiments (runs/base: all its seeds), model folders, or patterns of them; of several the
    mean counts. Each reads the training sentences once, before training. Empty: no teacher."""
    weight: float = Field(0.5, ge=0, le=1)
    """Share of the teachers in the loss; what is left is the labels'."""
    temperature: float = Field(2.0, ge=1)
    """Divisor of the logits of teacher and student: the higher, the more the less likely answers count."""


class TrainConfig(Section):
    """How a network is trained; the baselines need none of it."""

    epochs: float = Field(3.0, gt=0)
    """Passes over the training split."""
    batch_size: int = Field(32, ge=1)
    """Sentences a step, in each process."""
    eval_batch_size: int = Field(64, ge=1)
    """Sentences a step when scoring."""
    gradient_accumulation: int = Field(1, ge=1)
    """Steps whose gradients are added before the weights move."""
    learning_rate: float = Field(3e-4, gt=0)
    """Peak learning rate of AdamW."""
    layer_decay: float = Field(0.85, gt=0, le=1)
    """Factor on the learning rate from each backbone layer to the one below; 1 trains all layers alike."""
    head_factor: float = Field(1.0, gt=0)
    """Factor on the learning rate of the fresh heads."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of the steps in which the learning rate rises from 0."""
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    """What the learning rate does after the warm-up."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's decoupled weight decay; none on biases and norms."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are clipped to this norm."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the probability spread over the other labels, of stance and sentiment."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weighs each stance by the inverse of its frequency in the training split."""
    loss_weights: LossWeights = LossWeights()
    teacher: TeacherConfig = TeacherConfig()
    early_stopping: int | None = Field(None, ge=1)
    """Stop after so many epochs without a better primary metric on validation; null never stops early."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic of the forward and backward pass."""
    freeze: int = Field(1, ge=0)
    """Freeze the embeddings and the lowest `freeze - 1` layers: 0 trains all, 1 freezes the embeddings alone."""
    device: Literal["auto", "cpu"] = "auto"
    """`auto` is a GPU where there is one."""


class StageConfig(Section):
    """One stage of an experiment; stages run in order, each from the weights of the one before."""

    name: str = Field("main", pattern=r"^[\w.-]+$")
    """Name of the stage, and of its folder."""
    sources: tuple[str, ...] = ("corpus",)
    """Data sources whose training splits are mixed. The first one's validation split chooses the checkpoint, and in the
    last stage it is the one that the experiment is judged by."""
    train: dict[str, Any] = Field(default_factory=dict)
    """Keys of `train` that differ in this stage alone."""


class Config(Section):
    """A whole experiment."""

    name: str = Field("base", pattern=r"^[\w,=+-][\w.,=+-]*$")
    """Name of the experiment, and of its folder under `output`."""
    description: str = ""
    """What the experiment is for, in a sentence."""
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field((13,), min_length=1)
    """A run for each: initial weights, order of the data, dropout."""
    output: str = "runs"
    """Folder of all experiments."""
    actors: ActorsConfig = ActorsConfig()
    data: DataConfig
    stages: tuple[StageConfig, ...] = Field((StageConfig(),), min_length=1)
    """Trained in order; one is the plain case."""
    protocol: ProtocolConfig = ProtocolConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    tracking: tuple[Literal["tensorboard", "mlflow", "trackio"], ...] = ()
    """Trackers that follow the training, by the Trainer's own callbacks."""

    @field_validator("seeds", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) else value

    @field_validator("seeds")
    @classmethod
    def _different_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("every seed may stand there once")
        return seeds

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        if len({stage.name for stage in self.stages}) < len(self.stages):
            raise ValueError("stages need different names")
        if len(self.stages) > 1 and self.model.architecture in BASELINES:
            raise ValueError(
                f"architecture {self.model.architecture} is trained in one stage, found {len(self.stages)}"
            )
        for number, stage in enumerate(self.stages):
            for source in stage.sources:
                if source not in self.data.sources:
                    raise ValueError(
                        f"stage {stage.name!r}: no source {source!r} in data.sources: {', '.join(self.data.sources)}"
                    )
            try:
                self.training(stage)
            except ValidationError as error:
                place = ("stages", number, "train")
                details = [{**item, "loc": (*place, *item["loc"])} for item in error.errors()]
                raise ValidationError.from_exception_data("Config", cast("list[InitErrorDetails]", details)) from error
        return self

    @model_validator(mode="after")
    def _teachers_have_a_student(self) -> Config:
        taught = [stage for stage in self.stages if self.training(stage).teacher.models]
        if taught and self.model.architecture in BASELINES:
            raise ValueError(
                f"train.teacher.models needs architecture: slots or pair, found {self.model.architecture}, which "
                "learns from labels alone"
            )
        return self

    def training(self, stage: StageConfig) -> TrainConfig:
        """The `train` section as it holds in a stage."""
        merged = OmegaConf.merge(self.train.model_dump(), stage.train)
        return TrainConfig.model_validate(OmegaConf.to_container(merged))

    def resolved(self) -> dict[str, Any]:
        """Every key with its value, JSON-ready."""
        return self.model_dump(mode="json")


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read, merge and validate a config.

    Args:
        path: A YAML file; `extends:` names the file it builds on (beside it, or shipped); none means `base.yaml`.
        overrides: `train.learning_rate=3e-5`, `seeds=[13,42]`, as on the command line.

    Raises:
        UserError: Naming the file, the key, what was found and what is allowed.
    """
    merged, origins = _read(Path(path), ())
    for override in overrides:
        key, equals, _ = override.partition("=")
        if not equals or not key.strip():
            raise UserError(f"override {override!r}: allowed: key=value, for example train.learning_rate=3e-5")
        origins[key.strip()] = COMMAND_LINE
        try:
            own = OmegaConf.to_container(OmegaConf.from_dotlist([override]))
        except (OmegaConfBaseException, yaml.YAMLError) as error:
            raise UserError(
                f"override {override!r}: {first_line(error)}; allowed: key=value, the value in YAML"
            ) from error
        merged = _merge(merged, own, COMMAND_LINE)
    try:
        content = OmegaConf.to_container(merged, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(
            f"{_origin(error.full_key or '', origins, path)}: {error.full_key}: {first_line(error)}"
        ) from error
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise UserError("\n".join(_explain(error, str(path), origins))) from error


def _read(path: Path, seen: tuple[Path, ...]) -> tuple[DictConfig, dict[str, str]]:
    """A file merged upon those that it extends, and for each dotted key the file that set it."""
    path = _find(path)
    if path in seen:
        raise UserError(f"{path}: extends itself by way of {' -> '.join(str(each) for each in seen)}")
    content = _parse(path)
    parent = content.pop("extends", None)
    if parent is None and path != BASE.resolve():
        parent = BASE
    origins = dict.fromkeys(_dotted(content), str(path))
    if parent is None:
        return _merge(OmegaConf.create(), content, str(path)), origins
    near = path.parent / str(parent)
    base, inherited = _read(near if near.exists() else Path(str(parent)), (*seen, path))
    return _merge(base, content, str(path)), inherited | origins


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except IsADirectoryError as error:
        raise UserError(f"{path}: is a folder; allowed: a YAML file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: found bytes that are not UTF-8; allowed: a YAML file") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{path}: found {shorten(content)}; allowed: keys and values")
    return content


def _merge(base: DictConfig, own: Any, origin: str) -> DictConfig:
    """Plain keys and values merged upon a config.

    Raises:
        UserError: If a section would replace a list or the other way round, or a value is nothing that a config holds.
    """
    for key, found, allowed in _clashes(OmegaConf.to_container(base), own):
        raise UserError(f"{origin}: {key}: found {shorten(found)}; allowed: {allowed}")
    try:
        merged = OmegaConf.merge(base, OmegaConf.create(own))
    except OmegaConfBaseException as error:
        raise UserError(f"{origin}: {error.full_key}: {first_line(error)}") from error
    assert isinstance(merged, DictConfig)
    return merged


def _clashes(base: Any, own: Any, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Dotted keys, values and what is allowed, wherever a list meets a section: OmegaConf would not say where."""
    for key in [key for key in own if key in base]:
        here, there = own[key], base[key]
        if isinstance(there, dict) and isinstance(here, dict):
            yield from _clashes(there, here, f"{prefix}{key}.")
        elif isinstance(there, dict | list) and isinstance(here, dict | list) and type(there) is not type(here):
            yield f"{prefix}{key}", here, "a list" if isinstance(there, list) else "keys and values"


def _find(path: Path) -> Path:
    if path.exists():
        return path.resolve()
    shipped = SHIPPED / (path.name if path.parts[:1] == ("configs",) else path)
    for found in (shipped, shipped.with_name(f"{shipped.name}.yaml")):
        if found.is_file() and found.suffix == ".yaml":
            return found.resolve()
    known = ", ".join(sorted(str(each.relative_to(SHIPPED)) for each in shipped_configs()))
    raise UserError(f"{path}: no such config; allowed: a file, or one of the shipped: {known}")


def shipped_configs() -> list[Path]:
    """Every experiment that ships with tristance."""
    return sorted(path for path in SHIPPED.rglob("*.yaml") if "sweeps" not in path.parts)


def _dotted(content: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")


def _explain(error: ValidationError, path: str, origins: Mapping[str, str]) -> Iterator[str]:
    """One line an error: file, key, what was found, what is allowed, and the nearest known key."""
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "config"
        if item["type"] == "extra_forbidden":
            yield f"{_origin(key, origins, path)}: {key}: unknown key; {_hint(key)}"
            continue
        if item["type"] == "too_short" and item["input"]:
            continue  # pydantic counts what was left after the faults it has told already
        # a section as a whole says by itself what is wrong inside it
        whole = item["type"] == "value_error" and isinstance(item["input"], Mapping)
        found = "" if whole else f"found {shorten(item['input'])}; "
        yield f"{_origin(key, origins, path)}: {key}: {found}allowed: {_plainly(item['msg'])}"


def _plainly(message: str) -> str:
    """What pydantic says, in the words of somebody who writes YAML."""
    for said, meant in (("Value error, ", ""), ("Input should be ", ""), ("a valid tuple", "a list")):
        message = message.replace(said, meant)
    if message.startswith("a valid dictionary"):
        return "keys and values"
    return f"{message[:1].lower()}{message[1:]}"


def _origin(key: str, origins: Mapping[str, str], path: str | Path) -> str:
    """Where a key was set, or the section that it stands in."""
    return next((origins[part] for part in _ancestors(key) if part in origins), str(path))


def _hint(key: str) -> str:
    """The known key nearest to an unknown one: of its own section, else of any; or all of its section."""
    known = known_keys(Config)
    known += [f"stages.*.{each}" for each in known if each.startswith("train.")]  # a stage may differ in any of them
    parent, _, leaf = key.rpartition(".")
    parents = {each: each.rpartition(".")[0] for each in known}
    beside = [
        each.rpartition(".")[2]
        for each, section in parents.items()
        if fnmatch.fnmatchcase(parent, section) and parent.count(".") == section.count(".")  # `*` would match a dot too
    ]
    near = difflib.get_close_matches(leaf, beside, 1, 0.6)
    if near:
        return f"did you mean {parent}{'.' if parent else ''}{near[0]}?"
    leaves = {each.rpartition(".")[2]: each for each in reversed(known)}
    elsewhere = difflib.get_close_matches(leaf, list(leaves), 1, 0.6)
    if elsewhere:
        return f"did you mean {leaves[elsewhere[0]]}?"
    return f"allowed: {', '.join(beside)}" if beside else "no section holds it"


def _ancestors(key: str) -> Iterator[str]:
    while key:
        yield key
        key = key.rpartition(".")[0]


def known_keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    """Every dotted key of a section; `*` stands for a name that the user chooses, or a place in a list."""
    keys = []
    for name, field in section.model_fields.items():
        keys.append(prefix + name)
        many = typing.get_args(field.annotation)
        for inner in (field.annotation, *many):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                keys.extend(known_keys(inner, f"{prefix}{name}.{'*.' if many else ''}"))
    return keys
