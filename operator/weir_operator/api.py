"""The real Cluster: what the operator does at the API server, request by request.

Rules (each found on a real one): server-side apply re-creates what was deleted, so whoever means one object says its
uid; the status is sent whole; pods are made by POST and never applied, since one manager must not do both; `replicas`
goes to the scale subresource, where a pipeline that is gone is an error and not made anew.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from weir_operator import names
from weir_operator.actions import Manifest
from weir_operator.cluster import ApiError
from weir_operator.kinds import path
from weir_operator.transport import APPLY, MERGE, METADATA_ONLY, Request, Transport

GONE, CONFLICT = 404, 409


class KubernetesCluster:
    """See cluster.Cluster."""

    def __init__(self, transport: Transport, identity: str) -> None:
        """`identity`: the pod's name, as events name their reporter."""
        self._transport, self._identity = transport, identity

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        return await self._unless_gone(Request("get", kind, "GET", path(kind, namespace, name)))

    async def metadata(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        request = Request("get", kind, "GET", path(kind, namespace, name), accept=METADATA_ONLY)
        found = await self._unless_gone(request)
        return None if found is None else {"kind": kind, "metadata": found["metadata"]}

    async def list(self, kind: str, namespace: str | None, selector: str) -> list[dict[str, Any]]:
        pages = self._transport.pages(kind, path(kind, namespace), selector)
        return [found async for page in pages for found in page["items"]]

    async def apply(self, manifest: Manifest) -> dict[str, Any]:
        kind, meta = manifest["kind"], manifest["metadata"]
        return await self._apply(kind, path(kind, meta["namespace"], meta["name"]), manifest, names.MANAGER)

    async def create(self, manifest: Manifest) -> dict[str, Any]:
        kind, meta = manifest["kind"], manifest["metadata"]
        where = path(kind, meta["namespace"])
        query = {"fieldManager": names.MANAGER}
        return await self._transport.ask(Request("create", kind, "POST", where, query, manifest))

    async def delete(
        self, kind: str, namespace: str, name: str, uid: str, grace_s: int | None = None
    ) -> dict[str, Any] | None:
        options: dict[str, Any] = {"preconditions": {"uid": uid}}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        try:
            where = path(kind, namespace, name)
            return await self._unless_gone(Request("delete", kind, "DELETE", where, body=options))
        except ApiError as error:
            if error.status == CONFLICT:  # another object has the name: ours is gone
                return None
            raise

    async def annotate(
        self, kind: str, namespace: str, name: str, uid: str, values: Mapping[str, str | None]
    ) -> dict[str, Any] | None:
        patch = {"metadata": {"uid": uid, "annotations": dict(values)}}
        query = {"fieldManager": names.MANAGER}
        request = Request("patch", kind, "PATCH", path(kind, namespace, name), query, patch, MERGE)
        try:
            return await self._unless_gone(request)
        except ApiError as error:
            if error.status == 422 and "metadata.uid" in str(error):
                raise ApiError(CONFLICT, "Conflict", f"{kind} {name} is another object by now") from error
            raise

    async def apply_status(self, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> dict[str, Any]:
        manifest = _of_pipeline(namespace, name, uid) | {"status": status}
        where = path(names.KIND, namespace, name, "status")
        return await self._apply(f"{names.KIND}/status", where, manifest, names.STATUS_MANAGER)

    async def scale(self, namespace: str, name: str, replicas: int) -> None:
        where = path(names.KIND, namespace, name, "scale")
        query = {"fieldManager": names.SCALE_MANAGER}
        body = {"spec": {"replicas": replicas}}
        await self._transport.ask(Request("patch", f"{names.KIND}/scale", "PATCH", where, query, body, MERGE))

    async def event(self, namespace: str, name: str, uid: str, kind: str, reason: str, message: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = {"apiVersion": names.API_VERSION, "kind": names.KIND, "namespace": namespace, "name": name, "uid": uid}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{name}.", "namespace": namespace},
            "involvedObject": about,
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": names.MANAGER},
            "reportingComponent": names.MANAGER,
            "reportingInstance": self._identity,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        await self._transport.ask(Request("create", "Event", "POST", path("Event", namespace), body=event))

    async def _apply(self, kind: str, where: str, manifest: Manifest, manager: str) -> dict[str, Any]:
        query = {"fieldManager": manager, "force": "true"}
        return await self._transport.ask(Request("apply", kind, "PATCH", where, query, manifest, APPLY))

    async def _unless_gone(self, request: Request) -> dict[str, Any] | None:
        try:
            return await self._transport.ask(request)
        except ApiError as error:
            if error.status == GONE:
                return None
            raise


def _of_pipeline(namespace: str, name: str, uid: str) -> dict[str, Any]:
    meta = {"namespace": namespace, "name": name, "uid": uid}
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": meta}
