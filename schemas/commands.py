"""Commands that operators write into the log, where they take effect at their place."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct


class Declare(Struct, frozen=True, forbid_unknown_fields=True, tag="declare", tag_field="command"):
    """From here on the log is folded under another declaration.

    Parameters
    ----------
    pipeline
        Whose declaration.
    declaration
        Digest of all of it.
    declared
        Digest by field: what differs from the declaration before is what changes.
    fresh
        Whether the new model replaces the one that serves at once, instead of learning beside it first.
    who, why
        For those who read the log later.

    Examples
    --------
    >>> command = Declare("flights", "0123456789ab", {"model": "ba9876543210"}, why="a deeper tree")
    >>> decode_command(encode_command(command)) == command
    True
    >>> decode_command(b'{"command": "dance"}')
    "command: got Invalid value 'dance' - at `$.command`, expected one that `riverrun deploy` or `models` writes"
    """

    pipeline: str
    declaration: str
    declared: dict[str, str]
    fresh: bool = False
    who: str = ""
    why: str = ""


class Order(Struct, frozen=True, forbid_unknown_fields=True, tag_field="command", kw_only=True):
    """What an operator wants of the models of one partition.

    Parameters
    ----------
    pipeline
        Whose models.
    expected
        Version of the champion that the order was meant for; where another one serves by then it is refused. Empty:
        whichever serves.
    who, why
        For those who read the log later.
    """

    pipeline: str
    expected: str = ""
    who: str = ""
    why: str = ""


class Retrain(Order, frozen=True, forbid_unknown_fields=True, tag="retrain", kw_only=True):
    """Start a fresh model beside the champion; it takes over when it has learned enough."""


class Promote(Order, frozen=True, forbid_unknown_fields=True, tag="promote", kw_only=True):
    """Let another model serve.

    Parameters
    ----------
    model
        Its name, as `riverrun models ls` shows it.
    """

    model: str


class RollBack(Order, frozen=True, forbid_unknown_fields=True, tag="rollback", kw_only=True):
    """Let a model serve again that has served before. Offsets of the input never move.

    Parameters
    ----------
    to
        Its name; empty: the one before.
    """

    to: str = ""


class Freeze(Order, frozen=True, forbid_unknown_fields=True, tag="freeze", kw_only=True):
    """Score on, and learn nothing, until `resume`."""


class Pin(Order, frozen=True, forbid_unknown_fields=True, tag="pin", kw_only=True):
    """Keep the champion, whatever the evidence, until `resume`; it goes on learning."""


class Resume(Order, frozen=True, forbid_unknown_fields=True, tag="resume", kw_only=True):
    """Learn again, and let evidence decide again."""


class Import(Order, frozen=True, forbid_unknown_fields=True, tag="import", kw_only=True):
    """Keep a model from elsewhere among the archived versions, where it may serve by evidence or by command.

    The log has all that a state is made of, so the model itself is in the command.

    Parameters
    ----------
    model
        A pickle, compressed with zlib; base 64 in JSON. Larger than the largest record it cannot be.
    learned
        Examples it had learned.
    features
        Names of those it was trained with.
    river
        Version of River that it is of.
    origin
        Where it is from, in words, for those who read the log later.
    """

    model: bytes
    learned: Annotated[int, Meta(ge=0, le=2**53 - 1)]
    features: tuple[str, ...]
    river: str
    origin: Annotated[str, Meta(max_length=500)] = ""


Command = Declare | Retrain | Promote | RollBack | Freeze | Pin | Resume | Import
_EXPECTED = "expected one that `riverrun deploy` or `models` writes"


def encode_command(command: Command) -> bytes:
    """Return a command as the body of its record."""
    return msgspec.json.encode(command)


def decode_command(body: bytes) -> Command | str:
    """Return the command in a body, or the reason why it is none."""
    try:
        command: Command = msgspec.json.decode(body, type=Command)
        return command
    except msgspec.DecodeError as error:
        return f"command: got {error!s:.200}, {_EXPECTED}"
