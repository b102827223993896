"""Opens the store of a deployment's snapshots, for the worker that writes them and for those who only read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from schemas.errors import ConfigurationError, InvariantError
from schemas.outgoing import Outgoing
from streams.worker.settings import Settings
from streams.worker.stores import open_store
from streams.worker.stores.kafka import Emit, KafkaStore
from streams.worker.stores.store import SnapshotStore, Threaded


def _write_nothing(*_: Any) -> None:
    raise InvariantError("a store of snapshots that was opened to be read: got something to write")


def _require_folder(url: str) -> None:
    """Take a folder that is not here for no empty one: it may be another machine's, or on a disk that is away."""
    parts = urlsplit(url)
    if parts.scheme == "file" and not Path(unquote(parts.path)).is_dir():
        raise ConfigurationError(
            f"RIVERRUN_SNAPSHOT_STORE: {unquote(parts.path)}: no such folder here; expected the one that the workers "
            "write to"
        )


def open_snapshots(
    settings: Settings,
    pipeline: str,
    emit: Emit = _write_nothing,
    emit_now: Callable[[Sequence[Outgoing]], None] = _write_nothing,
) -> SnapshotStore:
    """Return the store of a pipeline's snapshots.

    Parameters
    ----------
    settings
        Of the deployment.
    pipeline
        Name of the pipeline.
    emit, emit_now
        As `KafkaStore`; who only reads leaves them out, and nothing is made or removed then.

    Raises
    ------
    ConfigurationError
        There can be no such store.
    """
    if settings.snapshot_store == "kafka":
        return KafkaStore(pipeline, settings.client(), emit, emit_now)
    reads_only = emit is _write_nothing
    if reads_only:
        _require_folder(settings.snapshot_store)
    return Threaded(open_store(f"{settings.snapshot_store.rstrip('/')}/{pipeline}", reads_only=reads_only))
