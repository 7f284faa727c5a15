"""The seam to the API server: what the operator does there, and how it can fail. api.py is the real one; the tests that
crash the operator anywhere bring a simulated one.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from weir_operator.actions import Manifest


class ApiError(Exception):
    """The API server said no, or nothing."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        """`status`: HTTP's, 0 where there was no answer; `reason`: Kubernetes' word, such as Conflict."""
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason, self.message = status, reason, message

    @property
    def passing(self) -> bool:
        """Whether trying again later may help: no answer, too many requests, the server's own fault; not a 500 of
        server-side apply, which is how an unknown field is answered."""
        return self.status in (0, 429, 502, 503, 504)


class Cluster(Protocol):
    """Every call has a time-out of its own and raises ApiError."""

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The object; None: there is none."""

    async def metadata(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The object's kind and metadata, its content is not read; None: there is none."""

    async def list(self, kind: str, namespace: str | None, selector: str) -> list[dict[str, Any]]:
        """All objects of a kind with these labels; `namespace` None: in all."""

    async def apply(self, manifest: Manifest) -> dict[str, Any]:
        """Server-side apply as names.MANAGER. With `metadata.uid` in the manifest only to that object (409 else)."""

    async def create(self, manifest: Manifest) -> dict[str, Any]:
        """POST; 409 AlreadyExists where the name is taken."""

    async def delete(
        self, kind: str, namespace: str, name: str, uid: str, grace_s: int | None = None
    ) -> dict[str, Any] | None:
        """Delete exactly this object. The answer is a pod with its deletionTimestamp, or a Status; None: it is gone."""

    async def annotate(
        self, kind: str, namespace: str, name: str, uid: str, values: Mapping[str, str | None]
    ) -> dict[str, Any] | None:
        """Set annotations, None removes one; 409 where the object is another one by now; None: it is gone."""

    async def apply_status(self, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> dict[str, Any]:
        """The whole status of a pipeline, as names.STATUS_MANAGER; the answer is the pipeline."""

    async def scale(self, namespace: str, name: str, replicas: int) -> None:
        """spec.replicas of a pipeline, as names.SCALE_MANAGER."""

    async def event(self, namespace: str, name: str, uid: str, kind: str, reason: str, message: str) -> None:
        """Post an event about a pipeline; `kind` Normal or Warning. What cannot be posted is not missed."""
