"""A worker answers what a backtest answers: the same task, over Kafka."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from river import datasets, evaluate, metrics

from services.backtest import Backtest
from streams.accounting import OUTCOMES
from streams.per_key import PerKey
from streams.worker.timing import LEGS
from tests.streams.worker import declarations
from tests.streams.worker.engines import ON_BOTH
from tests.streams.worker.events import BAD, delayed, inline
from tests.streams.worker.kafka import Event, Kafka, header

pytestmark = ON_BOTH

HUGE = 1_000_000


def with_bad(events: list[Event]) -> list[Event]:
    """Return events with every kind of bad record strewn in, except the huge ones, on all partitions."""
    bad = [event for _, event in BAD.values() if len(event.value or b"") < HUGE]
    mixed = []
    for i, event in enumerate(events):
        if i % 20 == 0:
            one = bad[i // 20 % len(bad)]
            mixed.append(Event(one.value, one.key, one.headers, partition=i // 20 % 4))
        mixed.append(event)
    return mixed


def turned(events: list[Event]) -> list[Event]:
    """Return events whose labels say the opposite in the second half: a concept drift."""
    half = len(events) // 2
    told = [{**fields, "y": not fields["y"]} for fields in (orjson.loads(e.value or b"") for e in events[half:])]
    return events[:half] + [
        Event(orjson.dumps(fields), event.key, event.headers) for fields, event in zip(told, events[half:], strict=True)
    ]


def balance(backtest: Backtest) -> dict[str, float]:
    """Return the outcomes of a backtest, after checking that each record has one."""
    assert backtest.task.books.balanced
    return {name: count for name, count in backtest.task.books.count.items() if name in OUTCOMES}


def assert_same(kafka: Kafka, deployment: Any, worker: Any) -> dict[str, float]:
    """Compare all that a worker says with backtests of its partitions; return the outcomes."""
    backtests = kafka.backtest(deployment.pipeline)
    expected = {p: (b.digest.hexdigest(), b.digest.count) for p, b in backtests.items()}
    assert kafka.digests(deployment.pipeline) == expected
    outcomes = worker.metrics("riverrun_outcomes_total", "outcome")
    counts = [balance(backtest) for backtest in backtests.values()]
    assert outcomes == {name: sum(count[name] for count in counts) for name in OUTCOMES}
    read = worker.metrics("riverrun_records_read_total", "partition")
    assert read == {str(p): b.task.books.read for p, b in backtests.items()}
    assert sum(read.values()) == sum(outcomes.values())
    values = worker.metrics("riverrun_metric", "partition")
    assert values == {str(p): sum(b.task.evaluation.values.values()) for p, b in backtests.items()}
    legs = worker.metrics("riverrun_record_seconds_count", "leg")
    assert legs == dict.fromkeys(LEGS, sum(read.values()))
    learned = worker.metrics("riverrun_model_learned", "partition")
    assert learned == {str(p): b.task.lifecycle.champion.learned for p, b in backtests.items()}
    assert kafka.count(deployment.dead_letters) == sum(b.dead_letters.total() for b in backtests.values())
    said = [(header(m, "ce_id"), header(m, "ce_type"), m.key()) for m in kafka.read(deployment.lifecycle)[0]]
    events = [(event, p) for p, b in backtests.items() for event in b.lifecycle]
    assert sorted(said) == sorted((e.id.encode(), e.type.encode(), b"%d" % p) for e, p in events)
    return dict(outcomes)


@pytest.mark.always
def test_four_partitions_with_inline_labels_and_a_drift_equal_their_backtests(
    kafka: Kafka, deploy: Callable[..., Any]
) -> None:
    """Answers, metrics, books and lifecycle events, with bad records in between and a model that is exchanged."""
    deployment = deploy(partitions=4)
    kafka.produce(deployment.raw, with_bad(turned(list(inline(6000)))))
    worker = deployment.start()
    deployment.finish()
    outcomes = assert_same(kafka, deployment, worker)
    assert outcomes["scored"] == 6000
    types = {header(message, "ce_type") for message in kafka.read(deployment.lifecycle)[0]}
    assert {b"riverrun.drift.detected", b"riverrun.model.retrained"} <= types


def test_four_partitions_with_late_labels_equal_their_backtests(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """Labels that come out of order, early, late, twice, otherwise or never, with bad records in between."""
    deployment = deploy(partitions=4, ttl_seconds=150, model="hat")
    kafka.produce(deployment.raw, with_bad(list(delayed(2000))))
    worker = deployment.start()
    deployment.finish()
    outcomes = assert_same(kafka, deployment, worker)
    seldom = ("joined", "early", "late", "duplicate", "corrected")
    assert all(outcomes[f"label_{name}"] > 30 for name in seldom), outcomes


def test_model_per_key_answers_as_its_backtests_do(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """Forty keys on four partitions that keep five models each; which of them go is the same in both."""
    deployment = deploy(partitions=4, ttl_seconds=150, model_per=PerKey(most=5, min_learned=10))
    kafka.produce(deployment.raw, with_bad(list(delayed(2000))))
    worker = deployment.start()
    deployment.finish()
    assert_same(kafka, deployment, worker)
    evicted = [one.task.books.count["entity_evicted"] for one in kafka.backtest(deployment.pipeline).values()]
    assert worker.metrics("riverrun_remarks_total", "remark")["entity_evicted"] == sum(evicted) > 200


def test_phishing_metric_is_that_of_river_alone(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """After the last record of River's Phishing the accuracy equals `progressive_val_score` to the last digit."""
    deployments = {model: deploy("phishing", model=model) for model in ("lr", "nb", "hat", "arf")}
    rows = [Event(orjson.dumps({**x, "is_phishing": bool(y)})) for x, y in datasets.Phishing()]
    workers = {}
    for model, deployment in deployments.items():
        kafka.produce(deployment.raw, rows)
        workers[model] = deployment.start()
    alone = {
        model: evaluate.progressive_val_score(
            datasets.Phishing(), declarations.MODELS[model](), metrics.Accuracy()
        ).get()
        for model in deployments
    }
    for model, deployment in deployments.items():
        deployment.finish()
        assert list(workers[model].metrics("riverrun_metric", "metric").values()) == [alone[model]], model
        workers[model].kill()
        said = metrics.Accuracy()
        answers = [orjson.loads(message.value())["prediction"] for message in kafka.read(deployment.predictions)[0]]
        for (_, y), answer in zip(datasets.Phishing(), answers, strict=True):
            if answer is not None:
                said.update(y, answer)
        assert said.get() == alone[model], model
        assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline), model
    assert len(set(alone.values())) == 4, "four different models"
