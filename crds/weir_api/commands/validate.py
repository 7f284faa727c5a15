"""`weir validate`: what `kubectl apply` would say, without a cluster."""

import sys
from pathlib import Path
from typing import Literal

import click

from weir_api.documents import Verdict, verdicts
from weir_api.manifest import ManifestError, parse_manifest, read

Target = Literal["kubernetes", "serve"]
TARGETS: tuple[Target, ...] = ("kubernetes", "serve")


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--for",
    "target",
    type=click.Choice(TARGETS),
    default="kubernetes",
    show_default=True,
    help="kubernetes: what kubectl apply takes. serve: what weir serve -f takes, such as auth.keysFile.",
)
def validate(files: tuple[Path, ...], target: Target) -> None:
    """Check the pipelines in FILEs, - being standard input.

    Documents of other kinds are passed by. Problems are told as `file:line: field: message`, and the exit code is 1.
    """
    found = [verdict for file in files for verdict in _of(file, target)]
    for verdict in found:
        click.echo(verdict.says, err=verdict.answer == "invalid")
    sys.exit(any(verdict.answer == "invalid" for verdict in found))


def _of(file: Path, target: Target) -> list[Verdict]:
    name = "stdin" if str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if str(file) == "-" else read(file)
        if target == "kubernetes":
            return verdicts(text, name)
        return [Verdict("valid", f"{name}: {parse_manifest(text, name).metadata.name} is valid")]
    except ManifestError as error:
        return [Verdict("invalid", str(error))]
