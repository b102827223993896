"""A combination that is played gives what a plain backtest gives, and the loss that River measures."""

from pathlib import Path

import msgspec
import pytest
from river import metrics

from schemas import cloudevents as ce
from schemas.events import PredictionMade
from services.backtest import Backtest
from services.laboratory.combination import Combination
from services.laboratory.outcome import Job, Outcome, decode_outcome, encode
from services.laboratory.playing import _finite, mark_of, play
from services.laboratory.source import FileSource, partition_records
from services.loss_meter import LossMeter
from streams.label_join import Settled
from streams.prequential import Prequential
from tests.services.laboratory import laboratory_pipelines as declared
from tests.services.laboratory.conftest import named

COMBINATIONS = [
    Combination(named("pipeline"), model, policy)
    for model, policies in (
        ("declared", ("declared", "observe-only", "reset-on-drift", "champion-versions", "pool")),
        (named("bayes"), ("declared", "pool:alpha=0.2")),
    )
    for policy in policies
]


def played(source: FileSource, combination: Combination, **further: object) -> Outcome:
    """Return what comes of a combination in this process."""
    return play(Job(combination, source, **further), lambda share: None)


def folded(log_file: Path, combination: Combination) -> tuple[Backtest, list[PredictionMade]]:
    """Return a finished plain backtest of the same, and its predictions."""
    pipeline = combination.declare()
    test = Backtest(pipeline, partition=combination.partition, partitions=combination.partitions)
    with log_file.open("rb") as lines:
        records = partition_records(lines, pipeline.source_topic, None, combination.partition, combination.partitions)
        made = [event for _, events in test.run(records) for event in events if isinstance(event, PredictionMade)]
    return test, made


@pytest.mark.parametrize("combination", COMBINATIONS, ids=lambda one: f"{one.model[-5:]}-{one.policy}")
def test_played_combination_gives_the_predictions_of_a_plain_backtest(
    log_file: Path, source: FileSource, combination: Combination
) -> None:
    """The same digest, metrics, books and lifecycle events, whatever else is measured on the way."""
    test, _ = folded(log_file, combination)
    outcome = played(source, combination, features=True)
    assert (outcome.digest, outcome.predictions) == (test.digest.hexdigest(), declared.COUNT)
    assert outcome.metrics == test.task.evaluation.values
    assert outcome.outcomes == {name: n for name, n in test.task.books.count.items() if n and name in outcome.outcomes}
    assert [(mark.type, mark.offset) for mark in outcome.marks] == [
        (event.type.removeprefix("riverrun."), event.offset) for event in test.lifecycle
    ]
    assert 1 - sum(outcome.curve.sums) / outcome.labelled == pytest.approx(outcome.metrics["accuracy"])


@pytest.mark.parametrize("policy", ["reset-on-drift", "pool"])
def test_change_behind_the_last_event_counts(log_file: Path, tmp_path: Path, policy: str) -> None:
    """As in `riverrun history`: each change that the lifecycle tells, once, though nobody answers after it."""
    changes = ("model.promoted", "model.rolled-back", "model.retrained")
    combination = Combination(named("pipeline"), policy=policy)
    marks = [mark for mark in played(FileSource(str(log_file)), combination).marks if mark.type in changes]
    places = sorted({mark.offset for mark in marks})
    shorter = tmp_path / "shorter.jsonl"
    shorter.write_bytes(b"".join(log_file.read_bytes().splitlines(keepends=True)[: places[-1] + 1]))
    assert played(FileSource(str(shorter)), combination).champion_changes == len(places)


def test_played_curves_of_one_log_hold_the_same_events(source: FileSource) -> None:
    """Their bins have the same edges and marks, so they can be compared pair by pair; the world turned half way."""
    curves = [played(source, one).curve for one in COMBINATIONS[:3]]
    assert all((c.shift, c.counts, c.marks) == (curves[0].shift, curves[0].counts, curves[0].marks) for c in curves)
    places = [offset for offset, line in enumerate(declared.log()) if msgspec.json.decode(line)["type"] == ce.EVENT]
    assert len(places) == declared.COUNT
    assert sum(curves[0].marks) % 2**32 == sum(map(mark_of, places)) % 2**32  # of the events, not of their labels
    half = len(curves[1].sums) // 2
    assert sum(curves[1].sums[half:]) > 2 * sum(curves[1].sums[:half])


def test_log_loss_is_that_of_the_published_scores(log_file: Path, source: FileSource) -> None:
    """Of the probability that each prediction carried, with the declared policy and no metric that wants scores."""
    _, made = folded(log_file, COMBINATIONS[1])
    truth = {}
    for line in declared.log():
        fields = msgspec.json.decode(line)
        if fields["type"] == "riverrun.label":
            truth[fields["data"]["id"]] = fields["data"]["y"]
    wanted = [declared.clipped_log_loss(one.score if truth[one.id] else 1 - one.score) for one in made]
    outcome = played(source, COMBINATIONS[1], loss="log")
    assert outcome.labelled == len(wanted)
    assert sum(outcome.curve.sums) == pytest.approx(sum(wanted))
    assert outcome.loss == "log loss (clipped at 4, by 4)"


def test_regression_loss_is_rivers_mean_absolute_error(source: FileSource) -> None:
    """In units of the label, not in those of the detector's scale."""
    outcome = played(source, Combination(named("price")))
    assert outcome.loss == "absolute error"
    assert sum(outcome.curve.sums) / outcome.labelled == pytest.approx(outcome.metrics["mae"])


def test_anomaly_detector_without_labels_has_no_loss(source: FileSource) -> None:
    """It is played all the same."""
    outcome = played(source, Combination(named("odd")))
    assert (outcome.labelled, outcome.predictions) == (0, declared.COUNT)


def test_loss_meter_takes_no_scale_from_a_model() -> None:
    """A residual is the same loss at any time."""
    meter = LossMeter("regression", "zero_one")
    mae = metrics.MAE()
    for i in range(300):
        mae.update(float(i), 0.5 * i)
        last = meter.of(Settled(float(i), 0.5 * i, None, 1))
    assert last == 149.5
    assert meter.of(Settled(1.0, None, None, None)) is None


def test_outcome_is_the_same_after_a_journey(source: FileSource) -> None:
    """As JSON there and back, with what is no number."""
    outcome = played(source, COMBINATIONS[0], features=True)
    outcome.metrics["odd"] = None
    assert decode_outcome(encode(outcome)) == outcome


def test_metric_that_raises_when_it_is_asked_keeps_its_place_in_an_outcome() -> None:
    """The report has a column for each metric, and there nothing."""
    evaluation = Prequential([metrics.MultiFBeta(betas={"sky": 1}, weights=None), metrics.Accuracy()])
    evaluation.update("path", "sky", None)
    assert _finite(evaluation) == {"multi_fbeta": None, "accuracy": 0.0}


def test_lifecycle_events_are_bounded_and_counted(source: FileSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not kept is not forgotten."""
    everything = played(source, COMBINATIONS[4])
    monkeypatch.setattr("services.laboratory.playing._MOST_MARKS", 2)
    outcome = played(source, COMBINATIONS[4])
    assert outcome.marks == everything.marks[:2]
    assert outcome.marks_dropped == len(everything.marks) - 2 > 0
