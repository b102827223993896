"""Records that are no events, and events at which the model raises, at each place of a transaction."""

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

from schemas.record import Record
from services.backtest import Backtest
from tests.chaos.models import HALF_LEARNED, NO_ANSWER
from tests.chaos.site import Site
from tests.chaos.stage import Stage
from tests.chaos.trial import Findings
from tests.streams.worker.events import BAD, drawn, envelope, inline, key
from tests.streams.worker.kafka import Event, header

#: Where poison stands among the good events of a transaction.
CASES = ("first", "last", "every")
_GOOD = 3
_IN_A_ROW = 4
_MODEL_POISON = {"no answer": NO_ANSWER, "half learned": HALF_LEARNED}

Good = Iterator[Event]


def run(stage: Stage, case: str, seed: int, shocks: int, folder: Path) -> Findings:
    """Write group by group, each when the one before is committed, so that a group is a transaction."""
    rng = random.Random(seed)
    groups = list(_groups(case, rng))
    with Site(stage.single[1], folder, folder.name, "fragile", large=True) as site:
        site.crew.post("w0")
        ends = []
        for group in groups:
            site.produce(event for event, _ in group)
            site.finish()
            ends.append(sum(high for _, high in site.kafka.extents(site.raw).values()))
        counts = site.judge()
        letters = site.kafka.read(site.dead_letters)[0]
        said = site.kafka.digests(site.pipeline)[0]
        committed = {offset for _, offset in site.commits.moves[0]}
    events = [one for group in groups for one in group]
    poisoned = [offset for offset, (_, is_poison) in enumerate(events) if is_poison]
    buried = [int(header(letter, "riverrun_offset") or -1) for letter in letters]
    counts["not_buried"] = len(set(poisoned) ^ set(buried)) + len(buried) - len(set(buried))
    counts["traces"] = said != _as_if_it_had_never_come(site, [event for event, is_poison in events if not is_poison])
    torn = sum(end not in committed for end in ends)
    return Findings(counts, shocks=len(poisoned), notes=[f"{len(groups)} transactions, {torn} not seen as such"])


def _groups(case: str, rng: random.Random) -> Iterator[list[tuple[Event, bool]]]:
    """Yield the transactions: events, each with whether it is poison."""
    good, numbers = inline(10**6, rng.randrange(10**6)), itertools.count()
    corpus: list[Callable[[], Event]] = [lambda bad=bad: bad for _, bad in BAD.values()]
    corpus += [lambda b=b: _at_which_the_model_raises(b, next(numbers)) for b in _MODEL_POISON.values()]
    rng.shuffle(corpus)
    yield [(next(good), False) for _ in range(20)]
    for poison in corpus:
        some = [(next(good), False) for _ in range(_GOOD)]
        if case == "every":
            yield [(poison(), True) for _ in range(_IN_A_ROW)]
            yield some
        else:
            yield [(poison(), True), *some] if case == "first" else [*some, (poison(), True)]


def _at_which_the_model_raises(b: int, number: int) -> Event:
    fields = drawn(random.Random(number)) | {"b": b}
    return Event(orjson.dumps(fields), key(number), envelope(f"poison{number}"))


def _as_if_it_had_never_come(site: Site, good: list[Event]) -> tuple[str, int]:
    """Return digest and number of the predictions of a log that has the good events only."""
    backtest = Backtest(site.pipeline)
    records = [Record(site.raw, 0, i, 0, event.key, event.value, event.headers) for i, event in enumerate(good)]
    for _ in backtest.run(records):
        pass
    return backtest.digest.hexdigest(), backtest.digest.count
