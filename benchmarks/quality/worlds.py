"""The worlds that policies are tried in: seeded, built with River's generators, and real ones.

Each is a sequence of examples with what only an oracle knows: which concept each belongs to, and which labels are lies.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import Struct
from river import datasets, linear_model, multiclass, preprocessing, tree
from river.datasets import synth

Example = tuple[dict[str, float], Any]

_AGRAWAL = (0, 3, 6, 1, 4, 7, 2, 5, 8, 9)
_HYPERPLANE_FEATURES = 10
_LATE = ", labels 100 late"


class World(Struct, frozen=True):
    """A kind of world.

    Parameters
    ----------
    name
        Of the world.
    row
        Row of the table in which it counts.
    build
        Makes the stream of a seed.
    labels_after
        Events after which a label comes; 0: with its event.
    classes
        Whether there are more than two.
    """

    name: str
    row: str
    build: Callable[[int], Stream]
    labels_after: int = 0
    classes: bool = False

    def fresh(self, base: str) -> Any:
        """Return an unlearned model of a base: ``lr`` or ``ht``."""
        if base == "ht":
            return tree.HoeffdingTreeClassifier()
        last = linear_model.LogisticRegression()
        return preprocessing.StandardScaler() | (multiclass.OneVsRestClassifier(last) if self.classes else last)


class Stream(Struct, frozen=True):
    """One world's examples.

    Parameters
    ----------
    examples
        Features and label, in their order; the label as it comes, lies included.
    concepts
        Number of the concept that each is of; empty where nobody knows.
    lies
        Places whose labels are wrong: they do not count.
    missing, repeated
        Places whose labels never come, and whose events come twice.
    """

    examples: list[Example]
    concepts: list[int] = []
    lies: frozenset[int] = frozenset()
    missing: frozenset[int] = frozenset()
    repeated: frozenset[int] = frozenset()


def _plain(x: dict[Any, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in x.items()}


def _agrawal(concept: int, seed: int) -> Iterator[Example]:
    function = _AGRAWAL[concept % len(_AGRAWAL)]
    return iter(synth.Agrawal(classification_function=function, seed=seed, perturbation=0.05))


def _sine(concept: int, seed: int) -> Iterator[Example]:
    return iter(synth.Sine(classification_function=concept % 4, seed=seed))


def _stagger(concept: int, seed: int) -> Iterator[Example]:
    return iter(synth.STAGGER(classification_function=concept % 3, seed=seed))


def _sea(concept: int, seed: int) -> Iterator[Example]:
    return iter(synth.SEA(variant=concept % 4, noise=0.1, seed=seed))


def _hyperplane(concept: int, seed: int) -> Iterator[Example]:
    # The weights are the concept's and the seed's; the generator keeps them when nothing drifts.
    made = synth.Hyperplane(
        seed=1000 * seed + concept,
        n_features=_HYPERPLANE_FEATURES,
        n_drift_features=0,
        mag_change=0,
        noise_percentage=0.05,
    )
    return iter(made)


SOURCES: dict[str, Callable[[int, int], Iterator[Example]]] = {
    "agrawal": _agrawal,
    "sine": _sine,
    "stagger": _stagger,
    "hyperplane": _hyperplane,
    "sea": _sea,
}


def segments(source: str, seed: int, concepts: Sequence[int], length: int, *, width: int = 0) -> Stream:
    """Return concepts one after the other; over `width` events the next one takes over gradually."""
    running = {concept: SOURCES[source](concept, seed) for concept in set(concepts)}
    rng = random.Random(f"{source}/{seed}")
    examples, told = [], []
    for place, concept in enumerate(concepts):
        for i in range(length):
            drawn = concept
            ahead, behind = i - (length - width // 2), i + width // 2
            if width and place + 1 < len(concepts) and ahead >= 0 and rng.random() < ahead / width:
                drawn = concepts[place + 1]
            elif width and place and i < width // 2 and rng.random() > behind / width:
                drawn = concepts[place - 1]
            x, y = next(running[drawn])
            examples.append((_plain(x), bool(y)))
            told.append(concept)
    return Stream(examples, told)


def incremental(seed: int) -> Stream:
    """A hyperplane that turns all the time."""
    made = synth.Hyperplane(
        seed=seed, n_features=10, n_drift_features=5, mag_change=0.001, sigma=0.1, noise_percentage=0.05
    )
    return Stream([(_plain(x), bool(y)) for x, y in made.take(20_000)])


def bursts(source: str, seed: int) -> Stream:
    """One concept; now and then something upstream inverts the labels of some hundred events."""
    stream = segments(source, seed, [0], 15_000)
    rng = random.Random(f"bursts/{seed}")
    lies = frozenset(i for start in range(3000, 15_000, 3000) for i in range(start, start + rng.randrange(100, 400)))
    turned = [(x, (not y) if i in lies else y) for i, (x, y) in enumerate(stream.examples)]
    return Stream(turned, stream.concepts, lies)


def untidy(stream: Stream, seed: int) -> Stream:
    """Return a stream of which 2 % of the labels never come, and 2 % of the events come twice."""
    rng = random.Random(f"untidy/{seed}")
    places = range(len(stream.examples))
    missing = frozenset(i for i in places if rng.random() < 0.02)
    repeated = frozenset(i for i in places if rng.random() < 0.02)
    return Stream(stream.examples, stream.concepts, stream.lies, missing, repeated)


def autocorrelated(seed: int, phi: float) -> Stream:
    """A linear concept over features that are AR(1) processes."""
    rng = random.Random(f"ar/{phi}/{seed}")
    state = [rng.gauss(0, 1) for _ in range(5)]
    weights = [rng.gauss(0, 1) for _ in range(5)]
    innovation = (1 - phi * phi) ** 0.5
    examples: list[Example] = []
    for _ in range(20_000):
        state = [phi * value + innovation * rng.gauss(0, 1) for value in state]
        y = sum(w * value for w, value in zip(weights, state, strict=True)) + rng.gauss(0, 0.7) > 0
        examples.append(({f"x{i}": value for i, value in enumerate(state)}, y))
    return Stream(examples, [0] * len(examples))


def _real(dataset: Any, limit: int) -> Callable[[int], Stream]:
    def build(_: int) -> Stream:
        examples = [(_plain(x), y) for x, y in islice(dataset, limit)]
        return Stream([(x, str(y) if not isinstance(y, bool) else y) for x, y in examples])

    return build


def _flights(_: int) -> Stream:
    from services import flights

    examples: list[Example] = []
    for flight in flights.flights():
        if flight.late is None:
            continue
        x = {name: float(value) for name, value in flight.facts.items() if isinstance(value, (int, float))}
        examples.append((x, flight.late))
        if len(examples) == 40_000:
            break
    names = set.intersection(*(set(x) for x, _ in examples[:1000]))
    return Stream([({name: x.get(name, 0.0) for name in sorted(names)}, y) for x, y in examples])


def _recorded(path: Path, limit: int = 50_000) -> tuple[list[Example], bool]:
    """Return the first examples of a CSV file, and whether they have more than two classes.

    The first line names the columns; the last one is the label, all others are numbers.
    """
    with path.open(newline="") as file:
        names, *rows = islice(csv.reader(file), 1 + limit)
    labels = sorted({row[-1] for row in rows})
    classes = len(labels) > 2
    return [
        (
            {name: float(value) for name, value in zip(names[:-1], row[:-1], strict=True)},
            row[-1] if classes else row[-1] == labels[-1],
        )
        for row in rows
    ], classes


def recorded_worlds(path: str) -> list[World]:
    """Return the worlds of a CSV file: labels with their events, and a hundred events later."""
    examples, classes = _recorded(Path(path))
    stream = Stream(examples)
    return [
        World(path, "real", lambda _: stream, classes=classes),
        World(path + _LATE, "real delayed", lambda _: stream, 100, classes=classes),
    ]


def world(name: str) -> World:
    """Return the world of this name: of the table, or of the CSV file that it is the path of."""
    found = {known.name: known for known in all_worlds()}
    return found.get(name) or {known.name: known for known in recorded_worlds(name.removesuffix(_LATE))}[name]


def _of(source: str, concepts: Sequence[int], length: int, **further: int) -> Callable[[int], Stream]:
    return lambda seed: segments(source, seed, concepts, length, **further)


def all_worlds() -> list[World]:
    """Return the worlds of the table."""
    worlds = [World(f"stationary {s}", "stationary", _of(s, [0], 40_000)) for s in ("agrawal", "hyperplane", "sea")]
    worlds += [
        World(f"abrupt {s}", "abrupt", _of(s, [0, 1], 4000)) for s in ("agrawal", "sine", "stagger", "hyperplane")
    ]
    for s in ("agrawal", "sine", "stagger", "hyperplane"):
        for length in (2000, 5000):
            worlds.append(World(f"ABAB {s} {length}", "recurring", _of(s, [0, 1, 0, 1], length)))
            worlds.append(World(f"ABCABC {s} {length}", "recurring", _of(s, [0, 1, 2, 0, 1, 2], length)))
        worlds.append(World(f"ABAB {s} gradual", "recurring gradual", _of(s, [0, 1, 0, 1], 4000, width=1000)))
    worlds += [World(f"gradual {s}", "gradual", _of(s, [0, 1], 6000, width=2000)) for s in ("agrawal", "hyperplane")]
    worlds.append(World("incremental hyperplane", "gradual", incremental))
    worlds.append(World("new agrawal", "new concepts", _of("agrawal", range(8), 2500)))
    worlds.append(World("new hyperplane", "new concepts", _of("hyperplane", range(8), 2500)))
    worlds += [World(f"bursts {s}", "bursts", lambda seed, s=s: bursts(s, seed)) for s in ("agrawal", "hyperplane")]
    worlds += [World(f"flapping {s}", "flapping", _of(s, [0, 1] * 10, 1000)) for s in ("agrawal", "hyperplane")]
    for phi in (0.5, 0.9, 0.99):
        worlds.append(World(f"AR(1) {phi}", "autocorrelated", lambda seed, phi=phi: autocorrelated(seed, phi)))
    for late in (100, 1000):
        for s in ("agrawal", "stagger"):
            worlds.append(
                World(
                    f"ABAB {s} 5000, labels {late} late",
                    "delayed",
                    lambda seed, s=s: untidy(segments(s, seed, [0, 1, 0, 1], 5000), seed),
                    late,
                )
            )
    worlds.append(World("phishing", "real", _real(datasets.Phishing(), 2000)))
    worlds.append(World("bananas", "real", _real(datasets.Bananas(), 6000)))
    worlds.append(World("image segments", "real", _real(datasets.ImageSegments(), 3000), classes=True))
    worlds.append(World("flights", "real", _flights))
    worlds.append(World("flights, labels 100 late", "real delayed", _flights, 100))
    return worlds
