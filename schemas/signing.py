"""Sealed documents: JSON in its canonical form (RFC 8785), signed with Ed25519.

A sealed document is itself canonical JSON, so there is exactly one way to write it::

    {"document":{…},"key":"<16 hex digits>","signature":"<base64>"}

Equal documents of one key have equal bytes, and any other spelling (a space, another order, a further field, a field
twice) is refused. What follows the document has a fixed length, so the signed bytes are found without reading them: no
JSON parser sees a byte that nobody trusted has signed.

The signature says who wrote a document, never what it is for: a document names its own kind, pipeline and partition,
and whoever opens it compares them.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from schemas.errors import SealError

MAX_BYTES = 16 * 1024 * 1024

_KEY_ID_DIGITS = 16
_SAFE_INTEGER = 2**53 - 1
_HEAD = b'{"document":{'
# The last digit before the padding of 64 bytes in base64 carries two bits only; the others have to be zero.
_SEALED = re.compile(
    rb'\{"document":(?P<document>\{.*\}),"key":"(?P<key>[0-9a-f]{16})",'
    rb'"signature":"(?P<signature>[A-Za-z0-9+/]{85}[AQgw]==)"\}',
    re.DOTALL,
)


class Signer:
    """Seal documents with a private key.

    Parameters
    ----------
    private_key
        An Ed25519 key.

    Examples
    --------
    >>> signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    >>> signer.key_id
    '139e3940e64b5491'
    >>> sealed = signer.seal({"position": 1042, "kind": "manifest"})
    >>> sealed[:83]
    b'{"document":{"kind":"manifest","position":1042},"key":"139e3940e64b5491","signature'
    >>> trusted = TrustedKeys([Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()])
    >>> trusted.open(sealed)
    {'kind': 'manifest', 'position': 1042}
    >>> trusted.open(sealed.replace(b"1042", b"1043"))
    Traceback (most recent call last):
    ...
    schemas.errors.SealError: the signature by key 139e3940e64b5491 does not fit: the document is not as it was signed

    References
    ----------
    S. Josefsson, I. Liusvaara (2017). Edwards-Curve Digital Signature Algorithm (EdDSA). RFC 8032, section 5.1.
    A. Rundgren, B. Jordan, S. Erdtman (2020). JSON Canonicalization Scheme (JCS). RFC 8785, section 3.2.
    """

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.key_id = key_id_of(private_key.public_key())

    def seal(self, document: dict[str, Any]) -> bytes:
        """Return a document with its signature, as canonical JSON.

        Parameters
        ----------
        document
            What JSON can say: text keys, finite numbers, integers of at most 53 bits. ``1.0`` comes back as ``1``.

        Raises
        ------
        SealError
            It has no canonical form, or is larger than `MAX_BYTES`.
        """
        body = _canonical(document)
        signature = b64encode(self._private_key.sign(body))
        sealed = b'{"document":%b,"key":"%b","signature":"%b"}' % (body, self.key_id.encode(), signature)
        _check_size(sealed)
        return sealed


class TrustedKeys:
    """Open documents that one of these keys has sealed.

    Parameters
    ----------
    public_keys
        Ed25519 keys; several while keys are being rotated.
    """

    def __init__(self, public_keys: Iterable[Ed25519PublicKey]) -> None:
        self._keys = {key_id_of(key): key for key in public_keys}

    @property
    def key_ids(self) -> list[str]:
        """The ids of the keys, sorted."""
        return sorted(self._keys)

    def open(self, data: bytes) -> dict[str, Any]:
        """Return the document, once its signature has been found to fit.

        Raises
        ------
        SealError
            The bytes are no sealed document, or not all of one; the key is not trusted; the signature does not fit;
            or it does, and what was signed is not in canonical form.
        """
        body, key_id, signature = _take_apart(data)
        if key_id not in self._keys:
            trusted = ", ".join(self.key_ids) or "none"
            raise SealError(
                f"signed with key {key_id}, which is not trusted (trusted: {trusted}); "
                "if you know whose it is, put its public key beside the trusted ones"
            )
        try:
            self._keys[key_id].verify(signature, body)
        except InvalidSignature:
            raise SealError(
                f"the signature by key {key_id} does not fit: the document is not as it was signed"
            ) from None
        return _parse(body)


def key_in(data: bytes) -> str:
    """Return the id of the key with which a document says that it is sealed: to be believed once it was opened.

    Raises
    ------
    SealError
        The bytes are no sealed document.
    """
    return _take_apart(data)[1]


def unsealed(data: bytes) -> dict[str, Any]:
    """Return a document whoever has sealed it: its signature is not looked at.

    Raises
    ------
    SealError
        The bytes are no sealed document, or not in canonical form.
    """
    body, _, _ = _take_apart(data)
    return _parse(body)


def _take_apart(data: bytes) -> tuple[bytes, str, bytes]:
    """Return the signed bytes, the id of the key and the signature, none of which is believed yet."""
    _check_size(data)
    found = _SEALED.fullmatch(data)
    if found is None:
        is_cut_off = data.startswith(_HEAD) or _HEAD.startswith(data)
        what = "cut off, or written by something else" if is_cut_off else "no sealed document"
        raise SealError(
            f"{len(data)} bytes that are {what}; expected "
            '{"document":{…},"key":…,"signature":…} as canonical JSON (RFC 8785)'
        )
    return found["document"], found["key"].decode(), b64decode(found["signature"])


def _check_size(sealed: bytes) -> None:
    if len(sealed) > MAX_BYTES:
        raise SealError(f"a sealed document of {len(sealed)} bytes, expected at most {MAX_BYTES}")


def _canonical(document: dict[str, Any]) -> bytes:
    """Return the one way to write a document."""
    if not isinstance(document, dict):
        raise SealError(f"a document to seal: got {type(document).__name__}, expected a dict")
    try:
        return rfc8785.dumps(document)
    except RecursionError:  # whose words are not the same in every Python
        raise SealError(
            "a document without a canonical form (RFC 8785): nested deeper than the recursion limit"
        ) from None
    except ValueError as error:
        raise SealError(f"a document without a canonical form (RFC 8785): {error}") from None


def _parse(body: bytes) -> dict[str, Any]:
    """Read a document that was signed; equal keys and other spellings do not survive writing it again."""
    try:
        document: dict[str, Any] = json.loads(body.decode(), parse_int=_number)
        is_canonical = _canonical(document) == body
    except (ValueError, RecursionError, SealError):
        is_canonical = False
    if not is_canonical:
        raise SealError("the signature fits, but what was signed is not canonical JSON (RFC 8785)")
    return document


def _number(text: str) -> int | float:
    """Read a number without a point: the canonical form of large floats has none."""
    number = float(text)
    return int(text) if abs(number) <= _SAFE_INTEGER else number


# ------------------------------------------------------------------ keys


def key_id_of(public_key: Ed25519PublicKey) -> str:
    """Return the first 16 hex digits of the SHA-256 of the raw key: a name for it, no proof of anything."""
    return sha256(public_key.public_bytes_raw()).hexdigest()[:_KEY_ID_DIGITS]


def generate() -> tuple[bytes, bytes]:
    """Return a new private key and its public key, both as PEM (PKCS #8, SubjectPublicKeyInfo).

    Examples
    --------
    >>> private_pem, public_pem = generate()
    >>> signer_from_pem(private_pem).key_id == key_id_of(public_key_from_pem(public_pem))
    True
    """
    private_key = Ed25519PrivateKey.generate()
    return (
        private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def signer_from_pem(data: bytes) -> Signer:
    """Return the signer of a private key.

    Raises
    ------
    ValueError
        What is there instead of an Ed25519 private key without a passphrase.
    """
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError:
        raise ValueError("a key with a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(_kind_of(data)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("a private key of another kind")
    return Signer(key)


def public_key_from_pem(data: bytes) -> Ed25519PublicKey:
    """Return a public key.

    Raises
    ------
    ValueError
        What is there instead of an Ed25519 public key.
    """
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(_kind_of(data)) from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("a public key of another kind")
    return key


def _kind_of(data: bytes) -> str:
    """Say what a file is that should have been the other half of a pair."""
    for mark, what in ((b"PRIVATE KEY-----", "a private key"), (b"PUBLIC KEY-----", "a public key")):
        if b"-----BEGIN " in data and mark in data:
            return what
    return "no key in PEM" if data else "an empty file"
