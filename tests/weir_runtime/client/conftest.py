"""Nobody waits in tests."""

import pytest


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr("weir_runtime.client.session.SHED_S", 0.0)
    monkeypatch.setattr("weir_runtime.client.session.MOVE_S", 0.0)
