"""What hack/e2e says before it does anything."""

import pytest
from box import requirements
from endtoend import command


@pytest.fixture
def poor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that cannot have a cluster."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(requirements, "lacking_for_control_plane", lambda: "a cluster needs root")


def test_a_machine_that_cannot_have_a_cluster_is_told_why(poor: None, capsys: pytest.CaptureFixture[str]):
    assert command.main(["--short"], None) == 0  # the end of `make test`, which goes on
    assert command.main([], None) == 1
    assert capsys.readouterr().out == "e2e: left out: a cluster needs root\n" * 2


def test_scenarios_are_listed_with_what_happens(capsys: pytest.CaptureFixture[str]):
    assert command.main(["--list"], None) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == list(command.NAMES)
    assert "drain          `kubectl drain` of a node" in said


def test_a_scenario_that_does_not_exist_is_refused_with_those_that_do(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        command.main(["--only", "drain,flood"], None)
    assert "no scenario flood; there are latency, overload" in capsys.readouterr().err


def test_a_cluster_elsewhere_cannot_mount_this_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("KUBECONFIG", "/somewhere/config")
    monkeypatch.delenv("CLUSTER_NAME", raising=False)
    assert command.main(["--checkout"], None) == 2
    assert "only a box has nodes here" in capsys.readouterr().err


def test_the_short_form_has_a_rung_a_rollout_and_the_end():
    assert set(command.SHORT) <= set(command.NAMES)
    assert command.SHORT[-1] == command.NAMES[-1] == "uninstall"
