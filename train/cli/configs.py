"""`tristance config`: show, validate, compare and describe configs."""

from __future__ import annotations

import json

import click


@click.group()
def config() -> None:
    """Show, validate, compare and describe configs.

    A config is a YAML file that holds only what differs from base.yaml. Everywhere a file is asked for, the name of a
    shipped one will do: `pair`, `configs/pair.yaml`.
    """


@config.command()
@click.argument("file")
@click.argument("overrides", nargs=-1)
@click.option("--comments", is_flag=True, help="Put each key's meaning above it.")
def show(file: str, overrides: tuple[str, ...], comments: bool) -> None:
    """Print FILE fully resolved, with OVERRIDES (train.epochs=2) applied."""
    import yaml

    from tristance.train.config import load_config
    from tristance.train.config_views import with_comments

    loaded = load_config(file, overrides)
    if comments:
        click.echo(with_comments(loaded), nl=False)
    else:
        click.echo(yaml.safe_dump(loaded.resolved(), sort_keys=False, allow_unicode=True), nl=False)


@config.command()
@click.argument("files", nargs=-1, required=True)
def validate(files: tuple[str, ...]) -> None:
    """Check FILES; say everything that is wrong with each."""
    from tristance.data.errors import UserError
    from tristance.train.config import load_config

    faulty = 0
    for file in files:
        try:
            load_config(file)
        except UserError as error:
            faulty += 1
            click.echo(f"error: {error}", err=True)
        else:
            click.echo(f"{file}: valid")
    if faulty:
        raise click.exceptions.Exit(2)


@config.command()
def schema() -> None:
    """Print the JSON Schema of a config, for editors.

    With the YAML extension of most editors, put this on a config's first line:

    \b
      # yaml-language-server: $schema=schema.json
    """
    from tristance.train.config_views import json_schema

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@config.command()
@click.argument("first")
@click.argument("second")
def diff(first: str, second: str) -> None:
    """Print the keys in which two configs, fully resolved, differ."""
    from tristance.train.config import load_config
    from tristance.train.config_views import difference

    differs = difference(load_config(first).resolved(), load_config(second).resolved())
    for key, (old, new) in differs.items():
        click.echo(f"{key}: {json.dumps(old, ensure_ascii=False)} -> {json.dumps(new, ensure_ascii=False)}")


@config.command(name="list")
def list_() -> None:
    """Print the shipped configs with what each is for."""
    from tristance.train.config import SHIPPED, load_config, shipped_configs

    names = {str(path.relative_to(SHIPPED).with_suffix("")): path for path in shipped_configs()}
    width = 2 + max(map(len, names))
    for name, path in names.items():
        click.echo(f"{name:{width}}{load_config(path).description}")
