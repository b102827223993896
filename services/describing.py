"""What happened, in words: predictions and lifecycle events as lines."""

from collections.abc import Mapping
from typing import Any

#: Fields of lifecycle events that are told in another way, or are the same in all.
_COMMON = ("id", "pipeline", "partition", "offset", "time", "schema_version")


def printable(text: str) -> str:
    r"""Return a text in one line that tells a terminal nothing: what others have written may hold its commands.

    Examples
    --------
    >>> printable("a new\x1b[2J season")
    'a new\\x1b[2J season'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def describe_prediction(body: Mapping[str, Any]) -> str:
    """Return a prediction in one line.

    Examples
    --------
    >>> fields = dict(id="a1", prediction=True, score=0.25, version="v1", learned=3)
    >>> describe_prediction({**fields, "source": "p.raw", "partition": 0, "offset": 7, "flags": []})
    'a1  True  0.2500  v1 learned=3  p.raw[0]@7'
    """
    score = body["score"]
    if isinstance(score, dict):
        said = " ".join(f"{label}={probability:.4f}" for label, probability in score.items())
    else:
        said = "-" if score is None else f"{score:.4f}"
    position = f"{body['source']}[{body['partition']}]@{body['offset']}"
    flags = "".join(f"  {flag}" for flag in body["flags"])
    return f"{body['id']}  {body['prediction']}  {said}  {body['version']} learned={body['learned']}  {position}{flags}"


def describe_lifecycle(type: str, body: Mapping[str, Any]) -> str:
    """Return a lifecycle event in one line: when, where, what.

    Examples
    --------
    >>> body = {"id": "i", "partition": 0, "offset": 7, "time": 0, "version": "v2", "replaced": "v1", "after": 0.5}
    >>> describe_lifecycle("riverrun.model.retrained", body)
    '1970-01-01T00:00:00.000Z  [0]@7  model.retrained  version=v2 replaced=v1 after=0.5'
    """
    from schemas import cloudevents as ce

    what = " ".join(f"{name}={_short(value)}" for name, value in body.items() if name not in _COMMON)
    where = f"[{body['partition']}]@{body['offset']}"
    return printable(f"{ce.format_time(body['time'])}  {where}  {type.removeprefix('riverrun.')}  {what}")


def describe_place(body: Mapping[str, Any]) -> list[str]:
    """Return where and when a lifecycle event happened, for a table: `drift show` takes the position; to the second.

    Examples
    --------
    >>> describe_place({"partition": 0, "offset": 7, "time": 1234})
    ['0@7', '1970-01-01T00:00:01Z']
    """
    from schemas import cloudevents as ce

    second = body["time"] // 1000 * 1000
    return [f"{body['partition']}@{body['offset']}", ce.format_time(second).replace(".000Z", "Z")]


def _short(value: Any) -> Any:
    if isinstance(value, list | tuple) and value and isinstance(value[0], dict):
        return ", ".join(map(describe_moved, value))
    return f"{value:.4g}" if isinstance(value, float) else value


def describe_moved(signal: Mapping[str, Any]) -> str:
    """Return in words how a signal has moved.

    Examples
    --------
    >>> fields = dict(name="dest", what="SFO", q=1e-5, before={"SFO": 0.1}, after={"SFO": 0.25})
    >>> describe_moved({**fields, "kind": "category", "missing_before": 0.0, "missing_after": 0.0})
    'dest: SFO 0.1 → 0.25 (q=1e-05)'
    """
    what, before, after = signal["what"], signal["before"], signal["after"]
    if what == "missing":
        was, now = (f"{signal[name]:.4g}" for name in ("missing_before", "missing_after"))
    elif "number" in signal["kind"]:
        was, now = (_range(quantiles, what) for quantiles in (before, after))
    else:
        was, now = (f"{shares.get(what, 0.0):.4g}" for shares in (before, after))
    return f"{signal['name']}: {what} {was} → {now} (q={signal['q']:.2g})"


def _range(quantiles: Mapping[str, float], what: str) -> str:
    if not quantiles:
        return "-"
    if what == "location":
        return f"{quantiles['mean']:.4g}"
    return f"{quantiles['q10']:.4g}..{quantiles['q90']:.4g}"
