"""The key that signs orders to pods, in a Secret that the first operator makes: whoever reads it commands all pods."""

import base64
import binascii

from weir_api.signing import new_key, public_key
from weir_operator import names
from weir_operator.cluster import ApiError, Cluster

ENTRY = "private"


class BrokenKeyError(Exception):
    """The Secret holds no key."""


async def signing_key(cluster: Cluster, namespace: str) -> str:
    """Read it, or make it. Raises ApiError, or BrokenKeyError, which says what to do."""
    found = await cluster.get("Secret", namespace, names.SIGNING_SECRET)
    if found is None:
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"namespace": namespace, "name": names.SIGNING_SECRET},
            "type": "Opaque",
            "stringData": {ENTRY: new_key()},
        }
        try:
            found = await cluster.create(manifest)
        except ApiError as error:
            if error.status != 409:
                raise
            return await signing_key(cluster, namespace)  # another operator was faster
    try:
        key = base64.b64decode(found["data"][ENTRY]).decode()
        public_key(key)
    except (KeyError, TypeError, UnicodeDecodeError, binascii.Error, ValueError) as error:
        where = f"Secret {namespace}/{names.SIGNING_SECRET}"
        message = f"{where} holds no Ed25519 key under `{ENTRY}`: delete it, and a new one is made; no pod is replaced"
        raise BrokenKeyError(message) from error
    return key
