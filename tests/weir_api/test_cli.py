"""`weir` without some of its packages: the operator's image has no runtime, and a laptop may have no operator."""

import subprocess
import sys
from importlib.metadata import entry_points

import click
import pytest
from click.testing import CliRunner

from weir_api.cli import EXTRAS, main


def weir(*words, without):
    """Run where the modules `without` cannot be imported."""
    lines = ["import sys", f"sys.modules.update(dict.fromkeys({without!r}))", "from weir_api.cli import main", "main()"]
    return subprocess.run([sys.executable, "-c", "\n".join(lines), *words], capture_output=True, text=True)


@pytest.mark.parametrize("entry", entry_points(group="weir.commands"), ids=lambda entry: entry.name)
def test_every_subcommand_is_one(entry):
    command = entry.load()
    assert isinstance(command, click.Command)
    assert command.name == entry.name
    assert command.get_short_help_str()


def test_an_unknown_subcommand_is_a_mistake():
    done = CliRunner().invoke(main, ["prayer"])
    assert done.exit_code == 2
    assert "No such command 'prayer'" in done.output


@pytest.mark.parametrize(
    ("words", "without", "missing", "extra"),
    [
        (["serve", "-f", "pipeline.yaml"], ["torch"], "torch", "runtime"),
        (["serve", "--help"], ["weir_runtime"], "weir_runtime", "runtime"),
        (["operator", "run"], ["kopf"], "kopf", "operator"),
    ],
)
def test_what_is_not_installed_says_which_extra_is_missing(words, without, missing, extra):
    done = weir(*words, without=without)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"weir: {words[0]} needs {missing}, which is not installed: pip install 'weir[{extra}]'\n"


def test_the_contract_alone_is_enough_to_check_a_manifest():
    done = weir("--help", without=[*EXTRAS])
    assert done.returncode == 0
    assert "(needs pip install 'weir[runtime]')" in done.stdout
    assert weir("crd", "print", without=[*EXTRAS]).stdout.startswith("apiVersion: apiextensions.k8s.io/v1\n")
    assert "nowhere: cannot be read" in weir("validate", "nowhere", without=[*EXTRAS]).stderr


def test_a_mistake_in_our_own_packages_is_not_taken_for_a_missing_extra():
    done = weir("keys", without=["weir_runtime.front.keys"])
    assert done.returncode == 1
    assert "Traceback" in done.stderr
