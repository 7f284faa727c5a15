"""What a pipeline says of its pods: the image, the accelerator, and a curated overlay of Kubernetes' own pod fields."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from weir_api.base import ApiModel, FieldError, unique

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$", max_length=32)]
Label = Annotated[str, Field(min_length=1, max_length=253)]  # the name of something else in the cluster
LabelKey = Annotated[
    str,
    Field(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=317),
]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
Text = Annotated[str, Field(max_length=1024)]
KubernetesObject = dict[str, Any]  # a field of Kubernetes' own API, which checks it when the pod is made
NAMED_FIELDS: dict[str, JsonValue] = {
    "name": {"type": "string", "minLength": 1, "maxLength": 63, "description": "Of the volume."}
}
NAMED: dict[str, JsonValue] = {"properties": NAMED_FIELDS, "required": ["name"]}  # what the resource's schema knows


def _named(volume: KubernetesObject) -> KubernetesObject:
    name = volume.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= 63:
        raise FieldError(("name",), "is missing, or no text of 1 to 63 characters")
    return volume


def _mounted(mount: KubernetesObject) -> KubernetesObject:
    path = _named(mount).get("mountPath")
    if not isinstance(path, str) or not 1 <= len(path) <= LONGEST_PATH:
        raise FieldError(("mountPath",), f"is missing, or no text of 1 to {LONGEST_PATH} characters")
    return mount


LONGEST_PATH = 1024
PATH: dict[str, JsonValue] = {
    "type": "string", "minLength": 1, "maxLength": LONGEST_PATH, "description": "Where in the container."
}  # fmt: skip
MOUNTED: dict[str, JsonValue] = {
    "properties": {**NAMED_FIELDS, "mountPath": PATH},
    "required": ["name", "mountPath"],
}
Volume = Annotated[KubernetesObject, AfterValidator(_named), Field(json_schema_extra=NAMED)]
Mount = Annotated[KubernetesObject, AfterValidator(_mounted), Field(json_schema_extra=MOUNTED)]
RESERVED_ENV = ("WEIR_POD_NAME", "WEIR_POD_UID", "WEIR_PIPELINE_UID", "WEIR_RESUME_KEY")
RESERVED_LABELS = ("weir.dev/", "app.kubernetes.io/")
RESERVED_VOLUMES = ("weir", "models", "keys", "resume", "tmp")
RESERVED_MOUNTS = ("/etc/weir", "/etc/weir-keys", "/etc/weir-resume", "/models", "/tmp")
RESERVED_PATHS = (
    "^(/etc/weir(-keys|-resume)?(/.*)?|(/models|/tmp)/*)$"  # below what is read-only nothing can be mounted
)


class Resources(ApiModel):
    """Compute resources of the runtime container, as Kubernetes has them."""

    requests: dict[LabelKey, Quantity] = Field(default={}, max_length=16, description="What the scheduler sets aside.")
    limits: dict[LabelKey, Quantity] = Field(
        default={}, max_length=16, description="What the container may not exceed."
    )


class EnvVar(ApiModel):
    """An environment variable of the runtime container."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=253, description="Of the variable.")
    value: str = Field("", max_length=4096, description="Its text.")


class LocalReference(ApiModel):
    """An object of the pipeline's own namespace, by name."""

    name: str = Field(min_length=1, max_length=253, description="Of the object.")


class Runtime(ApiModel):
    """The pods that serve the pipeline."""

    image: str | None = Field(None, min_length=1, max_length=512, description="Absent: the operator's default image.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When the kubelet asks the registry for the image."
    )
    accelerator: Literal["cpu", "gpu"] = Field(
        "cpu", description="What the models run on. It cannot be changed later: make a new pipeline instead."
    )
    gpu_resource_name: Label = Field("nvidia.com/gpu", description="Extended resource that one pod asks one of.")
    resources: Resources = Field(default_factory=Resources)
    env: list[EnvVar] = Field(default=[], max_length=64, description="Variables besides the operator's own.")
    node_selector: dict[LabelKey, LabelValue] = Field(
        default={}, max_length=32, description="Labels of the nodes that may run the pods."
    )
    tolerations: list[KubernetesObject] = Field(
        default=[], max_length=32, description="Taints of nodes that the pods bear, as in a Pod."
    )
    affinity: KubernetesObject | None = Field(None, description="As in a Pod.")
    topology_spread_constraints: list[KubernetesObject] = Field(default=[], max_length=8, description="As in a Pod.")
    volumes: list[Volume] = Field(
        default=[],
        max_length=32,
        description="As in a Pod, besides weir, models, keys, resume and tmp, which are ours.",
    )
    volume_mounts: list[Mount] = Field(
        default=[], max_length=32, description="As in a container of a Pod, besides Weir's own paths."
    )
    priority_class_name: Label | None = Field(None, description="PriorityClass of the pods; absent: the cluster's.")
    runtime_class_name: Label | None = Field(None, description="RuntimeClass of the pods; absent: the node's own.")
    service_account_name: Label | None = Field(None, description="Absent: the namespace's default, without its token.")
    image_pull_secrets: list[LocalReference] = Field(
        default=[], max_length=8, description="Secrets with which the kubelet asks the registry."
    )
    labels: dict[LabelKey, LabelValue] = Field(
        default={}, max_length=32, description="On the pods, besides Weir's own."
    )
    annotations: dict[LabelKey, Text] = Field(default={}, max_length=32, description="On the pods.")

    @model_validator(mode="after")
    def _own_names(self) -> Self:
        unique("env", "name", [variable.name for variable in self.env])
        for place, variable in enumerate(self.env):
            if variable.name in RESERVED_ENV:
                raise FieldError(("env", place, "name"), f"{variable.name} is set by the operator; leave it out")
        for place, volume in enumerate(self.volumes):
            if volume["name"] in RESERVED_VOLUMES:
                message = f"{volume['name']} is one of Weir's own volumes ({', '.join(RESERVED_VOLUMES)}); rename it"
                raise FieldError(("volumes", place, "name"), message)
        for place, mount in enumerate(self.volume_mounts):
            if re.match(RESERVED_PATHS, mount["mountPath"]):
                message = f"{', '.join(RESERVED_MOUNTS)} are Weir's own; mount yours elsewhere"
                raise FieldError(("volumeMounts", place, "mountPath"), message)
        for key in self.labels:
            if key.startswith(RESERVED_LABELS):
                message = f"labels under {' and '.join(RESERVED_LABELS)} are the operator's; leave them out"
                raise FieldError(("labels", key), message)
        return self


class ModelCache(ApiModel):
    """Where checkpoints are kept between starts. Absent: an emptyDir, filled at each start."""

    persistent_volume_claim: str | None = Field(
        None, min_length=1, max_length=253, description="A claim in the pipeline's namespace that all pods can mount."
    )
    size_limit: Quantity | None = Field(None, description="Of the emptyDir, where no claim is named.")

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.persistent_volume_claim is not None and self.size_limit is not None:
            raise FieldError(("sizeLimit",), "a claim has its own size; leave sizeLimit out")
        return self
