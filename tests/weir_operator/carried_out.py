"""A plan carried out on a cluster of plain dicts."""

import asyncio
import itertools

from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import names
from weir_operator.actions import Plan
from weir_operator.apply import Hands, apply
from weir_operator.book import Entry
from weir_operator.caches import Caches
from weir_operator.cluster import ApiError
from weir_operator.observe import observe
from weir_operator.observed import Observed
from weir_operator.owned import metadata
from weir_operator.trimmed import Pipeline

OBSERVED = Observed("n", "captions", "uid-p", 1, StreamingPipelineSpec(), StreamingPipelineStatus())
PIPELINE = Pipeline(OBSERVED.key, "uid-p", 1, False, StreamingPipelineSpec(), "", StreamingPipelineStatus())


class FakeCluster:
    """Objects by kind and name, and all calls in order. `faults`: what the nth call raises before or after it works."""

    def __init__(self):
        self.objects, self.calls, self.faults, self._versions = {}, [], {}, itertools.count(1)
        self.pipeline = "uid-p"

    def put(self, manifest, uid=None):
        old = self.objects.get((manifest["kind"], manifest["metadata"]["name"]), {"metadata": {}})
        meta = {"uid": uid or f"uid-{next(self._versions)}"} | old["metadata"] | manifest["metadata"]
        meta["resourceVersion"] = str(next(self._versions))
        made = {**manifest, "metadata": meta}
        self.objects[manifest["kind"], meta["name"]] = made
        return made

    def _call(self, *what):
        self.calls.append(what)
        when, error = self.faults.get(len(self.calls), ("", None))
        if when == "before":
            raise error
        return error

    async def get(self, kind, namespace, name):
        if kind == names.KIND:  # whether the pipeline is there: asked before anything is made
            return {"metadata": {"uid": self.pipeline}} if self.pipeline else None
        self._call("get", kind, name)
        return self.objects.get((kind, name))

    async def metadata(self, kind, namespace, name):
        self._call("metadata", kind, name)
        found = self.objects.get((kind, name))
        return found and {"kind": kind, "metadata": found["metadata"]}

    async def apply(self, manifest):
        self._call("apply", manifest["kind"], manifest["metadata"]["name"], manifest["metadata"].get("uid"))
        return self.put(manifest)

    async def create(self, manifest):
        after = self._call("create", manifest["metadata"]["name"])
        if (manifest["kind"], manifest["metadata"]["name"]) in self.objects:
            raise ApiError(409, "AlreadyExists", "")
        made = self.put(manifest)
        if after:
            raise after
        return made

    async def delete(self, kind, namespace, name, uid, grace_s=None):
        self._call("delete", kind, name, uid, grace_s)
        found = self.objects.get((kind, name))
        return self.put(found | {"metadata": found["metadata"] | {"deletionTimestamp": "2026-01-01T00:00:00Z"}})

    async def annotate(self, kind, namespace, name, uid, values):
        self._call("annotate", name, uid, dict(values))
        found = self.objects[kind, name]
        kept = {key: value for key, value in values.items() if value is not None}
        return self.put(found | {"metadata": found["metadata"] | {"annotations": kept}})

    async def scale(self, namespace, name, replicas):
        self._call("scale", replicas)


class NoSource:
    """Informers that are never run."""


class Scene:
    def __init__(self):
        self.cluster, self.due, self.did = FakeCluster(), [], []
        self.caches = Caches(NoSource(), (), self.due.append, lambda: 100.0)
        self.entry, self.valid = Entry("uid-p"), True
        self.hands = Hands(
            self.cluster, self.caches, lambda: self.valid, lambda: 100.0, "key of {}".format, self.did.append
        )

    def apply(self, *actions, observed=OBSERVED):
        return asyncio.run(apply(Plan(actions), observed, self.entry, self.hands))

    def observe(self):
        return observe(PIPELINE, self.caches, self.entry)


def config_map(name="captions-aaaaaaaa"):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(OBSERVED, name), "data": {"a": "b"}}


def pod(name="captions-aaaaaaaa-bcdfg"):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata(OBSERVED, name), "spec": {}}
