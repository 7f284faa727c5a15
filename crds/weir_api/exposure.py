"""How clients outside the cluster reach a pipeline: one of an Ingress, a gateway's HTTPRoute, Contour's HTTPProxy."""

from typing import Annotated

from pydantic import Field

from weir_api.base import ApiModel
from weir_api.pod import Label, LabelKey, Text

HostName = Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]


class Ingress(ApiModel):
    """An Ingress for /v1 and the captions page, never for the control port. Absent: only the Service in the cluster.

    What its controller has to be told of WebSockets goes into `annotations`: Contour needs
    `projectcontour.io/websocket-routes: /v1/stream`.
    """

    host: HostName = Field(description="Name under which clients reach the pipeline.")
    class_name: Label | None = Field(None, description="Ingress class; absent: the cluster's default.")
    tls_secret_name: Label | None = Field(None, description="Certificate; absent: no TLS at the ingress.")
    annotations: dict[LabelKey, Text] = Field(
        default={}, max_length=32, description="For the controller, such as its time-outs for long WebSockets."
    )


class HttpProxy(ApiModel):
    """An HTTPProxy of Contour, instead of an Ingress. New streams go to the pod with the fewest requests; what a full
    pod answers 503 is tried again, on another pod if chance has it.
    """

    host: HostName = Field(description="Name under which clients reach the pipeline.")
    class_name: Label | None = Field(None, description="Ingress class of that Contour; absent: whichever takes it.")
    tls_secret_name: Label | None = Field(None, description="Certificate; absent: no TLS at the ingress.")
    annotations: dict[LabelKey, Text] = Field(default={}, max_length=32, description="On the HTTPProxy.")


class ParentRef(ApiModel):
    """A Gateway, or one of its listeners."""

    name: Label = Field(description="Of the Gateway.")
    namespace: Label | None = Field(None, description="Of the Gateway; absent: the pipeline's.")
    section_name: Label | None = Field(None, description="The listener; absent: all that allow the route.")


class Gateway(ApiModel):
    """An HTTPRoute for the same paths, instead of an Ingress."""

    parent_refs: list[ParentRef] = Field(min_length=1, max_length=8, description="Gateways that serve the route.")
    hostnames: list[HostName] = Field(
        default=[], max_length=16, description="Names under which clients reach the pipeline; empty: the listener's."
    )
