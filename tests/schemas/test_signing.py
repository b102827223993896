"""Sealed documents: there and back, canonical, and refused whatever is done to them."""

import json
import struct
from base64 import b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SealError
from schemas.signing import MAX_BYTES, Signer, TrustedKeys, generate, key_id_of, public_key_from_pem, signer_from_pem

PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = Signer(PRIVATE_KEY)
TRUSTED = TrustedKeys([PRIVATE_KEY.public_key()])
STRANGER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
DOCUMENT = {
    "kind": "manifest",
    "next": 1042,
    "identity": {"pipeline": "flights", "topic": "flights.raw", "partition": 3, "river": "0.26.1"},
    "parts": [
        {"name": "champion", "digest": "ab" * 32, "size_bytes": 1_048_576, "entries": 0},
        {"name": "pending-17", "digest": "cd" * 32, "size_bytes": 999, "entries": 512},
    ],
    "loss": 0.125,
    "parent": None,
    "carrier": "Æ\n",
}
SEALED = SIGNER.seal(DOCUMENT)

texts = st.text(st.characters(exclude_categories=("Cs",)))
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


def signed(body: bytes) -> bytes:
    """Return bytes signed as they are, as somebody with a trusted key can do."""
    signature = b64encode(PRIVATE_KEY.sign(body))
    return b'{"document":%b,"key":"%b","signature":"%b"}' % (body, SIGNER.key_id.encode(), signature)


# ------------------------------------------------------------------ there and back


@given(st.dictionaries(texts, values))
def test_open_any_document_is_what_was_sealed(document: dict[str, Any]) -> None:
    """And it is sealed in one way only: once more gives the same bytes."""
    sealed = SIGNER.seal(document)
    assert TRUSTED.open(sealed) == document
    assert SIGNER.seal(TRUSTED.open(sealed)) == sealed
    assert json.loads(sealed, parse_int=float)["document"] == document  # numbers are doubles, for whoever reads it


@pytest.mark.parametrize("number", [1e17, 1e20, -3e18, 2.0**53, 1e21, 5e-324, -0.0, 1.0])
def test_open_floats_without_a_point_come_back(number: float) -> None:
    """Their canonical form looks like an integer, which may have more than 53 bits."""
    assert TRUSTED.open(SIGNER.seal({"x": number})) == {"x": number}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"x": float("nan")}, "nan is not representable"),
        ({"x": float("inf")}, "inf is not representable"),
        ({"x": 2**53}, "9007199254740992 exceeds safe integer domain"),
        ({1: 2}, "object keys must be strings"),
        ({"x": b"bytes"}, "unsupported type"),
        ({"x": "\ud800"}, "non-UTF-8"),
        ({"\ud800": 1}, "surrogates not allowed"),
        ([1], "got list, expected a dict"),
        ({"x": "y" * MAX_BYTES}, f"expected at most {MAX_BYTES}"),
    ],
)
def test_seal_what_json_cannot_say_is_refused(document: Any, said: str) -> None:
    """Nothing is sealed that could not be opened."""
    with pytest.raises(SealError, match=said):
        SIGNER.seal(document)


def test_seal_too_deep_is_refused() -> None:
    """Neither side runs out of stack."""
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"x": deep}
    with pytest.raises(SealError, match="recursion"):
        SIGNER.seal(deep)
    while deep:
        deep = deep.pop("x")
    with pytest.raises(SealError, match="not canonical JSON"):
        TRUSTED.open(signed(b'{"x":' * 100_000 + b"1" + b"}" * 100_000))


# ------------------------------------------------------------------ what was tampered with


def test_open_every_flipped_bit_is_refused() -> None:
    """Each bit of a seal, one at a time: head, document, key and signature."""
    assert 500 < len(SEALED) < 800
    for bit in range(len(SEALED) * 8):
        flipped = bytearray(SEALED)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            TRUSTED.open(bytes(flipped))


def test_open_every_truncation_is_refused() -> None:
    """From either end."""
    for end in range(len(SEALED)):
        with pytest.raises(SealError, match="cut off"):
            TRUSTED.open(SEALED[:end])
        with pytest.raises(SealError):
            TRUSTED.open(SEALED[end + 1 :])


@given(st.binary(max_size=300))
def test_open_garbage_is_refused(data: bytes) -> None:
    """Any bytes, alone or within the frame of a seal."""
    for garbage in (data, SEALED + data + b" ", SEALED[:40] + data + SEALED[60:]):
        if garbage != SEALED:
            with pytest.raises(SealError):
                TRUSTED.open(garbage)


def spelled(**further: Any) -> bytes:
    """Return the seal as plain JSON spells it, with further fields."""
    return json.dumps({**json.loads(SEALED), **further}).encode()


@pytest.mark.parametrize(
    "data",
    [
        spelled(),
        spelled(more=1),
        SEALED + b"\n",
        b"\xef\xbb\xbf" + SEALED,
        SEALED.replace(b'{"document"', b'{"document":{},"document"', 1),
        SEALED.replace(b',"key"', b',"more":1,"key"'),
        SEALED.replace(b',"key"', b', "key"'),
        SEALED[:-1] + b',"signature":""}',
        SEALED.replace(b"==", b"="),
        SEALED.decode().encode("utf-16"),
        b'{"document":[],' + SEALED.partition(b'},"key"')[2],
    ],
)
def test_open_another_spelling_is_refused(data: bytes) -> None:
    """Also where the same would be read: fields of its own, fields twice, spaces."""
    with pytest.raises(SealError):
        TRUSTED.open(data)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1.0}',
        b'{"a":-0}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\ud800"}',
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":9007199254740993}',
        b'{"a":%b}' % (b"9" * 5000),
        b'{"a":"\xff"}',
        b'{"a"}',
        b"{}}",
        b"{} {}",
    ],
)
def test_open_signed_but_not_canonical_is_refused(body: bytes) -> None:
    """Somebody with a trusted key signed bytes that readers could understand in different ways."""
    with pytest.raises(SealError, match=r"the signature fits, but .* not canonical JSON"):
        TRUSTED.open(signed(body))


def test_open_a_seal_in_a_document_is_not_mistaken_for_the_seal() -> None:
    """What follows the document is found from its end."""
    document = {"text": SEALED.decode(), "inner": json.loads(SEALED)}
    assert TRUSTED.open(SIGNER.seal(document)) == document


def test_open_unknown_key_is_refused_and_named() -> None:
    """Its id, and those that are trusted."""
    with pytest.raises(SealError, match=rf"key {STRANGER.key_id}, which is not trusted \(trusted: {SIGNER.key_id}\)"):
        TRUSTED.open(STRANGER.seal(DOCUMENT))
    with pytest.raises(SealError, match=r"\(trusted: none\)"):
        TrustedKeys([]).open(SEALED)


def test_open_strangers_signature_under_a_trusted_name_does_not_fit() -> None:
    """A key's id is a name, no proof."""
    forged = STRANGER.seal(DOCUMENT).replace(STRANGER.key_id.encode(), SIGNER.key_id.encode())
    with pytest.raises(SealError, match="does not fit"):
        TRUSTED.open(forged)


def test_open_says_what_was_changed() -> None:
    """Three ways to be wrong, three messages."""
    with pytest.raises(SealError, match="0 bytes that are cut off"):
        TRUSTED.open(b"")
    with pytest.raises(SealError, match="5 bytes that are no sealed document"):
        TRUSTED.open(b"hello")
    with pytest.raises(SealError, match=f"{MAX_BYTES + 1} bytes, expected at most"):
        TRUSTED.open(bytes(MAX_BYTES + 1))
    with pytest.raises(SealError, match="document is not as it was signed"):
        TRUSTED.open(SEALED.replace(b"1042", b"1041"))


def test_open_reads_nothing_that_is_not_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No parser sees a byte before the signature was found to fit."""

    def parse(*_: Any, **__: Any) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr("schemas.signing.json.loads", parse)
    for data in (SEALED.replace(b"1042", b"1041"), STRANGER.seal(DOCUMENT), SEALED[:-1], b"{}"):
        with pytest.raises(SealError):
            TRUSTED.open(data)
    with pytest.raises(AssertionError):
        TRUSTED.open(SEALED)


# ------------------------------------------------------------------ RFC 8785


#: Appendix B: the bits of a double, and its text; None where it has none.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "7fffffffffffffff": None,
    "7ff0000000000000": None,
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_seal_writes_numbers_as_rfc_8785_does(bits: str, text: str | None) -> None:
    """The table of appendix B."""
    number = struct.unpack(">d", bytes.fromhex(bits))[0]
    if text is None:
        with pytest.raises(SealError):
            SIGNER.seal({"x": number})
    else:
        sealed = SIGNER.seal({"x": number})
        assert sealed.startswith(b'{"document":{"x":%b},"key"' % text.encode())
        assert TRUSTED.open(sealed) == {"x": number}


SAMPLE = r"""{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"""
CANONICAL_SAMPLE = (
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
    r'"string":"€$\u000f\nA' + "'" + r'B\"\\\\\"/"}'
)
UNSORTED = r"""{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
  "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"}"""


def test_seal_writes_the_sample_of_rfc_8785() -> None:
    """Sections 3.2.2 and 3.2.3."""
    assert SIGNER.seal(json.loads(SAMPLE)).startswith(b'{"document":%b,"key"' % CANONICAL_SAMPLE.encode())


def test_seal_sorts_as_rfc_8785_does() -> None:
    """By UTF-16 code units: a grinning face comes before dalet (section 3.2.3)."""
    order = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji:", "Hebrew"]
    document = TRUSTED.open(SIGNER.seal(json.loads(UNSORTED)))
    assert [name.split()[0] for name in document.values()] == order


# ------------------------------------------------------------------ keys in PEM


def test_key_id_is_the_same_on_both_sides() -> None:
    """A pair opens what it seals, and keys are told apart by name."""
    private_pem, public_pem = generate()
    signer, public_key = signer_from_pem(private_pem), public_key_from_pem(public_pem)
    assert signer.key_id == key_id_of(public_key) != SIGNER.key_id
    both = TrustedKeys([public_key, PRIVATE_KEY.public_key()])
    assert both.key_ids == sorted([signer.key_id, SIGNER.key_id])
    assert both.open(signer.seal(DOCUMENT)) == both.open(SEALED) == DOCUMENT


def test_signer_does_not_show_its_key() -> None:
    """Not in a log line."""
    secret = PRIVATE_KEY.private_bytes_raw().hex()
    assert secret not in repr(SIGNER) + repr(vars(SIGNER))


def test_pem_of_something_else_is_named() -> None:
    """The other half of the pair, another kind of key, a passphrase, no key at all."""
    private_pem, public_pem = generate()
    other = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    locked = PRIVATE_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    for data, said in (
        (public_pem, "a public key"),
        (other, "a private key of another kind"),
        (locked, "a key with a passphrase"),
        (b"hello", "no key in PEM"),
        (b"", "an empty file"),
        (private_pem[:60], "a private key"),
    ):
        with pytest.raises(ValueError, match=f"^{said}"):
            signer_from_pem(data)
    for data, said in ((private_pem, "a private key"), (b"hello", "no key in PEM")):
        with pytest.raises(ValueError, match=f"^{said}"):
            public_key_from_pem(data)
