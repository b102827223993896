"""Whose commands are obeyed: a command says who signed it and to whom it is addressed, and it counts once."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from schemas import cloudevents as ce
from schemas.commands import Command, Declare, decode_command, encode_command
from schemas.errors import SealError
from schemas.signing import Signer, TrustedKeys, key_in, unsealed


class SignedCommand(Struct, frozen=True, forbid_unknown_fields=True):
    """A command as it is signed: it cannot be taken to another partition, nor be said twice.

    Parameters
    ----------
    id
        As in its ``ce_id`` header.
    issued
        When, in ms; 0 when it was not signed.
    topic, partition
        To whom.
    command
        What is to be done.
    """

    id: str
    issued: int
    topic: str
    partition: int
    command: Command

    @property
    def declares(self) -> str:
        """Digest of the declaration that begins with it, empty when none does."""
        return self.command.declaration if isinstance(self.command, Declare) else ""


def encode_signed(command: Command, signer: Signer | None, id: str, topic: str, partition: int, issued: int) -> bytes:
    """Return the body of a command's record.

    Parameters
    ----------
    command
        What is to be done.
    signer
        With whose key; None leaves it unsigned, for workers that obey everybody.
    id, topic, partition
        The ``ce_id`` of the record, and where it will stand.
    issued
        When, in ms.
    """
    if signer is None:
        return encode_command(command)
    return signer.seal(msgspec.to_builtins(SignedCommand(id, issued, topic, partition, command)))


class Operators:
    """Those whose commands are obeyed.

    Parameters
    ----------
    keys
        Their public keys; None obeys everybody who may write to the topic, signed or not.

    Examples
    --------
    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> from schemas.commands import Pin
    >>> key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    >>> operators = Operators(TrustedKeys([key.public_key()]))
    >>> body = encode_signed(Pin(pipeline="flights"), Signer(key), "models-1", "flights.raw", 3, issued=1)
    >>> operators.read(body, "models-1", "flights.raw", 3).command
    Pin(pipeline='flights', expected='', who='', why='')
    >>> operators.read(body, "models-1", "flights.raw", 2)
    'partition: got 2, but the command is signed for 3'
    >>> operators.read(b'{"command":"pin","pipeline":"flights"}', "models-2", "flights.raw", 3)
    'command: got one that is not signed, expected the signature of a trusted operator (139e3940e64b5491)'
    """

    def __init__(self, keys: TrustedKeys | None = None) -> None:
        self._keys = keys

    def read(self, body: bytes, id: str, topic: str, partition: int) -> SignedCommand | str:
        """Return the command in a record, or the reason why it is not obeyed.

        Parameters
        ----------
        body
            Of the record.
        id, topic, partition
            Its ``ce_id``, and where it stands.
        """
        is_signed = body.startswith(b'{"document":')
        if self._keys is None and not is_signed:
            command = decode_command(body)
            return command if isinstance(command, str) else SignedCommand(id, 0, topic, partition, command)
        if self._keys is not None and not is_signed:
            trusted = ", ".join(self._keys.key_ids)
            return f"command: got one that is not signed, expected the signature of a trusted operator ({trusted})"
        try:
            document = unsealed(body) if self._keys is None else self._keys.open(body)
            signed = msgspec.convert(document, SignedCommand)
        except SealError as error:
            return f"command: {error}"
        except msgspec.ValidationError as error:
            return f"command: got {error!s:.200}, expected one that `riverrun deploy` or `models` writes"
        if signed.issued <= 0:
            return f"issued: got {signed.issued}, expected the time at which the command was signed, in ms"
        for name, found in (("id", id), ("topic", topic), ("partition", partition)):
            if found != getattr(signed, name):
                return f"{name}: got {found!r}, but the command is signed for {getattr(signed, name)!r}"
        return signed

    def key_of(self, body: bytes) -> str:
        """Return the id of the key that a command is signed with which `read` has found to be in order.

        Empty where signatures are not looked at.
        """
        return "" if self._keys is None else key_in(body)

    def declaration_in(
        self, headers: Iterable[tuple[str, bytes | None]], body: bytes | None, topic: str, partition: int
    ) -> SignedCommand | None:
        """Return the command with which a declaration begins, if a record is one.

        Parameters
        ----------
        headers, body
            Of the record.
        topic, partition
            Where it stands.
        """
        attributes = dict(headers)
        if attributes.get("ce_type") != ce.COMMAND.encode():
            return None
        signed = self.read(body or b"", (attributes.get("ce_id") or b"").decode(errors="replace"), topic, partition)
        return signed if isinstance(signed, SignedCommand) and signed.declares else None


#: Obeys all commands: for backtests, and where nobody else may write to the topic.
EVERYBODY = Operators()
