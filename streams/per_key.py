"""What is declared of models per key, and how a record's key travels to them."""

from dataclasses import dataclass
from typing import Any

from schemas.errors import DeclarationError

#: Under this name, which no feature can have, a record's key stands among the features.
KEY = ""


@dataclass(frozen=True)
class PerKey:
    """One model for each record key: the entity, such as a customer or a machine, is what the producer keys by.

    An event without a key belongs to one further entity, that of all events without a key.

    Parameters
    ----------
    most
        Entities of a partition that have a model, 1 or more. Where one more would, the one goes whose last example is
        the longest ago; if it comes back it begins anew. Raising it costs memory, and makes snapshots larger.
    min_learned
        Examples from which on an entity is answered by its own model; before, by one that learns from the examples of
        all. 0 does without that one, and saves what it costs. Raising it makes the answers of an entity sounder at
        first, and its own later.

    Examples
    --------
    >>> PerKey(most=0).check()
    Traceback (most recent call last):
    ...
    schemas.errors.DeclarationError: model_per.most: got 0, expected a whole number, 1 or more
    """

    most: int = 1000
    min_learned: int = 30

    def check(self, field: str = "model_per") -> None:
        """Raise `DeclarationError` unless the arguments are in their ranges."""
        for name, least in (("most", 1), ("min_learned", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise DeclarationError(f"{field}.{name}", value, f"a whole number, {least} or more")


def with_key(x: dict[str, Any], key: bytes | None) -> dict[str, Any]:
    """Return features with the key of their record among them.

    Parameters
    ----------
    x
        Features by name; left as they are.
    key
        As the record has it.

    Examples
    --------
    >>> with_key({"a": 1.0}, b"Oslo")
    {'a': 1.0, '': 'Oslo'}
    """
    return {**x, KEY: key_text(key)}


def without_key(x: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the key among features, and the features alone; `x` is left as it is.

    Examples
    --------
    >>> without_key({"a": 1.0, "": "Oslo"}), without_key({"a": 1.0})
    (('Oslo', {'a': 1.0}), ('', {'a': 1.0}))
    """
    own = x.copy()
    return own.pop(KEY, ""), own


def key_text(key: bytes | None) -> str:
    r"""Return a key as JSON can hold it: equal texts are equal keys. What is UTF-8 can be read.

    Examples
    --------
    >>> key_text("Tromsø".encode()), key_text(b"\xff\x01"), key_text(None)
    ('Tromsø', '\x00ÿ\x01', '')
    """
    if key is None:
        return ""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return "\0" + key.decode("latin-1")
    return text if text[:1] != "\0" else "\0" + key.decode("latin-1")
