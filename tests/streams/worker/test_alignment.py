"""Partitions that other topics lack, with a dictionary in place of the broker."""

from collections.abc import Mapping

import pytest

from schemas.errors import BrokerError
from streams.worker.alignment import Alignment


class Topics:
    """What the broker says, and how often it was asked."""

    def __init__(self, **counts: int) -> None:
        self.counts = {"p.raw": 9, **counts}
        self.asked = 0
        self.answers = True

    def __call__(self) -> Mapping[str, int]:
        """Tell the numbers of partitions."""
        self.asked += 1
        if not self.answers:
            raise BrokerError("no Kafka answers")
        return self.counts


def test_partitions_that_are_everywhere_are_asked_for_once() -> None:
    """Topics do not shrink, and those of the start need no question."""
    topics = Topics(predictions=3, manifests=4)
    alignment = Alignment("p.raw", 2, topics)
    assert [alignment.lacking({0, 1}), alignment.lacking(()), alignment.has_grown()] == [set(), set(), False]
    assert (alignment.partitions, topics.asked) == (2, 0)
    assert [alignment.lacking({0, 2}), alignment.lacking({2}), alignment.has_grown()] == [set(), set(), False]
    assert (alignment.partitions, topics.asked) == (9, 1)


def test_partition_that_a_topic_lacks_is_held_back_and_the_topic_named(caplog: pytest.LogCaptureFixture) -> None:
    """One line for all of them, with what to do."""
    alignment = Alignment("p.raw", 2, Topics(predictions=3, letters=9, manifests=2))
    assert alignment.lacking({0, 1, 2, 3}) == {2, 3}
    assert [record.getMessage() for record in caplog.records] == [
        "p.raw: partitions 2, 3 wait, the others go on: got predictions 3, manifests 2 partitions, expected 4 or more: "
        "`riverrun topics apply` adds them, and what waits begins within half a minute, with its first record"
    ]


def test_partition_that_was_held_back_can_begin_once_all_topics_have_it() -> None:
    """It is told once: what follows is an assignment."""
    topics = Topics(predictions=2, manifests=2)
    alignment = Alignment("p.raw", 2, topics)
    alignment.lacking({1, 2, 3})
    topics.counts["predictions"] = 4
    assert not alignment.has_grown()
    topics.counts["manifests"] = 3
    assert [alignment.has_grown(), alignment.has_grown()] == [True, False]
    assert alignment.lacking({1, 2, 3}) == {3}


def test_broker_that_does_not_answer_is_asked_again_later() -> None:
    """Whoever only waits ends no worker."""
    topics = Topics(predictions=2)
    alignment = Alignment("p.raw", 2, topics)
    alignment.lacking({2})
    topics.answers = False
    assert not alignment.has_grown()
    topics.answers, topics.counts["predictions"] = True, 3
    assert alignment.has_grown()


def test_assignment_that_comes_while_the_broker_is_asked_makes_the_answer_old() -> None:
    """Another worker has taken the partition that waited: whatever the answer, there is nothing to ask for."""
    comes = False

    def ask() -> Mapping[str, int]:
        if comes:
            alignment.lacking({1})
        return {"p.raw": 9, "predictions": 9 if comes else 2}

    alignment = Alignment("p.raw", 2, ask)
    assert alignment.lacking({1, 2}) == {2}
    comes = True
    assert not alignment.has_grown()
