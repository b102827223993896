"""What deploy and doctor know of a pipeline's snapshots."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.manifest import Identity, Manifest
from schemas.signing import Signer, generate, signer_from_pem
from services.deployment import Standings
from streams.worker.settings import Settings
from streams.worker.stores import LocalStore
from tests.streams.worker.declarations import small
from tests.streams.worker.memory_store import PUBLIC, SIGNER

MINE = Identity("p", "0123456789ab", "p.raw", 3, 4, "0.26.1", topic_id="9kPz")


@pytest.mark.parametrize(
    ("other", "signer"),
    [
        ({"pipeline": "q"}, SIGNER),
        ({"topic": "q.raw"}, SIGNER),
        ({"partition": 2}, SIGNER),
        ({"topic_id": "M2x1"}, SIGNER),
        ({}, signer_from_pem(generate()[0])),
    ],
    ids=["pipeline", "topic", "partition", "deleted topic", "signer"],
)
def test_newest_snapshot_is_of_this_log(tmp_path: Path, other: dict[str, Any], signer: Signer) -> None:
    """As recovery has it: what a trusted key has signed for another log is not where this one is."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/worker.pem").write_bytes(PUBLIC)
    settings = Settings(snapshot_store=f"file://{tmp_path}", trusted_keys=tmp_path / "keys", commands="open")
    standings = Standings(small("p"), settings, "9kPz")
    assert standings.newest(3) is None
    store = LocalStore(tmp_path / "p")
    for identity, key, position in (
        (MINE, SIGNER, 100),
        (msgspec.structs.replace(MINE, **other), signer, 9_999),
    ):
        manifest = Manifest(identity, position, (), 0, "0.1.0", "3.11.2")
        store.seal(3, position, key.seal(manifest.to_document()))
    found = standings.newest(3)
    assert found is not None
    assert (found.identity, found.next) == (MINE, 100)
