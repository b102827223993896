"""What is different from world to world: how many of what, and how much goes wrong. Each is drawn from the seed."""

import random
from collections.abc import Collection
from datetime import timedelta
from functools import cache
from itertools import islice
from typing import Any

from river import linear_model, metrics, naive_bayes

from schemas.murmur2 import home_partition
from streams.feature import Feature
from streams.label import Label
from streams.per_key import PerKey
from streams.pipeline import Pipeline
from streams.policy import ChampionVersions, ObserveOnly, Policy, Pool
from streams.race import Race
from streams.worker.settings import Settings
from tests.simulation.fold import Fold
from tests.simulation.models import Deadly, Killed, Moody, Slope, is_too_much
from tests.simulation.oracle import Oracle, Single
from tests.simulation.oracle import PerKey as KeptPerKey
from tests.simulation.seals import SIGNER, TRUSTED, QuickSeal
from tests.simulation.stream import Stream

TTL_MS = 5000
_MODELS: dict[str, Any] = {
    "slope": Slope,
    "moody": Moody,
    "deadly": Deadly,
    "logistic": linear_model.LogisticRegression,
    "bayes": naive_bayes.GaussianNB,
}
_LABELS = {
    "inline": Label("y"),
    "delayed": Label("y", ttl=timedelta(milliseconds=TTL_MS)),
    "assumed": Label("y", ttl=timedelta(milliseconds=TTL_MS), on_expiry=False),
}


#: As hasty as they may be declared: worlds are short.
_HASTY: dict[str, Any] = {
    "alpha": 0.8,
    "change": 1.0,
    "alarm": 1.5,
    "versions": 2,
    "challenger_life": 12,
    "min_learned": 2,
    "probation": 8,
    "milestone": 4,
}
_POLICIES: dict[str, Policy] = {
    "observe": ObserveOnly(),
    "pool": Pool(**_HASTY),
    "versions": ChampionVersions(**_HASTY),
}
#: Models that are as good as the one that serves, and taken for better soon.
_RACE = Race([Slope(0.5), Slope(0.02), Slope(0.003)], budget=1.5, alpha=0.99, rung=3)
#: In one world of so many operators command.
_COMMANDED = 4


#: So few that in short worlds some have to go, and some have learned enough to answer.
_PER_KEY, _KEYS = PerKey(most=2, min_learned=3), 3


@cache
def keys_of(partition: int, partitions: int) -> list[bytes | None]:
    """Return keys that are at home in a partition, and none."""
    found = (key for key in map(b"k%d".__mod__, range(10**6)) if home_partition(key, partitions) == partition)
    return [None, *islice(found, _KEYS)]


@cache
def pipeline_of(
    model: str, labels: str, policy: str = "observe", *, raced: bool = False, per_key: bool = False
) -> Pipeline:
    """Return a declaration; worlds share it, as it never changes."""
    return Pipeline(
        "p",
        features={"a": float, "b": Feature(float, nullable=True, missing="mean")},
        label=_LABELS[labels],
        model=_MODELS[model](),
        metrics=[metrics.Accuracy()],
        policy=_POLICIES[policy],
        race=_RACE if raced else None,
        model_per=_PER_KEY if per_key else None,
    )


@cache
def settings_of(batch_records: int) -> Settings:
    """Return the settings of a deployment."""
    return Settings(batch_records=batch_records)


class Plan:
    """Parameters of one world.

    Parameters
    ----------
    seed
        Of the world.
    quarantine
        Whether workers die so often that records are passed over, be it their fault or not.
    """

    def __init__(self, seed: int, *, quarantine: bool = False) -> None:
        rng = random.Random(f"plan {seed}")
        self.model = rng.choices(list(_MODELS), (12, 6, 2, 1, 1))[0]
        self.labels = rng.choice(list(_LABELS))
        self.policy = "observe"
        self.commanded = seed % _COMMANDED == _COMMANDED - 1 and not quarantine
        if self.commanded:
            self.model, self.policy = "slope", rng.choice(("pool", "pool", "versions"))
        raced = self.commanded and rng.random() < 0.4
        self.per_key = random.Random(f"per key {seed}").random() < 0.3
        self.pipeline = pipeline_of(self.model, self.labels, self.policy, raced=raced, per_key=self.per_key)
        self.exactly_once = rng.random() < 0.85
        self.quarantine = self.model == "deadly" or rng.random() < 0.2
        # Where it may say things twice, it may also say something and then pass over the record.
        self.exactly_once |= self.quarantine
        self.static = rng.random() < 0.4
        self.partitions = rng.choice((1, 2, 2, 3))
        self.workers = rng.choice((1, 2, 2, 3))
        self.settings = settings_of(rng.choice((2, 5, 30)))
        self.snapshot_seconds = rng.choice((0.3, 1.0, 3.0))
        self.dump_cycles = rng.choice((0, 0, 1, 3))
        self.chunk_bytes = rng.choice((300, 1000))
        self.bytes_a_cycle = rng.choice((400, 4000))
        self.sweep_every = rng.choice((2, 5))
        self.undo_bytes = rng.choice((2048, 1 << 24))
        self.actions = rng.choice((100, 200, 400))
        self.crashes = rng.choice((0.0, 0.005, 0.03))
        self.pauses = rng.choice((0.0, 0.02, 0.08))
        self.signed = rng.random() < 0.1
        #: Share of what is delivered of which the producer does not hear where it stands.
        self.unplaced = random.Random(f"unplaced {seed}").choice((0.0, 0.0, 0.02, 0.1))
        self.leaps = rng.choice((0.5, 2.0, 4.0))
        self.with_faults = {name for name in FAULTS if rng.random() < 0.5}
        if quarantine:
            self._kill_often()
        if self.quarantine:
            self.with_faults.discard("damage")  # which records are passed over is kept once, and not in the log
        if self.commanded:
            self.partitions, self.actions = min(self.partitions, 2), min(self.actions, 200)
        records = rng.randint(30, 90)
        folds = [self._fold(partition) for partition in range(self.partitions)]
        self.streams = [
            Stream(p, self.ttl_ms, f"stream {seed} {p}", fold, keys_of(p, self.partitions))
            for p, fold in enumerate(folds)
        ]
        for stream in self.streams:
            stream.extend(records // self.partitions)

    def _fold(self, partition: int) -> Fold | None:
        return Fold(self.pipeline, partition, self.partitions) if self.commanded else None

    def _kill_often(self) -> None:
        self.quarantine = self.exactly_once = True
        self.static = False
        self.partitions, self.workers, self.actions = 1, 3, 600
        self.crashes, self.snapshot_seconds = 0.05, 0.3
        self.with_faults |= {"freeze", "kill", "compaction"}

    @property
    def signer(self) -> Any:
        """Who seals manifests."""
        return SIGNER if self.signed else QuickSeal()

    @property
    def trusted(self) -> Any:
        """Whose manifests are believed."""
        return TRUSTED if self.signed else QuickSeal()

    @property
    def ttl_ms(self) -> int | None:
        """How long events wait."""
        return None if self.labels == "inline" else TTL_MS

    def books(self, stream: Stream, skips: Collection[int] = ()) -> Oracle | Fold:
        """Return what all that is said of a stream is compared with; some records are passed over."""
        if stream.fold is None:
            return self.oracle(stream, skips)
        if not skips:
            return stream.fold
        fold = Fold(self.pipeline, stream.fold.task.partition, self.partitions)
        for message in stream.records:
            fold.take(message, skip=message.offset() in skips)
        return fold

    def oracle(self, stream: Stream, skips: Collection[int] = ()) -> Oracle:
        """Return what has to come of a stream, but for what operators make of it; some records are passed over."""
        assumed = False if self.labels == "assumed" else None
        refuses = is_too_much if self.model == "moody" else _refuses_nothing
        build, bounds = _MODELS[self.model], (_PER_KEY.most, _PER_KEY.min_learned)
        models = KeptPerKey(build, *bounds) if self.per_key else Single(build)
        books = Oracle(models, self.ttl_ms, assumed, refuses)
        for offset, meaning in stream.meanings.items():
            if offset in skips:
                books.pass_over(offset)
                continue
            try:
                books.fold(offset, meaning)
            except Killed:
                break  # so far nobody comes further
        return books

    def __str__(self) -> str:
        hidden = ("pipeline", "settings", "streams")
        words = [f"{name}={value}" for name, value in vars(self).items() if name not in hidden]
        return " ".join([*words, f"batch_records={self.settings.batch_records}"])


#: What may go wrong beside crashes and pauses; half of it does in each world.
FAULTS = ("kill", "stop", "freeze", "glitch", "retention", "compaction", "damage")


def _refuses_nothing(x: dict[str, Any]) -> bool:
    return False
