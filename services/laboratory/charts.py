"""Charts as SVG: lines over the log, with marks below them. Every text is escaped; the page's style gives colours."""

from collections.abc import Sequence
from html import escape
from math import floor, log10

from msgspec import Struct

WIDTH, HEIGHT = 960, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 10, 26
_LANE = 26
_KEY = 28
#: About the width of a digit, in the units of a chart.
_DIGIT = 7
_SMALL_WIDTH, _SMALL_HEIGHT = 292, 96
_GLYPHS = {
    "drift.detected": ("drift", "M0,-6 L6,5 L-6,5 Z"),
    "model.retrained": ("retrained", "M-5,-5 H5 V5 H-5 Z"),
    "model.promoted": ("promoted", "M0,-6 A6,6 0 1 1 0,6 A6,6 0 1 1 0,-6 Z"),
    "model.rolled-back": ("rolled back", "M0,-7 L6,0 L0,7 L-6,0 Z"),
}
MARKED = tuple(_GLYPHS)


class Line(Struct):
    """One line of a chart.

    Parameters
    ----------
    run
        Number of the entry, from 0, which gives it its look and lets it be hidden.
    title
        What it is.
    values
        One for each bin; None leaves a gap.
    marks
        Type and place in bins of what happened, and what is said of it.
    """

    run: int
    title: str
    values: Sequence[float | None]
    marks: Sequence[tuple[str, float, str]] = ()


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers between two, at most so many.

    Examples
    --------
    >>> ticks(0.0, 0.43)
    [0.0, 0.1, 0.2, 0.3, 0.4]
    >>> ticks(-3.0, 11.0, 4)
    [0.0, 5.0, 10.0]
    """
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = -floor(-low / step + 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, floor(high / step + 1e-9) + 1)]


def chart(
    name: str, title: str, description: str, lines: Sequence[Line], offsets: Sequence[int], *, zero: bool = True
) -> str:
    """Return a chart of lines over the log.

    Parameters
    ----------
    name
        Id of the chart in the page.
    title, description
        For those who do not see it.
    lines
        What is drawn; below, each line with marks has a lane of its own.
    offsets
        Where each bin begins, and where the last one ends.
    zero
        Whether the axis has to begin at zero.
    """
    low, high = _range([line.values for line in lines], zero=zero)
    lanes = [line for line in lines if line.marks]
    height = HEIGHT + _LANE * len(lanes)
    many = max(1, len(offsets) - 1)

    def x(place: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * place / many

    def y(value: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - (value - low) / (high - low))

    parts = [
        f'<svg class="chart" id="{escape(name)}" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-labelledby="{escape(name)}-t {escape(name)}-d" data-left="{_LEFT}" data-right="{WIDTH - _RIGHT}" '
        f'data-top="{_TOP}" data-bottom="{HEIGHT - _BOTTOM}" data-low="{low:.6g}" data-high="{high:.6g}">',
        f'<title id="{escape(name)}-t">{escape(title)}</title><desc id="{escape(name)}-d">{escape(description)}</desc>',
    ]
    parts += _axes(low, high, offsets, x, y, height)
    for line in lines:
        points = [(x(i + 0.5), y(value)) if value is not None else None for i, value in enumerate(line.values)]
        parts.append(f'<path class="{_look(line.run)}" data-run="{line.run}" d="{_path(points)}"/>')
    for number, line in enumerate(lanes):
        parts += _lane(line, HEIGHT + _LANE * number + _LANE / 2, x)
    parts.append(f'<line class="cursor" y1="{_TOP}" y2="{height}" x1="-9" x2="-9"/></svg>')
    return "".join(parts)


def _look(run: int) -> str:
    """Return the classes of a line: eight colours, and each time they come again other dashes.

    Examples
    --------
    >>> _look(1), _look(9)
    ('line c1', 'line c1 d1')
    """
    dashes = run // 8 % 4
    return f"line c{run % 8}" + (f" d{dashes}" if dashes else "")


def key(run: int) -> str:
    """Return a small drawing of an entry's line, for legends and tables."""
    return (
        f'<svg class="key" data-key="{run}" viewBox="0 0 {_KEY} 6" aria-hidden="true">'
        f'<path class="{_look(run)}" d="M0,3 H{_KEY}"/></svg>'
    )


def _range(values: Sequence[Sequence[float | None]], *, zero: bool) -> tuple[float, float]:
    known = [value for line in values for value in line if value is not None] or [0.0]
    low, high = min(known), max(known)
    if zero:
        low, high = min(0.0, low), max(0.0, high)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    room = 0.04 * (high - low)
    return (low if zero and low == 0.0 else low - room), high + room


def _axes(low: float, high: float, offsets: Sequence[int], x: object, y: object, height: int) -> list[str]:
    parts = []
    for value in ticks(low, high):
        at = y(value)  # type: ignore[operator]
        parts.append(
            f'<line class="grid{" zero" if value == 0 else ""}" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" '
            f'y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>')
    if len(offsets) > 1:
        first, width = offsets[0], offsets[1] - offsets[0]
        for value in ticks(first, offsets[-1], 8):
            at, said = x((value - first) / width), f"{value:,.0f}"  # type: ignore[operator]
            anchor = "end" if at + _DIGIT * len(said) / 2 > WIDTH else "middle"  # what is beyond the edge is cut
            parts.append(f'<text x="{at:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{said}</text>')
    return parts


def _lane(line: Line, middle: float, x: object) -> list[str]:
    parts = [
        f'<g class="lane" data-run="{line.run}">'
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{middle}" y2="{middle}"/>'
        f'<path class="{_look(line.run)}" d="M{_LEFT - 8 - _KEY},{middle} h{_KEY}"/>'
        f'<text x="{_LEFT - 14 - _KEY}" y="{middle + 4}" text-anchor="end">{line.run + 1}'
        f"<title>{escape(line.title)}</title></text>"
    ]
    for kind, place, said in line.marks:
        word, shape = _GLYPHS[kind]
        at, side = x(place), -6 if word == "drift" else 6  # type: ignore[operator]
        parts.append(
            f'<path class="mark {word.replace(" ", "-")}" transform="translate({at:.1f},{middle + side})" d="{shape}">'
            f"<title>{escape(line.title)}: {escape(said)}</title></path>"
        )
    return [*parts, "</g>"]


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    said, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        said.append(f"{pen}{point[0]:.1f},{point[1]:.1f}")
        pen = "L"
    return "".join(said)


def small_chart(title: str, lines: Sequence[Sequence[float | None]], band: Sequence[float | None] = ()) -> str:
    """Return a small chart of one feature.

    Parameters
    ----------
    title
        For those who do not see it.
    lines
        A mean, or shares.
    band
        Standard deviations about the first line, drawn as a band.
    """
    around = _around(lines[0], band) if band else []
    low, high = _range([*lines, *around], zero=not band)

    def x(place: float, many: int) -> float:
        return 46 + (_SMALL_WIDTH - 50) * (place + 0.5) / max(1, many)

    def y(value: float) -> float:
        return 6 + (_SMALL_HEIGHT - 12) * (1 - (value - low) / (high - low))

    parts = [
        f'<svg class="small" viewBox="0 0 {_SMALL_WIDTH} {_SMALL_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>"
    ]
    for value in ticks(low, high, 4):
        parts.append(f'<line class="grid" x1="46" x2="{_SMALL_WIDTH - 4}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="40" y="{y(value) + 4:.1f}" text-anchor="end">{_short(value)}</text>')
    if around:
        there = [i for i, value in enumerate(around[0]) if value is not None and around[1][i] is not None]
        corners = [(x(i, len(band)), y(around[1][i] or 0.0)) for i in there]
        corners += [(x(i, len(band)), y(around[0][i] or 0.0)) for i in reversed(there)]
        parts.append(f'<path class="band" d="{_path(corners)}Z"/>' if corners else "")
    for number, line in enumerate(lines):
        points = [(x(i, len(line)), y(value)) if value is not None else None for i, value in enumerate(line)]
        parts.append(f'<path class="line c{number % 8}" d="{_path(points)}"/>')
    return "".join([*parts, "</svg>"])


def _around(line: Sequence[float | None], band: Sequence[float | None]) -> list[list[float | None]]:
    pairs = list(zip(line, band, strict=True))
    return [
        [None if mean is None or spread is None else mean + side * spread for mean, spread in pairs] for side in (-1, 1)
    ]


def _short(value: float) -> str:
    """Return a number as it fits beside an axis.

    Examples
    --------
    >>> [_short(value) for value in (0.25, 1500.0, 2e6, 2.5e-5, 1e21)]
    ['0.25', '1.5k', '2M', '2.5e-05', '1e+21']
    """
    for limit, unit in ((1e9, ""), (1e6, "M"), (1e3, "k")):
        if limit <= abs(value) < 1e12 and unit:
            return f"{value / limit:g}{unit}"
    return f"{value:.4g}"
