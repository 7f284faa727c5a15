"""Ed25519 signatures of orders (RFC 8032): the operator holds the private key, pods the public one."""

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def new_key() -> str:
    """A new private key, 32 bytes in base64."""
    return base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()


def public_key(private: str) -> str:
    """The public key of `private`, 32 bytes in base64."""
    raw = _private(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def sign(private: str, body: bytes) -> str:
    """The signature of exactly these bytes, in base64."""
    return base64.b64encode(_private(private).sign(body)).decode()


def verify(public: str, body: bytes, signature: str) -> bool:
    """Whether `signature` was made of `body` with the private key of `public`; False for anything malformed."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        key.verify(base64.b64decode(signature, validate=True), body)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _private(key: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(key, validate=True))
