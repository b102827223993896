"""Every member of Faust that `streams.worker` touches, held to what version 0.15.3 has.

When this fails after an upgrade, read the changed member in Faust's source before writing its new signature here.
"""

import importlib.metadata
import inspect
from typing import Any

import faust
import pytest
from faust.tables import TableManager
from faust.transport import base
from faust.transport.conductor import Conductor
from faust.transport.consumer import Fetcher
from faust.transport.drivers import TRANSPORTS
from faust.types import ConsumerMessage
from faust.types.tuples import Message

from streams.worker import app as _app  # registers the transport
from streams.worker import transport
from streams.worker.tables import NoTables

VERSION = "0.15.3"
OURS = (transport.Consumer, transport.Producer, transport.Transport)

#: What our classes override: names of the parameters in Faust, stars and all.
OVERRIDDEN = {
    "Consumer.__init__": (
        "self transport callback on_partitions_revoked on_partitions_assigned commit_interval "
        "commit_livelock_soft_timeout loop **kwargs"
    ),
    "Consumer.on_start": "self",
    "Consumer.on_stop": "self",
    "Consumer.subscribe": "self topics",
    "Consumer._getmany": "self active_partitions timeout",
    "Consumer._drain_messages": "self fetcher",
    "Consumer.resume_partitions": "self tps",
    "Consumer._to_message": "self tp record",
    "Consumer.seek_to_committed": "self",
    "Consumer._new_offset": "self tp",
    "Consumer.ack": "self message",
    "Consumer.track_message": "self message",
    "Consumer._add_gap": "self tp offset_from offset_to",
    "Consumer._commit": "self offsets",
    "Consumer.commit": "self topics start_new_transaction",
    "Consumer.assignment": "self",
    "Consumer.highwater": "self tp",
    "Consumer.on_buffer_full": "self tp",
    "Consumer.on_buffer_drop": "self tp",
    "Consumer.verify_event_path": "self now tp",
    "Consumer._new_topicpartition": "self topic partition",
    "Consumer._seek": "self partition offset",
    "Consumer.seek_wait": "self partitions",
    "Consumer.position": "self tp",
    "Consumer.earliest_offsets": "self *partitions",
    "Consumer.highwaters": "self *partitions",
    "Consumer.topic_partitions": "self topic",
    "Consumer.key_partition": "self topic key partition",
    "Consumer.create_topic": (
        "self topic partitions replication config timeout retention compacting deleting ensure_created"
    ),
    "Producer.on_start": "self",
    "Producer.on_stop": "self",
    "Producer.flush": "self",
    "Producer.send": "self topic key value partition timestamp headers transactional_id",
    "Producer.send_and_wait": "self topic key value partition timestamp headers transactional_id",
    "Producer.supports_headers": "self",
    "Producer.key_partition": "self topic key",
    "Producer.create_topic": (
        "self topic partitions replication config timeout retention compacting deleting ensure_created"
    ),
}

#: What we call, or what calls us in an order we rely on.
CALLED: dict[str, tuple[Any, str]] = {
    "Consumer.on_partitions_assigned": (base.Consumer.on_partitions_assigned, "self assigned generation_id"),
    "Consumer.on_partitions_revoked": (base.Consumer.on_partitions_revoked, "self revoked"),
    "Consumer.stop_flow": (base.Consumer.stop_flow, "self"),
    "Consumer.resume_flow": (base.Consumer.resume_flow, "self"),
    "Fetcher._fetcher": (inspect.unwrap(Fetcher._fetcher.fun), "self"),
    "App.on_rebalance_start": (faust.App.on_rebalance_start, "self"),
    "App._create_directories": (faust.App._create_directories, "self"),
    "App.crash": (faust.App.crash, "self reason"),
    "Schema.loads_key": (faust.Schema.loads_key, "self app message loads serializer"),
    "Schema.loads_value": (faust.Schema.loads_value, "self app message loads serializer"),
    "Worker.execute_from_commandline": (faust.Worker.execute_from_commandline, "self"),
    "Worker._stop_on_signal": (faust.Worker._stop_on_signal, "self signal"),
    "Worker._schedule_shutdown": (faust.Worker._schedule_shutdown, "self signal"),
    "ConsumerMessage": (
        ConsumerMessage.__init__,
        "self topic partition offset timestamp timestamp_type headers key value checksum serialized_key_size "
        "serialized_value_size tp time_in time_out time_total generation_id",
    ),
}


def parameters(function: Any) -> str:
    """Return the parameters of a function as one line."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found = inspect.signature(function).parameters.values()
    return " ".join(stars.get(parameter.kind, "") + parameter.name for parameter in found)


def test_version_is_the_one_that_was_read() -> None:
    """The pin in the package's metadata and the installed version are this one."""
    assert importlib.metadata.version("faust-streaming") == VERSION
    try:
        requirements = importlib.metadata.requires("riverrun") or []
    except importlib.metadata.PackageNotFoundError:
        pyproject = inspect.getfile(transport).rsplit("/", 3)[0] + "/pyproject.toml"
        with open(pyproject, encoding="utf-8") as file:
            requirements = [line.strip().strip('",') for line in file]
    assert f"faust-streaming=={VERSION}" in requirements


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_overridden_member_is_there_with_its_parameters(name: str) -> None:
    """What we override exists in Faust's base class and takes what we take."""
    owner, _, member = name.partition(".")
    assert parameters(getattr(getattr(base, owner), member)) == OVERRIDDEN[name]


@pytest.mark.parametrize("ours", OURS)
def test_list_of_overridden_members_is_complete(ours: type) -> None:
    """A member that is newly overridden has to be added above; one that Faust dropped would show as ours alone."""
    theirs = ours.__mro__[1]
    functions = {name for name, value in vars(ours).items() if inspect.isfunction(value)}
    touched = {f"{ours.__name__}.{name}" for name in functions if hasattr(theirs, name)}
    assert touched == {name for name in OVERRIDDEN if name.startswith(f"{ours.__name__}.")}
    own = functions - {name for name in functions if hasattr(theirs, name)}
    known = {"assigned", "revoked", "failed", "_in_loop", "_on_assigned", "_on_revoked", "_made_anew", "_topic_ids"}
    assert own <= known, "new, or no longer Faust's"


@pytest.mark.parametrize("ours", OURS)
def test_nothing_abstract_is_left(ours: type) -> None:
    """Faust could instantiate each of them."""
    assert not getattr(ours, "__abstractmethods__", frozenset())


@pytest.mark.parametrize("name", CALLED)
def test_called_member_has_its_parameters(name: str) -> None:
    """What we call takes what we give."""
    function, expected = CALLED[name]
    assert parameters(function) == expected


def test_async_members_are_async_on_both_sides() -> None:
    """A coroutine function is overridden by one, and only then."""
    for name in OVERRIDDEN:
        owner, _, member = name.partition(".")
        theirs, ours = getattr(getattr(base, owner), member), getattr(getattr(transport, owner), member)
        assert inspect.iscoroutinefunction(theirs) == inspect.iscoroutinefunction(ours), name


def test_transport_is_found_by_its_scheme() -> None:
    """`riverrun://` leads to our classes."""
    assert _app is not None
    assert TRANSPORTS.aliases["riverrun"] == "streams.worker.transport:Transport"
    found = TRANSPORTS.by_url("riverrun://localhost:9092")
    assert found is transport.Transport
    assert (found.Consumer, found.Producer) == (transport.Consumer, transport.Producer)


def test_attributes_that_are_read_or_written_exist() -> None:
    """The app has a generation and a rebalancing flag; message and stream compare generations."""
    app: Any = faust.App("contract", broker="riverrun://localhost:9092", web_enabled=False)
    assert app.rebalancing is False
    assert isinstance(app.consumer_generation_id, int)
    assert inspect.iscoroutinefunction(Conductor.maybe_wait_for_subscriptions)
    assert "_drain_messages(self)" in inspect.getsource(Fetcher._fetcher.fun)
    assert "generation_id" in Message.__slots__
    assert "generation_id" in inspect.getsource(inspect.getmodule(faust.Stream))  # type: ignore[arg-type]


def test_tables_start_as_ours_do_but_for_a_second_of_sleep() -> None:
    """What our `NoTables` does in place of Faust's `on_start`, word for word."""
    lines = [line.strip() for line in inspect.getsource(TableManager.on_start).splitlines()]
    assert lines[2:] == [
        "await self.sleep(1.0)",
        "if not self.should_stop:",
        "await self._update_channels()",
        "await self.recovery.start()",
    ]
    assert issubclass(NoTables, TableManager)


def test_settings_that_are_given_exist() -> None:
    """An unknown argument of the app would be ignored in silence."""
    settings = type(faust.App(id="x").conf)
    ours = {
        "broker", "datadir", "web_enabled", "topic_disable_leader", "topic_allow_declare", "stream_wait_empty",
        "stream_buffer_maxsize", "broker_commit_interval", "key_serializer", "value_serializer", "TableManager",
    }  # fmt: skip
    assert {name for name in ours if not hasattr(settings, name)} == set()
