"""Imported models: kept among the archived versions, or refused with the reason, and nothing that they hold is run."""

import pickle
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest
from river import compose, forest, linear_model, multiclass, naive_bayes, preprocessing, tree

from riverrun import ChampionVersions, Feature, Label, ObserveOnly, Pipeline, Pool, Race
from schemas.commands import Import, Promote, RollBack, decode_command, encode_command
from schemas.events import CommandObeyed, CommandRefused, ModelArchived, ModelPromoted, ModelRetired, ModelRolledBack
from schemas.operators import EVERYBODY
from streams import pickling
from streams.foreign import pack
from streams.imports import admit, neutral
from streams.task import Task
from tests.streams.attacks import COMMANDS, TRICKS, Call
from tests.streams.kept import Kept
from tests.streams.logs import Fold
from tests.streams.test_contest import world
from tests.streams.test_orders import KEY, OPERATORS, Operated, declared, encode_signed

RIVER = version("river")
GRID = [{"a": a / 3, "b": b / 3} for a in range(-4, 5) for b in range(-4, 5)]


def trained(*concepts: int, model: Any = None, seed: int = 9) -> Any:
    """Return a model that has learned a world elsewhere."""
    model = model.clone() if model else preprocessing.StandardScaler() | linear_model.LogisticRegression()
    for record in world(*concepts, length=600, seed=seed).records:
        x = msgspec.json.decode(record.value or b"")
        model.learn_one({"a": x["a"], "b": x["b"]}, x["y"])
    return model


def bring(model: Any = None, data: bytes | None = None, **further: Any) -> Import:
    """Return the command that imports a model, or any bytes in its place."""
    written = pickling.dumps(model or trained(1)) if data is None else data
    fields = {"learned": 600, "features": ("a", "b"), "river": RIVER, "origin": "a laptop", **further}
    return Import(pipeline="p", model=pack(written), **fields)


def name_of(fold: Fold) -> str:
    """Return the name of the version that was archived last."""
    return next(event.archived for event in reversed(fold.lifecycle) if isinstance(event, ModelArchived))


def refusal(fold: Operated, order: Import) -> str:
    """Order an import that has to be refused, hold that nothing has changed, and return the reason."""
    lifecycle = fold.task.lifecycle
    before = pickling.dumps(lifecycle.snapshot())
    [refused] = fold.order(order)
    assert isinstance(refused, CommandRefused)
    assert pickling.dumps(lifecycle.snapshot()) == before
    return refused.reason


# ------------------------------------------------------------------ taken in


def test_import_survives_its_encoding_and_its_signature() -> None:
    """The bytes of the model are what they were, in base 64."""
    order = bring(data=bytes(range(256)))
    assert decode_command(encode_command(order)) == order
    body = encode_signed(order, KEY, "c", "p.raw", 0, issued=1)
    for operators in (OPERATORS, EVERYBODY):
        signed = operators.read(body, "c", "p.raw", 0)
        assert not isinstance(signed, str)
        assert signed.command == order


@pytest.mark.parametrize("policy", [Pool(), ChampionVersions()])
def test_imported_model_is_an_archived_version(policy: Any) -> None:
    """Obeyed, then archived under a name that says at which offset it came and what it had learned."""
    fold = Operated(policy)
    offset = len(fold.log.records)
    obeyed, archived = fold.order(bring())
    assert isinstance(obeyed, CommandObeyed)
    assert (obeyed.order, obeyed.version) == ("import", "v1")
    assert isinstance(archived, ModelArchived)
    assert (archived.archived, archived.learned, archived.until) == (f"i{offset}@600", 600, offset)
    assert archived.origin == "a laptop"
    assert f"i{offset}@600" in fold.task.lifecycle.shadows.contest.candidates(fold.task.lifecycle.champion)  # type: ignore[union-attr]


def test_model_of_a_kind_that_races_is_taken_in() -> None:
    """A winner of the race can be exported, and so it can come back."""
    tree_model = tree.HoeffdingTreeClassifier()
    pipeline = replace(declared(Pool()), race=Race([tree_model]))
    assert not isinstance(found := admit(bring(trained(1, model=tree_model)), pipeline, 42), str), found


def test_promoted_import_answers_as_it_did_elsewhere() -> None:
    """To the last bit, at each point; a copy serves and learns, the archived one stays as it came."""
    fold, model = Operated(Pool()), trained(1)
    fold.order(bring(model))
    name = name_of(fold)
    _, promoted, *_ = fold.order(Promote(pipeline="p", model=name))
    assert isinstance(promoted, ModelPromoted)
    assert (promoted.imported, promoted.learned) == (name, 600)
    champion = fold.task.lifecycle.champion
    assert [champion.predict(x)[1] for x in GRID] == [model.predict_proba_one(x) for x in GRID]
    fold.go_on(1, length=50)
    assert champion.learned == 650
    kept = fold.task.lifecycle.shadows.contest.past.frozen[name]  # type: ignore[union-attr]
    assert [kept.predict(x)[1] for x in GRID] == [model.predict_proba_one(x) for x in GRID]


def test_exported_model_serves_in_another_partition_as_it_did_in_its_own() -> None:
    """A champion is written down, imported where nobody knows its world, promoted, and answers alike."""
    there, here = Operated(Pool()), Operated(Pool(), world(1, length=400))
    champion = there.task.lifecycle.champion
    here.order(bring(data=champion.freeze()[0], learned=champion.learned))
    here.order(Promote(pipeline="p", model=name_of(here)))
    assert here.task.lifecycle.champion.learned == champion.learned == 1200
    for x in GRID:
        assert here.task.lifecycle.champion.predict(x) == champion.predict(x)
    for fold in (there, here):
        fold.go_on(0, length=40)
    assert [p.score for p in here.predictions[-40:]] == [p.score for p in there.predictions[-40:]]


def test_import_that_knows_the_new_world_wins_by_evidence() -> None:
    """Nobody promotes it: it serves once the world has become the one that it was trained in."""
    fold = Operated(Pool())
    fold.order(bring(trained(1)))
    name = name_of(fold)
    fold.go_on(1, length=300)
    promoted = next(event for event in fold.lifecycle if isinstance(event, ModelPromoted))
    assert promoted.imported == name
    assert promoted.evidence >= 20


def test_rollback_never_leads_to_an_import() -> None:
    """It has not served before, by name or not; once its copy has stepped down, that has."""
    fold = Operated(Pool())
    fold.order(bring())
    [refused] = fold.order(RollBack(pipeline="p"))
    assert "nobody has served before v1" in refused.reason
    [refused] = fold.order(RollBack(pipeline="p", to=name_of(fold)))
    assert "riverrun models promote lets it serve" in refused.reason
    _, promoted, *_ = fold.order(Promote(pipeline="p", model=name_of(fold)))
    fold.order(Promote(pipeline="p", model="v1"))
    _, back, *_ = fold.order(RollBack(pipeline="p", to=promoted.version))
    assert isinstance(back, ModelRolledBack)


def test_same_model_twice_has_two_names() -> None:
    """And both are there."""
    fold = Operated(Pool())
    names = {fold.order(bring(trained(1)))[1].archived for _ in range(2)}
    assert len(names) == 2
    assert names <= {frozen.name for frozen in fold.task.lifecycle.frozen.values()}


def test_version_that_goes_for_an_import_is_said() -> None:
    """The archive is bounded: the one that was not wanted for the longest time goes, by name."""
    fold = Operated(Pool(versions=2))
    names = [fold.order(bring())[1].archived for _ in range(2)]
    _, archived, retired = fold.order(bring())
    assert isinstance(retired, ModelRetired)
    assert retired.retired == names[0]
    assert len({event.id for event in fold.lifecycle}) == len(fold.lifecycle)
    assert [one.name for one in fold.task.lifecycle.shadows.contest.past.archive] == [names[1], archived.archived]  # type: ignore[union-attr]
    assert "expected one that is there" in fold.order(Promote(pipeline="p", model=names[0]))[0].reason


@pytest.mark.parametrize("policy", [Pool(), ChampionVersions()])
@pytest.mark.parametrize("model", [None, forest.ARFClassifier(n_models=3)], ids=["lr", "forest"])
def test_restored_task_has_the_import_and_goes_on_alike(policy: Any, model: Any) -> None:
    """A snapshot before the promotion and one after it: what follows is the same to the last bit."""
    fold = Operated(policy)
    fold.order(bring(trained(1, model=model)))
    name = name_of(fold)
    for _ in range(2):
        kept = Kept()
        assert f"frozen-{name}" in kept.take(fold.task)
        twin = kept.restored(fold.task.pipeline)
        assert name in {frozen.name for frozen in twin.lifecycle.frozen.values()}
        first = len(fold.log.records)
        fold.order(Promote(pipeline="p", model=name))
        fold.go_on(1, 0, length=150)
        _same(twin, fold, first)


def _same(twin: Task, fold: Operated, first: int) -> None:
    """Hold that a restored task says the same of the records from one on."""
    fresh = Fold(fold.task.pipeline, fold.log.records[:0])
    fresh.task = twin
    fresh.step_all(fold.log.records[first:])
    count = len(fresh.predictions)
    assert fresh.predictions == fold.predictions[-count:]
    assert fresh.lifecycle == fold.lifecycle[len(fold.lifecycle) - len(fresh.lifecycle) :]
    assert any(isinstance(event, ModelPromoted) for event in fresh.lifecycle)


def test_import_without_seeds_learns_the_same_in_every_replay() -> None:
    """A forest that is planted when the first example of a class comes is not planted by chance."""
    order = bring(multiclass.OneVsRestClassifier(forest.AMFClassifier(2)), learned=0)
    taken = [admit(order, declared(Pool()), 7) for _ in range(2)]
    one, other = (frozen.thaw() for frozen in taken if not isinstance(frozen, str))
    for record in world(1, length=300, seed=4).records:
        x = msgspec.json.decode(record.value or b"")
        y = x.pop("y")
        assert one.predict_proba_one(x) == other.predict_proba_one(x)
        one.learn_one(x, y)
        other.learn_one(x, y)


# ------------------------------------------------------------------ refused


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        (("a",), "features: got another set than the declared one: b missing"),
        (("a", "b", "c", "d"), "features: got another set than the declared one: c, d too many"),
        (("b", "x"), "features: got another set than the declared one: a missing, x too many"),
        ((), "features: got another set than the declared one: a, b missing"),
    ],
)
def test_version_with_another_feature_set_is_refused_with_the_reason(features: tuple[str, ...], reason: str) -> None:
    """What is missing, and what is too many."""
    assert refusal(Operated(Pool()), bring(features=features)) == reason


def test_features_in_another_order_are_the_same_set() -> None:
    """A model gets them by name."""
    obeyed, _ = Operated(Pool()).order(bring(features=("b", "a")))
    assert isinstance(obeyed, CommandObeyed)


class Stranger(linear_model.LogisticRegression):
    """A class that no declaration brings."""


class Raises(linear_model.LogisticRegression):
    """A class that a declaration brings, whose answers are errors once it is told to."""

    def __init__(self, angry: bool = False) -> None:
        super().__init__()
        self.angry = angry

    def predict_proba_one(self, x: Any) -> Any:
        """Raise, or answer."""
        if self.angry:
            raise ZeroDivisionError("not here")
        return super().predict_proba_one(x)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (bring(linear_model.LinearRegression()), "model: got 'LinearRegression', expected a River classifier"),
        (bring(preprocessing.StandardScaler()), "model: got 'StandardScaler', expected a River classifier"),
        (bring(data=pickling.dumps({"a": 1.0})), "expected an instance of a River model"),
        (bring(data=pickling.dumps(linear_model.LogisticRegression)), "expected an instance of a River model"),
        (bring(data=pickle.dumps(Stranger())), f"the pickle names {__name__}.Stranger, which is not on the list"),
        (bring(data=b"not a pickle"), "model: the pickle cannot be read"),
        (bring(river="0.1.2"), f"river: got a model of River 0.1.2, expected one of {RIVER}"),
    ],
    ids=lambda value: value.split(" ")[0] if isinstance(value, str) else "",
)
def test_what_cannot_serve_is_refused_with_the_reason(order: Import, reason: str) -> None:
    """Another kind, no model, unknown classes, noise, another River."""
    assert reason in refusal(Operated(Pool()), order)


def test_classes_of_another_label_are_refused() -> None:
    """Words where the declaration says true or false."""
    model = naive_bayes.GaussianNB()
    for label in ("late", "early"):
        model.learn_one({"a": 1.0, "b": 0.0}, label)
        model.learn_one({"a": 2.0, "b": 1.0}, label)
    assert "it knows the class 'late', expected a bool as label y is" in refusal(Operated(Pool()), bring(model))


def test_regression_takes_regressors_only() -> None:
    """The other way round, and one that answers with what is no finite number."""
    model = linear_model.LinearRegression()
    pipeline = Pipeline("p", features={"a": float, "b": float}, label=Label("y", float), model=model, policy=Pool())
    assert "got 'LogisticRegression', expected a River regressor" in str(admit(bring(), pipeline, 7))
    assert not isinstance(admit(bring(linear_model.LinearRegression()), pipeline, 7), str)
    broken = linear_model.LinearRegression()
    broken.intercept = float("nan")
    assert "expected finite numbers" in str(admit(bring(broken), pipeline, 7))


def test_model_that_raises_is_refused_and_classes_of_the_declaration_are_taken() -> None:
    """Asked once, about an event that says nothing."""
    pipeline = Pipeline("p", features={"a": float, "b": float}, label=Label("y"), model=Raises(), policy=Pool())
    written = [pickling.dumps(Raises(angry), further=pipeline.classes) for angry in (False, True)]
    good, angry = (admit(bring(data=data), pipeline, 7) for data in written)
    assert not isinstance(good, str)
    assert "ZeroDivisionError('not here')" in str(angry)


def test_model_that_a_made_up_state_has_broken_is_refused() -> None:
    """Attributes that are not there, or are something else."""
    odd, empty = linear_model.LogisticRegression(), linear_model.LogisticRegression()
    odd.__dict__["_weights"] = 3
    del empty.__dict__["intercept"]
    for model in (odd, empty):
        assert "raised" in refusal(Operated(Pool()), bring(data=pickle.dumps(model)))


@pytest.mark.parametrize("policy", [ObserveOnly(), Pool(versions=0)])
def test_policy_that_keeps_nobody_refuses(policy: Any) -> None:
    """And says which do."""
    wanted = "ChampionVersions and Pool do" if isinstance(policy, ObserveOnly) else "policy.versions is 0"
    assert wanted in refusal(Operated(policy), bring())


def test_bomb_is_refused() -> None:
    """Gigabytes in a small record."""
    order = msgspec.structs.replace(bring(), model=pack(bytes(70 * 1024 * 1024)))
    assert "unpacks into more than 67108864 bytes" in refusal(Operated(Pool()), order)


def test_reason_is_short_however_long_the_lie() -> None:
    """What somebody else has written does not fill the lifecycle topic."""
    fold = Operated(Pool())
    for order in (bring(features=tuple(f"f{n}" for n in range(5000))), bring(river="9" * 5000)):
        assert len(refusal(fold, order)) < 600
    long = pickle.dumps(Call(eval, "1")).replace(b"eval", b"e" * 4)
    assert len(refusal(fold, bring(data=long))) < 600


@pytest.mark.parametrize("attack", COMMANDS)
def test_hostile_import_runs_nothing(attack: str, tmp_path: Path) -> None:
    """Each pickle that would run a command is refused at its place in the log, and the command is not run."""
    fold = Operated(Pool(), world(0, length=5))
    victim = tmp_path / "ran"
    assert "model: " in refusal(fold, bring(data=COMMANDS[attack](f"touch {victim}")))
    assert not victim.exists()


@pytest.mark.parametrize("trick", TRICKS)
def test_tricky_import_is_refused(trick: str) -> None:
    """Whatever leaves the list, or is no model in the end."""
    assert refusal(Operated(Pool(), world(0, length=5)), bring(data=TRICKS[trick]))


def test_neutral_event_is_within_bounds() -> None:
    """What the model is asked could have come."""
    features = {"a": Feature(float, le=-2.5), "b": float | None, "c": str, "d": Feature(int, ge=-3, le=9)}
    model = compose.Select("a", "b") | tree.HoeffdingTreeClassifier()
    assert neutral(Pipeline("p", features=features, label=Label("y"), model=model)) == {
        "a": -2.5,
        "b": 0.0,
        "c": "",
        "d": 0,
    }


def test_declared_pipeline_of_the_tests_is_as_it_was() -> None:
    """Checking a model against a declaration leaves the declaration alone."""
    pipeline = declared(Pool())
    before = pipeline.declaration, pipeline.model
    admit(bring(), pipeline, 7)
    assert (pipeline.declaration, pipeline.model) == before
