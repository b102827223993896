"""A store of snapshots that is a dictionary."""

import io

from schemas.manifest import Part
from streams.pipeline import Pipeline
from streams.snapshot import read_index, restore, write
from streams.task import Task


class Kept:
    """Keeps the parts of one task's snapshots, and counts what is written."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.data: dict[str, bytes] = {}
        self.written: list[str] = []

    def take(self, task: Task) -> list[str]:
        """Take a snapshot on top of the last; return the names of the parts that were written."""
        file = io.BytesIO()
        write(task, self.parts, file)
        dump = read_index(file)
        self.written = []
        for part in dump.parts:
            if part.digest in dump.starts:
                start = dump.starts[part.digest]
                self.data[part.digest] = file.getvalue()[start : start + part.size_bytes]
                self.written.append(part.name)
        self.parts = dump.parts
        return self.written

    def restored(self, pipeline: Pipeline) -> Task:
        """Return a task made of the last snapshot."""
        task = Task(pipeline)
        restore(task, {part.name: self.data[part.digest] for part in self.parts})
        return task
