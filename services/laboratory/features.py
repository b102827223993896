"""What became of each feature over the records: means and shares by stretches of the log."""

from typing import Any

from msgspec import Struct

from schemas.record import Record
from services.laboratory.bins import Bins
from streams.decoding import Decoder, Example
from streams.pipeline import Pipeline
from streams.preprocessing import Preprocessor

_MOST_BINS = 128
_MOST_VALUES = 40
_SHOWN = 4
REST = "(all others)"


class FeatureCurve(Struct):
    """One feature over the log.

    Parameters
    ----------
    name
        Its name.
    kind
        ``"number"`` or ``"category"``.
    missing
        Share of the events without it in each bin, None where there are no events.
    lines
        For a number, its ``"mean"`` in each bin; for categories, the shares of the most frequent, and of the rest.
    spread
        For a number, the standard deviation in each bin.
    first, last
        What a tenth of the log held at its beginning and at its end: the mean, or shares as text.
    shift
        For a number, the distance between these means in standard deviations of all; for categories, half the sum of
        the differences of the shares (total variation distance), 0 to 1.
    """

    name: str
    kind: str
    missing: list[float | None]
    lines: dict[str, list[float | None]]
    spread: list[float | None]
    first: str
    last: str
    shift: float | None


class Features(Struct):
    """All features of a pipeline over one partition.

    Parameters
    ----------
    first, width
        Where the bins begin, and how many offsets one covers.
    times
        Largest event time in each bin, milliseconds since 1970.
    curves
        One for each feature.
    """

    first: int
    width: int
    times: list[int]
    curves: list[FeatureCurve]


class FeatureBins:
    """Watches the features of valid events, cleaned as the task cleans them; memory is bounded.

    Parameters
    ----------
    pipeline
        Whose features.
    first
        Offset at which the log begins.
    """

    def __init__(self, pipeline: Pipeline, first: int) -> None:
        self._decode = Decoder(pipeline).decode
        self._cleaner = Preprocessor(pipeline.features)
        self._names = list(pipeline.features)
        self._is_number = {name: feature.type is not str for name, feature in pipeline.features.items()}
        self._events = Bins(first, _MOST_BINS, 0, [], [], [])
        self._bins: list[dict[str, Any]] = []
        self._times: list[int] = []
        self._values: dict[str, dict[str, None]] = {name: {} for name in self._names}
        #: Numbers are summed as differences from the first one: squares of large ones would swallow their spread.
        self._origin: dict[str, float] = {}

    def add(self, record: Record) -> None:
        """Take a record in; what is no valid event is passed over."""
        example = self._decode(record)
        if not isinstance(example, Example):
            return
        x = self._cleaner.clean(example.x)
        self._cleaner.observe(example.x)
        shift = self._events.shift
        index = self._events.index(record.offset)
        for _ in range(shift, self._events.shift):
            self._halve()
        self._events.counts[index] += 1
        while len(self._bins) <= index:
            self._bins.append({name: [0, 0.0, 0.0] if self._is_number[name] else {} for name in self._names})
            self._times.append(-1)
        self._times[index] = max(self._times[index], example.time_ms)
        for name, kept in self._bins[index].items():
            value = x.get(name)
            if value is None:
                continue
            if self._is_number[name]:
                value -= self._origin.setdefault(name, value)
                kept[0] += 1
                kept[1] += value
                kept[2] += value * value
            else:
                known = self._values[name]
                if value not in known and len(known) < _MOST_VALUES:
                    known[value] = None
                value = value if value in known else REST
                kept[value] = kept.get(value, 0) + 1

    def _halve(self) -> None:
        pairs = [self._bins[i : i + 2] for i in range(0, len(self._bins), 2)]
        self._bins = [{name: _merged([bin[name] for bin in pair]) for name in self._names} for pair in pairs]
        self._times = [max(self._times[i : i + 2]) for i in range(0, len(self._times), 2)]

    def curves(self) -> Features:
        """Return what was seen."""
        events = self._events.counts
        made = [
            _number_curve(name, [bin[name] for bin in self._bins], events, self._origin.get(name, 0.0))
            if self._is_number[name]
            else _category_curve(name, [bin[name] for bin in self._bins], events)
            for name in self._names
        ]
        return Features(self._events.first, self._events.width, self._times, made)


def _merged(parts: list[Any]) -> Any:
    if isinstance(parts[0], list):
        return [sum(column) for column in zip(*parts, strict=True)]
    whole: dict[str, int] = {}
    for part in parts:
        for value, count in part.items():
            whole[value] = whole.get(value, 0) + count
    return whole


def _ends(bins: list[Any]) -> tuple[Any, Any]:
    """Return the first and the last tenth of the bins, each as one."""
    tenth = max(1, len(bins) // 10)
    return _merged(bins[:tenth]), _merged(bins[-tenth:])


def _number_curve(name: str, bins: list[Any], events: list[int], origin: float) -> FeatureCurve:
    missing = [1 - kept[0] / n if n else None for kept, n in zip(bins, events, strict=True)]
    means = [_mean(kept, origin) for kept in bins]
    curve = FeatureCurve(name, "number", missing, {"mean": means}, [_deviation(kept) for kept in bins], "-", "-", None)
    if bins:
        first, last = (_mean(end, origin) for end in _ends(bins))
        deviation = _deviation(_merged(bins))
        curve.first, curve.last = (f"{mean:.4g}" if mean is not None else "-" for mean in (first, last))
        if first is not None and last is not None and deviation is not None:
            curve.shift = abs(last - first) / deviation if deviation else 0.0
    return curve


def _mean(kept: list[float], origin: float) -> float | None:
    return origin + kept[1] / kept[0] if kept[0] else None


def _deviation(kept: list[float]) -> float | None:
    return max(0.0, kept[2] / kept[0] - (kept[1] / kept[0]) ** 2) ** 0.5 if kept[0] else None


def _category_curve(name: str, bins: list[Any], events: list[int]) -> FeatureCurve:
    there = [sum(kept.values()) for kept in bins]
    missing = [1 - count / n if n else None for count, n in zip(there, events, strict=True)]
    curve = FeatureCurve(name, "category", missing, {}, [], "-", "-", None)
    if not bins:
        return curve
    whole = _merged(bins)
    shown = sorted((value for value in whole if value != REST), key=lambda value: (-whole[value], value))[:_SHOWN]
    for value in shown:
        curve.lines[value] = [kept.get(value, 0) / n if n else None for kept, n in zip(bins, there, strict=True)]
    if len(whole) > len(shown):
        curve.lines[REST] = [
            1 - sum(kept.get(value, 0) for value in shown) / n if n else None
            for kept, n in zip(bins, there, strict=True)
        ]
    first, last = (_shares(end) for end in _ends(bins))
    curve.first, curve.last = (
        ", ".join(f"{value} {end.get(value, 0):.0%}" for value in shown) if end else "-" for end in (first, last)
    )
    if first and last:
        curve.shift = sum(abs(first.get(value, 0) - last.get(value, 0)) for value in whole) / 2
    return curve


def _shares(kept: dict[str, int]) -> dict[str, float]:
    total = sum(kept.values())
    return {value: count / total for value, count in kept.items()} if total else {}
