# ruff: noqa: A005 -- a subcommand is in the file of its name
"""`weir operator run`: the operator in a cluster, or beside one with a kubeconfig."""

import asyncio
import logging
import os
import platform
import sys
from pathlib import Path
from typing import Any

import click
import uvloop
from kubernetes.aio.config import ConfigException

from weir_api.logs import LEVELS, configure_logs, log
from weir_operator.settings import Settings
from weir_operator.signing_key import BrokenKeyError
from weir_operator.wiring import LOST
from weir_operator.wiring import run as run_operator

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@click.group()
def operator() -> None:
    """The part that makes StreamingPipelines run in Kubernetes."""


@operator.command()
@click.option("--namespace", help="The operator's own, for its Lease and key. Default: the pod's, else weir-system.")
@click.option(
    "--watch-namespace", "watched", multiple=True, help="Only pipelines there; may be repeated. Default: all."
)
@click.option("--default-image", default="weir/runtime:0.1.0", show_default=True, help="For pipelines that name none.")
@click.option("--probe-port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free one.")
@click.option("--network-policy/--no-network-policy", default=False, show_default=True, help="One for each pipeline.")
@click.option("--monitors/--no-monitors", default=True, show_default=True, help="ServiceMonitors, where known.")
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="KUBECONFIG",
    help="Default: $KUBECONFIG, else the pod's service account.",
)
def run(namespace: str | None, log_level: str, **given: Any) -> None:
    """Run until SIGTERM. Several may run: one leads, the others wait."""
    configure_logs(log_level, ("kopf", "asyncio", "aiohttp.access"))
    name = os.environ.get("POD_NAME") or platform.node()
    own = namespace or (NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.exists() else "weir-system")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            ended = runner.run(run_operator(Settings(own, name, **given)))
    except (BrokenKeyError, ConfigException, OSError) as error:
        hint = "; run it in a pod, or give --kubeconfig" if isinstance(error, ConfigException) else ""
        log(logging.ERROR, "operator cannot run", error=f"{error}{hint}")
        sys.exit(1)
    if ended == LOST:
        # A new process in this one's place: the kubelet would make a container that ends wait, longer each time.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    sys.exit(ended)
