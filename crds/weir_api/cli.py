"""The `weir` command. Subcommands are entry points (group weir.commands in pyproject.toml), imported when they are
called: torch loads slowly, and no package has to know another. Where a subcommand's dependencies are missing, it is
listed all the same and says which extra to install.
"""

from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

import click

EXTRAS = {"weir_runtime": "runtime", "weir_operator": "operator"}  # of pyproject.toml; weir_api needs none


class Commands(click.Group):
    """Finds a subcommand among the entry points."""

    def list_commands(self, _: click.Context) -> list[str]:
        return sorted(entry_points(group="weir.commands").names)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        for entry in entry_points(group="weir.commands", name=cmd_name):
            try:
                command = entry.load()
            except ModuleNotFoundError as error:
                return _absent(entry, error)
            assert isinstance(command, click.Command)
            return command
        return None


@click.command(cls=Commands)
@click.version_option(package_name="weir", prog_name="weir")
def main() -> None:
    """Streaming speech recognition: serve it, send it a file, or run it in Kubernetes."""


def _absent(entry: EntryPoint, error: ModuleNotFoundError) -> click.Command:
    """What stands for a subcommand that cannot be imported. Raises `error` where no extra would help."""
    package = entry.module.partition(".")[0]
    missing = (error.name or "").partition(".")[0]
    if package not in EXTRAS or (missing == package and find_spec(package)):
        raise error
    install = f"pip install 'weir[{EXTRAS[package]}]'"

    @click.pass_context
    def fail(context: click.Context) -> None:
        click.echo(f"weir: {entry.name} needs {missing}, which is not installed: {install}", err=True)
        context.exit(1)

    return click.Command(
        entry.name,
        callback=fail,
        short_help=f"(needs {install})",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
