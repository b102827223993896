"""From a change point in the champion's loss to a drift event: what is said of it, and what is held back."""

from typing import Any

from schemas.events import DriftCleared, DriftDetected, DriftWarned
from streams.accounting import Books
from streams.detectors.detector import Change
from streams.drift import Drift
from streams.moment import Common


class Alarms:
    """The drift events of one partition.

    Parameters
    ----------
    drift
        The declaration.
    books
        Where falls and suppressed alarms are counted.
    """

    def __init__(self, drift: Drift, books: Books) -> None:
        self._drift = drift
        self._count = books.count
        self._labelled = 0
        self._quiet_until = 0
        self._told: tuple[str, float] | None = None
        self._warning: str | None = None
        self._warned_at = 0
        self._last = "", 0

    @property
    def recent(self) -> str:
        """Id of the champion's newest drift event, empty when there is none that is not stale."""
        drift, at = self._last
        return drift if self._labelled - at <= self._drift.patience else ""

    def note(self) -> bool:
        """Count a labelled event, time for alarms; tell whether a warning waits for what comes of it."""
        self._labelled += 1
        return self._warning is not None

    def weigh(self, change: Change, version: str, common: Common, *, answering: bool) -> DriftWarned | None:
        """Turn a change point into an event, unless it is a fall or comes too soon and is no worse than what was told.

        Parameters
        ----------
        change
            The change point.
        version
            The champion's.
        common
            Gives the event the fields that all have.
        answering
            Whether a drift is being answered already.

        Returns
        -------
        A warning, a detection, or nothing.
        """
        if change.level == "fall":
            self._count["loss_fell"] += 1
            return None
        if answering or (self._labelled < self._quiet_until and not self._is_worse(change)):
            self._count["alarm_suppressed"] += 1
            return None
        if change.level == "warning" and self._warning is not None:
            return None
        event = _event(DriftWarned if change.level == "warning" else DriftDetected, change, version, common)
        self._last = event.id, self._labelled
        if change.level == "warning":
            self._warning, self._warned_at = event.id, self._labelled
        else:
            self._warning, self._quiet_until = None, self._labelled + self._drift.cooldown
            self._told = change.segment, change.after
        return event

    def _is_worse(self, change: Change) -> bool:
        """Tell whether a loss has risen above what the newest detection about this champion said: that is news."""
        if self._told is None or change.level != "drift":
            return False
        segment, after = self._told
        return change.segment == segment and change.after > after

    def clear_if_stale(self, version: str, common: Common) -> DriftCleared | None:
        """Drop a warning that led to nothing."""
        warning = self._warning
        if warning is None or self._labelled - self._warned_at < self._drift.patience:
            return None
        self._warning = None
        return DriftCleared(**common(DriftCleared), version=version, warning=warning)

    def drop_warning(self) -> None:
        """Forget a warning: it is being answered."""
        self._warning = None

    def forget_losses(self) -> None:
        """Forget what was told: it was in another unit."""
        self._told = None

    def begin(self) -> None:
        """Be quiet for a while: another champion serves, of which nothing is known."""
        self._quiet_until = self._labelled + self._drift.cooldown
        self._warning = self._told = None
        self._last = "", 0

    def snapshot(self) -> Any:
        """Return the state."""
        return self._labelled, self._quiet_until, self._told, self._warning, self._warned_at, self._last

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self._labelled, self._quiet_until, self._told, self._warning, self._warned_at, self._last = state


def _event(kind: type[DriftWarned], change: Change, version: str, common: Common) -> DriftWarned:
    return kind(
        **common(kind),
        version=version,
        signal="loss",
        before=change.before,
        after=change.after,
        change_offset=change.offset,
        width=change.width,
        delta=change.delta,
        segment=change.segment,
    )
