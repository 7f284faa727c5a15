"""kopf's part: it watches StreamingPipelines, and each event goes into the caches. Nothing else is kopf's.

Rules: on.event only, so kopf writes nothing into the resource; handlers return nothing (kopf would write it into the
status); no scanning and no peering, which need rights in the whole cluster; its finalizer has a name of ours, since
kopf takes its default one from whatever it sees.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import kopf
from kubernetes.aio.client import Configuration

from weir_operator import names

RECONNECT_S = (1, 1, 2, 2, 2, 5, 5, 5, 10, 10)


def settings() -> kopf.OperatorSettings:
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.scanning.disabled = True
    made.persistence.finalizer = names.FINALIZER
    made.queueing.worker_limit = 50
    made.queueing.idle_timeout = 0.2
    made.watching.server_timeout = 300
    made.watching.client_timeout = 310
    made.watching.connect_timeout = 5
    made.watching.chunk_size = 500
    made.networking.connect_timeout = 5
    made.networking.request_timeout = 10
    made.networking.error_backoffs = RECONNECT_S
    return made


async def watch_pipelines(
    configuration: Configuration,
    namespaces: Sequence[str],
    hear: Callable[[dict[str, Any]], None],
    ready: asyncio.Event,
) -> None:
    """For ever; `ready` is set once kopf runs and has taken the signals over. Raises RuntimeError where it ends."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await connection(configuration)

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def changed(event: Any, **_: Any) -> None:
        hear(event)

    await kopf.operator(
        registry=registry,
        settings=settings(),
        identity=names.MANAGER,  # type: ignore[arg-type]  # of no use without peering; left out, kopf asks for the user's name, and a container's user has none
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
        ready_flag=ready,
    )
    raise RuntimeError("kopf ended")


async def connection(configuration: Configuration) -> kopf.ConnectionInfo:
    """The same credentials as everything else here; asked for again when the API server refuses them."""
    header = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization") or ""
    scheme, _, token = header.rpartition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )
