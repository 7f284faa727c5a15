"""The key that seals a pipeline's resume tokens: all its pods have it, so each takes up a stream that another one held.

Rules: it follows from the operator's signing key and the pipeline's uid, so any leader makes the same one, and a Secret
that somebody deleted comes back as it was; the Secret is made once and never read or changed. Pure.
"""

import base64
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from weir_operator import names
from weir_operator.observed import Observed
from weir_operator.owned import metadata

BYTES = 32
PURPOSE = b"weir resume "  # another one gives another key, which tells nothing of this one


def resume_key(signing_key: str, pipeline_uid: str) -> str:
    """32 bytes in url-safe base64, as a pod reads it; `signing_key` as signing_key.py has it."""
    derive = HKDF(SHA256(), BYTES, salt=None, info=PURPOSE + pipeline_uid.encode())
    return base64.urlsafe_b64encode(derive.derive(base64.b64decode(signing_key, validate=True))).decode()


def secret(observed: Observed, key: str) -> dict[str, Any]:
    """What pods mount. Immutable: nobody can spoil it, and kubelets need not watch it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(observed, names.resume_secret(observed.name)),
        "type": "Opaque",
        "immutable": True,
        "stringData": {names.RESUME_FILE: key},
    }
