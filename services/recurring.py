"""A stream in which drift is certain: loan applications, judged by two rules that take turns.

River's Agrawal generator draws the applicants; function 0 (by age) and function 6 (by disposable income) judge them.
The rule changes without notice, every few thousand applications: A-B-A-B. The verdict becomes known two hours after
the application, as a label record. Everything follows from the seed.
"""

from collections import deque
from collections.abc import Iterator

import orjson

from schemas import cloudevents as ce
from schemas.lines import Line

APPLICATIONS = 24_000
SEGMENT = 4_000
RULES = (0, 6)
SOURCE = "recurring"

_START_MS = 1_704_067_200_000  # 2024-01-01
_BETWEEN_APPLICATIONS_MS = 60_000
_VERDICT_AFTER_MS = 120 * 60_000
_NOISE = 0.05


def recurring_log(limit: int | None = None, *, seed: int = 7, segment: int = SEGMENT) -> Iterator[Line]:
    """Yield events and labels in the order in which they happen; ``ce_time`` says when.

    Parameters
    ----------
    limit
        Number of applications; None for 24,000. The verdicts on the last ones follow at the end.
    seed
        Of the generator.
    segment
        Applications between two changes of the rule.
    """
    awaited: deque[tuple[int, Line]] = deque()
    for number, (facts, granted) in enumerate(_applications(APPLICATIONS if limit is None else limit, seed, segment)):
        time_ms = _START_MS + number * _BETWEEN_APPLICATIONS_MS
        while awaited and awaited[0][0] <= time_ms:
            yield awaited.popleft()[1]
        loan_id = f"loan-{number:06d}"
        key = loan_id.encode()
        yield Line(key, orjson.dumps(facts), ce.event_headers(loan_id, source=SOURCE, time_ms=time_ms))
        known_ms = time_ms + _VERDICT_AFTER_MS
        headers = ce.event_headers(f"{loan_id}/verdict", type=ce.LABEL, source=SOURCE, time_ms=known_ms)
        awaited.append((known_ms, Line(key, orjson.dumps({"id": loan_id, "granted": granted}), headers)))
    yield from (line for _, line in awaited)


def _applications(limit: int, seed: int, segment: int) -> Iterator[tuple[dict[str, float], bool]]:
    from river.datasets import synth

    for start in range(0, limit, segment):
        turn = start // segment
        rule = RULES[turn % len(RULES)]
        # A seed of its own for each segment: what returns is the rule, not the same applicants.
        drawn = synth.Agrawal(classification_function=rule, seed=seed + turn, perturbation=_NOISE)
        for facts, granted in drawn.take(min(segment, limit - start)):
            yield {name: float(value) for name, value in facts.items()}, bool(granted)
