"""The label of an event: what the model is to learn, when it comes, and what happens when it doesn't."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from schemas.errors import DeclarationError
from streams.feature import MAX_MAGNITUDE, FeatureType

TaskKind = Literal["binary", "multiclass", "regression", "anomaly"]
DROP: Literal["drop"] = "drop"

_KIND_OF: dict[FeatureType, TaskKind] = {bool: "binary", float: "regression", int: "multiclass", str: "multiclass"}


@dataclass(frozen=True)
class Label:
    """What the model learns.

    Parameters
    ----------
    name
        Field that holds it: in the event itself, or in the label record that follows.
    type
        ``bool`` (binary), ``float`` (regression), ``str`` or ``int`` (multiclass).
    ttl
        How long an event waits for its label, in event time. It counts on the event-time watermark from
        the moment the event was read. Raising it costs memory: one encoded byte string for each event that
        waits. None: labels come with their events (inline), and an event without one is only scored.
    on_expiry
        What happens when the time is over: ``"drop"`` forgets the event; a value is learned as the label and
        marked *assumed* (no click within 30 minutes is a negative). A real label that comes later corrects
        the metrics, not the model.

    Examples
    --------
    >>> Label("late", type=bool, ttl=timedelta(days=2)).kind
    'binary'
    """

    name: str
    type: FeatureType = bool
    ttl: timedelta | None = None
    on_expiry: Any = DROP

    @property
    def kind(self) -> TaskKind:
        """The task kind that follows from the type."""
        return _KIND_OF[self.type]

    @property
    def comes_late(self) -> bool:
        """Whether it comes after its event, in a record of its own."""
        return self.ttl is not None

    @property
    def ttl_ms(self) -> int | None:
        """The time to live in milliseconds."""
        return None if self.ttl is None else round(self.ttl.total_seconds() * 1000)

    @property
    def assumes(self) -> bool:
        """Whether a label that never came is taken as `on_expiry`."""
        return not (isinstance(self.on_expiry, str) and self.on_expiry == DROP)

    def check(self, field: str = "label") -> None:
        """Raise `DeclarationError` unless the arguments fit together."""
        if not isinstance(self.name, str) or not self.name:
            raise DeclarationError(f"{field}.name", self.name, "the name of a field")
        if self.name == "id":
            raise DeclarationError(f"{field}.name", self.name, "another name: a label record's id is its event's")
        if self.type not in (bool, int, float, str):
            raise DeclarationError(f"{field}.type", self.type, "bool, int, float or str")
        if self.ttl is not None and (not isinstance(self.ttl, timedelta) or self.ttl <= timedelta(0)):
            raise DeclarationError(f"{field}.ttl", self.ttl, "a positive timedelta, or None for inline labels")
        if self.assumes:
            if self.ttl is None:
                raise DeclarationError(f"{field}.on_expiry", self.on_expiry, "a ttl: without one nothing expires")
            if type(self.on_expiry) is not self.type:
                raise DeclarationError(f"{field}.on_expiry", self.on_expiry, f"'drop' or a {self.type.__name__}")
            if isinstance(self.on_expiry, (int, float)) and not abs(self.on_expiry) <= MAX_MAGNITUDE:
                raise DeclarationError(f"{field}.on_expiry", self.on_expiry, "a finite number")
