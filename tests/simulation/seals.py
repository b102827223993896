"""Keys of the simulated workers, and a seal that is quick: real ones cost more than all else a world does."""

import hashlib
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.errors import SealError
from schemas.signing import Signer, TrustedKeys

_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SIGNER = Signer(_KEY)
TRUSTED = TrustedKeys([_KEY.public_key()])


class QuickSeal:
    """Seals with a digest that everybody can make; it tells damage, not forgery."""

    key_id = "quick"

    def seal(self, document: dict[str, Any]) -> bytes:
        """Return the document with its digest."""
        body = orjson.dumps(document)
        return hashlib.sha256(body).digest() + body

    def open(self, data: bytes) -> dict[str, Any]:
        """Return the document.

        Raises
        ------
        SealError
            When the digest does not fit.
        """
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            raise SealError("damaged")
        document: dict[str, Any] = orjson.loads(data[32:])
        return document
