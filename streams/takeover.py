"""What a new declaration takes over from the state under the one before."""

from collections.abc import Mapping

from msgspec import Struct

#: A changed one of these needs another model.
MODEL_FIELDS = {"model", "features", "model_per"}


class Takeover(Struct, frozen=True):
    """The declaration before, and what differs.

    Parameters
    ----------
    replaced
        Digest of the declaration before.
    changed
        Names of the declared fields that differ, sorted.

    Examples
    --------
    >>> takeover = Takeover.between("0123456789ab", {"model": "a", "drift": "b"}, {"model": "a", "drift": "c"})
    >>> takeover.changed, takeover.renews_model
    (('drift',), False)
    """

    replaced: str
    changed: tuple[str, ...] = ()

    @classmethod
    def between(cls, replaced: str, before: Mapping[str, str], now: Mapping[str, str]) -> "Takeover":
        """Return what differs between two declarations, given by the digests of their fields."""
        names = {*before, *now}
        return cls(replaced, tuple(sorted(name for name in names if before.get(name) != now.get(name))))

    @property
    def renews_model(self) -> bool:
        """Whether the model, or what it sees, is another."""
        return bool(MODEL_FIELDS & set(self.changed))
