"""The `weir` command. Each subcommand is a file in commands/, imported when it is called: torch loads slowly."""

from importlib import import_module

import click

COMMANDS = ("serve", "transcribe", "models", "keys", "demo", "bench", "simulate")


class Commands(click.Group):
    """Finds a subcommand in the file of its name."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"weir_runtime.commands.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.command(cls=Commands)
@click.version_option(package_name="weir", prog_name="weir")
def main() -> None:
    """Streaming speech recognition: serve it, or send it a file."""
