"""What a task says when inputs or answers are no longer what they were."""

from typing import ClassVar

from msgspec import Struct

from schemas.lifecycle_event import LifecycleEvent


class MovedSignal(Struct, frozen=True, kw_only=True):
    """What of the inputs or answers has moved, from what to what.

    Parameters
    ----------
    name
        Of the feature, or ``prediction`` for what the model answers.
    kind
        ``number`` or ``category``, with ``prediction:`` before it for what the model answers.
    what
        What differs most: ``location`` or ``spread`` of numbers, a category for its share (``(others)`` for that of
        the rare ones), or ``missing``.
    q
        How sure: the share of false discoveries among all signals that speak as clearly (a q-value), 0 the surest.
    before, after
        Of numbers ``mean``, ``q10``, ``q50`` and ``q90``; the shares of the five categories that differ most.
    missing_before, missing_after
        Share of records in which it was missing.
    reference_offset
        Offset of the first record of what it was held against.
    """

    name: str
    kind: str
    what: str
    q: float
    before: dict[str, float]
    after: dict[str, float]
    missing_before: float
    missing_after: float
    reference_offset: int


class DataDrifted(LifecycleEvent, frozen=True, kw_only=True):
    """Inputs or answers are no longer what they were; no label was needed to see it, and nothing is done about it.

    From the next window on, what has moved is held against a new reference: one move is told once.

    Parameters
    ----------
    version
        The champion's version.
    moved
        Signals that moved, the clearest first; at most twenty.
    count
        How many moved.
    watched
        How many were held against a reference.
    window_offset, window_end
        Offsets of the first and the last record of the window in which they are seen.
    next_offset
        Offset of the first record that can be part of the new reference.
    rate
        The false discovery rate that was declared.
    """

    type: ClassVar[str] = "riverrun.drift.data"

    version: str
    moved: tuple[MovedSignal, ...]
    count: int
    watched: int
    window_offset: int
    window_end: int
    next_offset: int
    rate: float
