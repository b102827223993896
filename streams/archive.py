"""The archive: versions that do not serve any more, kept for the day when their world comes back."""

from collections.abc import Iterator, Mapping
from typing import Any

from streams.learner import Learner
from streams.shift import Shift
from streams.versions import Frozen

#: Losses from which it is learned how a version does in a world that is not its own.
_BASELINE = 200


class Archive:
    """The newest versions that are worth keeping, and how each does meanwhile.

    Parameters
    ----------
    room
        How many are kept.

    Examples
    --------
    >>> archive = Archive(room=2)
    >>> versions = [Frozen(b"", f"v{i}", 10, i, "binary") for i in range(4)]
    >>> [evicted and evicted.name for evicted in map(archive.keep, versions[:3])]
    [None, None, 'v0@10']
    >>> archive.want(versions[1])
    >>> archive.keep(versions[3]).name
    'v2@10'
    >>> [version.name for version in archive]
    ['v1@10', 'v3@10']
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._kept: list[Frozen] = []
        self._shifts: dict[str, Shift] = {}

    def __iter__(self) -> Iterator[Frozen]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def want(self, wanted: Learner | Frozen) -> None:
        """Note which model has been asked back, if it is one of these."""
        if isinstance(wanted, Frozen) and wanted in self._kept:
            self._kept.remove(wanted)
            self._kept.append(wanted)

    def keep(self, version: Frozen) -> Frozen | None:
        """Keep a version; return the one that has to go, None while there is room.

        It is the one that has not been wanted for the longest time.
        """
        self._kept.append(version)
        self._shifts[version.name] = Shift(_BASELINE, up=False)
        if len(self._kept) <= self._room:
            return None
        evicted = self._kept.pop(0)
        self._shifts.pop(evicted.name, None)
        return evicted

    def before(self, champion: str, replaced: str, by_order: bool, steady: str) -> str:
        """Return the name of who served before a champion, empty when nobody is known.

        Parameters
        ----------
        champion, replaced, steady
            Versions: its own, that of who it has replaced, and that of the learner which is never reset.
        by_order
            Whether an operator has had it replaced. Else the world had changed, and what served was spoiled by the new
            one: its copy from before is meant.
        """
        if by_order and replaced == steady:
            return steady
        known = [(version.version, version.name) for version in reversed(self._kept) if not version.is_imported]
        # It may be the one that is never reset, while the newest in the archive is of this champion, or older.
        known.append((steady, steady))
        others = [name for version, name in known if version != champion]
        return next((name for version, name in known if version == replaced), next(iter(others), ""))

    def watch(self, losses: Mapping[str, float | None]) -> None:
        """Take the losses of one event, by name: one whose loss falls is at home again."""
        for name, shift in self._shifts.items():
            if (loss := losses.get(name)) is not None:
                shift.update(loss)

    def forget_losses(self) -> None:
        """Learn anew how each version does."""
        self._shifts = {name: Shift(_BASELINE, up=False) for name in self._shifts}

    def fits_again(self, name: str) -> float:
        """Return the evidence that a version's world is back, as an e-value; 0 for a stranger."""
        shift = self._shifts.get(name)
        return 0.0 if shift is None else shift.value

    def snapshot(self) -> Any:
        """Return the state but for the models."""
        shifts = {name: shift.snapshot() for name, shift in self._shifts.items()}
        return [version.name for version in self._kept], shifts

    def restore(self, state: Any, frozen: Mapping[str, Frozen]) -> None:
        """Become what `snapshot` was taken of, with the models by name."""
        names, shifts = state
        self._kept = [frozen[name] for name in names]
        self._shifts = {name: Shift.restored(told) for name, told in shifts.items()}
