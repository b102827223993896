"""The data directory of a broker: who serves it, and the end of that.

What it holds beside the engine's own files:

- ``broker.json``: the processes that serve this directory, and where; there while they run.
- ``broker.log`` (with several nodes ``broker-1.log``, …): what they said since their last start.
- ``broker.lock``: held while a start or a stop is under way, so that two of them never meet.
"""

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import psutil

from services.broker.record import BrokerRecord, BrokerStatus

STOP_GRACE_SECONDS = 30.0


class BrokerHome:
    """Find, and end, what serves a data directory, whichever engine it is.

    Parameters
    ----------
    data_dir
        The directory; it need not be there.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self._record_path = self.data_dir / "broker.json"

    def status(self) -> BrokerStatus:
        """Tell whether a broker runs, and where; a process id that another program has now counts as gone."""
        try:
            text = self._record_path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return BrokerStatus("stopped")
        try:
            record = BrokerRecord.from_fields(json.loads(text))
        except (ValueError, TypeError, KeyError):
            return BrokerStatus("stale")
        alive = [node.is_alive for node in record.nodes]
        return BrokerStatus("running" if all(alive) else "degraded" if any(alive) else "stale", record)

    def stop(self, *, only: str | None = None) -> None:
        """Stop the broker, which saves its data first; does nothing when none runs.

        Parameters
        ----------
        only
            Stop it only while it is still the one of this ``start_id``; ``None`` stops whichever is there.
        """
        if not self.data_dir.is_dir():
            return
        with self.lock():
            record = self.status().record
            if record is not None and only not in (None, record.start_id):
                return
            if record is not None:
                end([node.pid for node in record.nodes if node.is_alive and node.pid is not None])
            self.forget()

    def write(self, record: BrokerRecord) -> None:
        """Write ``broker.json``, whole or not at all."""
        draft = self._record_path.with_suffix(".json.new")
        draft.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
        draft.replace(self._record_path)

    def forget(self) -> None:
        """Remove ``broker.json``."""
        self._record_path.unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other starts and stops out."""
        with (self.data_dir / "broker.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def end(pids: Sequence[int]) -> None:
    """End processes: ask all of them, wait for them to save their data, then kill."""
    processes = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            process.terminate()
            processes.append(process)
    _, deaf = psutil.wait_procs(processes, STOP_GRACE_SECONDS)
    for process in deaf:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(deaf)
