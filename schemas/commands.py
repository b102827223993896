"""Commands that operators write into the log, where they take effect at their place."""

import msgspec
from msgspec import Struct


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
    "command: got Invalid value 'dance' - at `$.command`, expected a declare command as `riverrun deploy` writes it"
    """

    pipeline: str
    declaration: str
    declared: dict[str, str]
    fresh: bool = False
    who: str = ""
    why: str = ""


def encode_command(command: Declare) -> bytes:
    """Return a command as the body of its record."""
    return msgspec.json.encode(command)


def decode_command(body: bytes) -> Declare | str:
    """Return the command in a body, or the reason why it is none."""
    try:
        return msgspec.json.decode(body, type=Declare)
    except msgspec.DecodeError as error:
        return f"command: got {error}, expected a declare command as `riverrun deploy` writes it"
