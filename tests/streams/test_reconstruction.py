"""A champion put together again: the same to the last bit, whatever was learned after the copy."""

import random
from typing import Any

import pytest
from river import linear_model, naive_bayes, preprocessing, tree

from schemas.errors import ModelError
from streams.learner import Learner
from streams.recent import Example, Recent
from streams.reconstruction import Reconstruction
from streams.versions import Frozen
from tests.streams.recording import RecordingClassifier

MODELS = {
    "lr": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "nb": naive_bayes.GaussianNB,
    "tree": lambda: tree.HoeffdingTreeClassifier(grace_period=50),
}


def examples(count: int, first: int = 0) -> list[Example]:
    """Return seeded examples of the events at some offsets."""
    rng = random.Random(first)
    found: list[Example] = []
    for offset in range(first, first + count):
        x = {"a": rng.gauss(0, 1), "b": rng.gauss(0, 1)}
        found.append((offset, x, x["a"] > 0))
    return found


def taught(champion: Learner, *lessons: list[Example]) -> Learner:
    """Return a learner that has learned some more."""
    for lesson in lessons:
        for _, x, y in lesson:
            champion.learn(x, y)
    return champion


def frozen(champion: Learner, offset: int) -> Frozen:
    """Return a copy of it."""
    return Frozen(champion.freeze()[0], champion.version, champion.learned, offset, "binary")


def ended(reconstruction: Reconstruction) -> Frozen:
    """Return what has come of it in the end."""
    while not reconstruction.is_done:
        reconstruction.learn()
    version = reconstruction.end()
    assert version is not None
    return version


def answers(model: Any) -> list[Any]:
    """Return what a model says of events that nobody has learned."""
    return [model.predict(x) for _, x, _ in examples(200, first=9000)]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("until", [400, 401, 730, 1000])
def test_champion_is_what_it_was_before_the_change(model: str, until: int) -> None:
    """To the last bit: an old copy and the examples since are the champion of any moment between."""
    champion = taught(Learner(MODELS[model], "v1", "binary"), examples(400))
    old, since = frozen(champion, 399), examples(600, first=400)
    reconstruction = Reconstruction()
    reconstruction.begin(old, since, until)
    version = ended(reconstruction)
    then = taught(champion, since[: until - 400])
    assert (version.name, version.learned, version.offset) == (f"v1@{until}", until, until - 1)
    assert answers(version) == answers(then)
    assert answers(version.learner()) == answers(then)


def test_steps_are_short_and_what_is_not_finished_is_older() -> None:
    """Some examples at a time; whoever ends it early has the champion of a moment before."""
    champion = taught(Learner(naive_bayes.GaussianNB, "v1", "binary"), examples(400))
    reconstruction = Reconstruction()
    reconstruction.begin(frozen(champion, 399), examples(600, first=400), 1000)
    reconstruction.learn()
    assert not reconstruction.is_done
    version = reconstruction.end()
    assert version is not None
    assert 400 < version.learned <= 430
    assert answers(version) == answers(taught(champion, examples(600, first=400)[: version.learned - 400]))
    assert (reconstruction.end(), reconstruction.is_done) == (None, False)


def test_example_at_which_the_model_raises_is_passed_over() -> None:
    """Its error leaves no trace, and those behind it are learned."""
    champion = taught(Learner(RecordingClassifier, "v1", "binary"), examples(10))
    old = Frozen(champion.freeze((RecordingClassifier,))[0], "v1", 10, 9, "binary", (RecordingClassifier,))
    since = examples(40, first=10)
    since[5][1]["trap"] = 1
    reconstruction = Reconstruction()
    reconstruction.begin(old, since, 50)
    with pytest.raises(ModelError):
        reconstruction.learn()
    version = ended(reconstruction)
    assert version.learned == 49
    assert [x for x, _ in version.thaw().taught] == [x for _, x, _ in examples(10) + since[:5] + since[6:]]


def test_half_of_it_survives_a_snapshot() -> None:
    """With what it has yet to learn."""
    champion = taught(Learner(naive_bayes.GaussianNB, "v1", "binary"), examples(400))
    old = frozen(champion, 399)
    straight, resumed = Reconstruction(), Reconstruction()
    straight.begin(old, examples(100, first=400), 500)
    straight.learn()
    assert straight.learner is not None
    half = frozen(straight.learner, 0)
    resumed.restore(straight.snapshot(), {old.name: old}, half.learner())
    assert answers(ended(resumed)) == answers(ended(straight))


def test_newest_examples_are_kept_in_their_order() -> None:
    """Some thousand; a restored one goes on."""
    recent, restored = Recent(), Recent()
    for example in examples(2500):
        recent.add(example)
    restored.restore(recent.snapshot())
    for one in (recent, restored):
        one.add((2500, {"a": 1.0}, True))
        assert [offset for offset, _, _ in one.newest(3)] == [2498, 2499, 2500]
        assert one.newest(9999)[0][0] == 501
        assert one.newest(0) == []
