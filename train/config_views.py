"""A config as others look at it: flat, as a difference, as a JSON schema, as YAML with comments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from tristance.data.sources import PAIRS, SPLITS
from tristance.train.config import Config, load_config, shipped_configs


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones; lists are leaves."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted keys in which two resolved configs differ, with both values; None where one lacks the key."""
    left, right = flatten(first), flatten(second)
    keys = [*left, *(key for key in right if key not in left)]
    return {key: (left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)}


def json_schema() -> dict[str, Any]:
    """JSON Schema of a config file: no key is required, since what is left out comes from the file it extends."""
    schema = Config.model_json_schema()
    files = schema["$defs"]["SourceConfig"]["properties"]
    lists = [(files[part], "string") for part in (*SPLITS, *PAIRS)] + [(schema["properties"]["seeds"], "integer")]
    for item, kind in lists:  # one file, one seed may stand without brackets
        keys = [key for key in ("type", "items", "minItems") if key in item]
        item["anyOf"] = [{"type": kind}, {key: item.pop(key) for key in keys}]
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Config that this one builds on; base.yaml if left out.",
    }
    for part in (schema, *schema["$defs"].values()):
        part.pop("required", None)
    return schema


def is_shipped(resolved: Mapping[str, Any]) -> bool:
    """Whether a resolved config is a shipped one, seeds and place aside: its test results may be shown."""
    aside = ("seeds", "output", "tracking", "description")

    def core(content: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in content.items() if key not in aside}

    return any(core(load_config(path).resolved()) == core(resolved) for path in shipped_configs())


def with_comments(config: Config) -> str:
    """The resolved config as YAML, each key under its meaning: what `base.yaml` holds."""
    return "\n".join(_commented(config, "")).strip() + "\n"


def _commented(section: BaseModel, indent: str) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if not indent:
            yield ""
        meaning = field.description or (type(value).__doc__ or "" if isinstance(value, BaseModel) else "")
        yield from (f"{indent}# {line}" for line in meaning.splitlines())
        nested = list(_nested(value, indent + "  "))
        if nested:
            yield f"{indent}{name}:"
            yield from nested
        else:
            yield indent + _one_line(name, section.model_dump(mode="json", include={name})[name])


def _nested(value: Any, indent: str) -> Iterator[str]:
    """The lines below a key that holds a section, or sections by name, or a list of sections."""
    if isinstance(value, BaseModel):
        yield from _commented(value, indent)
    elif isinstance(value, dict) and any(isinstance(inner, BaseModel) for inner in value.values()):
        for key, inner in value.items():
            yield f"{indent}{key}:"
            yield from _commented(inner, indent + "  ")
    elif isinstance(value, tuple) and any(isinstance(inner, BaseModel) for inner in value):
        for inner in value:
            yield f"{indent}-"
            yield from _commented(inner, indent + "  ")


def _one_line(name: str, value: Any) -> str:
    """`name: value` in YAML, lists and mappings in brackets."""
    text: str = yaml.safe_dump({name: value}, allow_unicode=True, default_flow_style=True, width=10_000)
    return text.strip()[1:-1]
