"""Whether what a pipeline refers to is there: Secrets and claims of other people, which are not watched.

Rules: a Secret's content is not read; what was there is asked for again after ten minutes, what was missing after ten
seconds, so a pipeline at rest costs next to nothing.
"""

from collections.abc import Callable

from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator.cluster import ApiError, Cluster

THERE_S, MISSING_S = 600.0, 10.0
FORBIDDEN = 403
Reference = tuple[str, str]  # kind, name


def references_of(spec: StreamingPipelineSpec) -> list[Reference]:
    """Everything that pods of the pipeline cannot start without."""
    found: list[Reference] = [("Secret", secret.name) for secret in spec.runtime.image_pull_secrets]
    if spec.auth is not None and spec.auth.api_keys_secret_ref is not None:
        found.append(("Secret", spec.auth.api_keys_secret_ref.name))
    if spec.model.cache.persistent_volume_claim is not None:
        found.append(("PersistentVolumeClaim", spec.model.cache.persistent_volume_claim))
    return found


class References:
    """`clock`: any seconds."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float]) -> None:
        self._cluster, self._clock = cluster, clock
        self._known: dict[tuple[str, Reference], tuple[bool, float]] = {}  # whether it is there, and when that is old

    async def missing(self, namespace: str, spec: StreamingPipelineSpec) -> tuple[str, ...]:
        """Such as "Secret captions-keys". Raises ApiError."""
        return tuple(
            [f"{kind} {name}" for kind, name in references_of(spec) if not await self._there(namespace, (kind, name))]
        )

    async def _there(self, namespace: str, reference: Reference) -> bool:
        there, until = self._known.get((namespace, reference), (False, float("-inf")))
        if self._clock() >= until:
            there = await self._exists(namespace, *reference)
            self._known[namespace, reference] = there, self._clock() + (THERE_S if there else MISSING_S)
        return there

    async def _exists(self, namespace: str, kind: str, name: str) -> bool:
        """What may not be looked at is not said to be missing."""
        try:
            return await self._cluster.metadata(kind, namespace, name) is not None
        except ApiError as error:
            if error.status == FORBIDDEN:
                return True
            raise
