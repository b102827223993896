"""A log in a file, and the names of what is played over it."""

from pathlib import Path

import pytest

from services.laboratory.source import FileSource
from tests.services.laboratory import laboratory_pipelines as declared

DECLARED = str(Path(declared.__file__).resolve())


@pytest.fixture(scope="session")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the log once."""
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    path.write_bytes(b"\n".join(declared.log()) + b"\n")
    return path


@pytest.fixture(scope="session")
def source(log_file: Path) -> FileSource:
    """Return the log as a source."""
    return FileSource(str(log_file))


def named(name: str) -> str:
    """Return the import path of something declared for these tests."""
    return f"{DECLARED}:{name}"
