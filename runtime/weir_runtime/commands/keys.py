"""`weir keys`: make an API key, check a file of them (docs/keys.md)."""

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from weir_api.degradation import CLASSES, ClassName
from weir_api.manifest import ManifestError, read, read_manifest
from weir_runtime.front.keys import digest, new_key, parse_keys, read_keys

AT_LEAST_ONE = click.IntRange(1)


@click.group()
def keys() -> None:
    """Make an API key; check a file of them."""


@keys.command()
@click.option("--tenant", required=True, help="Whose key it is: lower-case letters, digits and dashes.")
@click.option("--class", "highest", type=click.Choice(CLASSES), default="standard", show_default=True,
              help="The highest class that it may ask for.")  # fmt: skip
@click.option("--max-streams", type=AT_LEAST_ONE, help="Streams that the tenant may have open at once.")
@click.option("--audio-seconds-per-day", type=AT_LEAST_ONE, help="Audio that the tenant may send in a UTC day.")
@click.option("--file", type=click.Path(path_type=Path), help="Append the entry here; else it is printed.")
def new(
    tenant: str, highest: ClassName, max_streams: int | None, audio_seconds_per_day: int | None, file: Path | None
) -> None:
    """Print a new key, this once: only its hash is kept."""
    key = new_key()
    fields = {"sha256": digest(key), "tenant": tenant, "class": highest, "maxStreams": max_streams}
    text = _entry(fields | {"audioSecondsPerDay": audio_seconds_per_day})
    try:
        if file is None:
            parse_keys(text, "the new key", CLASSES)
        else:
            _append(file, text)
    except (ManifestError, OSError) as error:
        _fail(error)
    click.echo(key)
    if file is None:
        click.echo(f"\n{text}", nl=False)


@keys.command()
@click.option("-f", "--file", type=click.Path(path_type=Path), required=True, help="Manifest whose keys are meant.")
def check(file: Path) -> None:
    """Say whether a pipeline can use its keys file, or all that is wrong with it."""
    try:
        spec = read_manifest(file).spec
        if spec.auth is None:
            raise ManifestError(f"{file}: spec.auth: absent, so no keys are asked for")
        found = read_keys(Path(spec.auth.path), spec.classes)
    except ManifestError as error:
        _fail(error)
    tenants = len({grant.tenant for grant in found.values()})
    click.echo(f"{spec.auth.path}: ok, keys: {len(found)}, tenants: {tenants}")


def _entry(fields: dict[str, Any]) -> str:
    """An entry as YAML, JSON's scalars being YAML's."""
    lines = [f"{name}: {json.dumps(value)}" for name, value in fields.items() if value is not None]
    return "- " + "\n  ".join(lines) + "\n"


def _append(file: Path, entry: str) -> None:
    """What is there stays as it is, comments too. One write, so that a server sees the entry whole or not at all.
    Raises ManifestError where the file would not be one of keys any more.
    """
    text = read(file) if file.exists() else ""
    added = entry if not text or text.endswith("\n") else f"\n{entry}"
    parse_keys(text + added, str(file), CLASSES)
    with file.open("ab", buffering=0) as end:
        end.write(added.encode())


def _fail(error: Exception) -> NoReturn:
    click.echo(f"weir: {error}", err=True)
    sys.exit(1)
