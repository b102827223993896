"""Models of snapshots: only what was signed is looked at, and what is not believed is said."""

from typing import Any

import msgspec
import orjson
import pytest

from schemas.errors import SnapshotError
from schemas.manifest import Manifest
from schemas.record import Record
from schemas.signing import TrustedKeys, generate, public_key_from_pem, signer_from_pem
from services.kept_models import KeptModels
from streams import pickling
from streams.policy import Pool
from tests.streams.worker.declarations import small
from tests.streams.worker.memory_store import SIGNER, TRUSTED, Desk

STRANGER = signer_from_pem(generate()[0])


@pytest.fixture
def desk() -> Desk:
    """Return a pool of models with snapshots at 100 and 200."""
    made = Desk(small("p", "slow", policy=Pool(milestone=50)))
    return work(made, 200)


def work(desk: Desk, end: int) -> Desk:
    """Step through events and take a snapshot at each hundred."""
    for offset in range(desk.shard.position, end):
        value = orjson.dumps({"a": float(offset % 7), "b": offset % 3, "y": offset % 2 == 0})
        desk.shard.task.step(Record("p.raw", 0, offset, 1_700_000_000_000 + offset, None, value))
        desk.shard.position = offset + 1
        if desk.shard.position % 100 == 0:
            desk.take()
    return desk


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the class of the tests, which is none of River's, answer at once."""
    monkeypatch.setattr("tests.streams.worker.declarations.Slow.predict_proba_one", lambda *_: {True: 1.0})


def kept(desk: Desk, trusted: TrustedKeys = TRUSTED, **other: Any) -> KeptModels:
    """Return the models of the newest snapshot."""
    of = {"pipeline": "p", "topic": "p.raw", "partition": 0, "classes": desk.pipeline.classes} | other
    return KeptModels(desk.store, trusted, **of)


def write_again(desk: Desk, signer: Any = SIGNER, **changes: Any) -> None:
    """Put a changed copy of the newest manifest behind it."""
    manifest = Manifest.from_document(TRUSTED.open(desk.store.documents[-1][1]))
    changed = msgspec.structs.replace(manifest, **changes)
    desk.store.documents.append((changed.next, signer.seal(changed.to_document())))


def test_newest_snapshot_is_listed_and_its_models_load(desk: Desk) -> None:
    """They are those of the task: as many examples learned, by the model and by the book."""
    found = kept(desk)
    assert found.manifest.next == 200
    models = found.models()
    assert [model.role for model in models][:2] == ["champion", "challenger" if models[1].name == "v2" else "steady"]
    for model, loaded in zip(models, found.load(models), strict=True):
        assert loaded.seen == model.learned


def test_model_is_found_by_version_role_and_part(desk: Desk) -> None:
    """A role that several have names none, and an error names all."""
    found = kept(desk)
    champion = found.find("champion")
    assert champion == found.find(champion.name) == found.find(champion.part)
    copies = [model for model in found.models() if model.role == "milestone"]
    assert len(copies) > 1
    assert found.find(copies[0].name) == copies[0]
    for name in ("milestone", "v99"):
        with pytest.raises(SnapshotError, match=rf"got model '{name}', expected one of .*v1 \(champion\)"):
            found.find(name)


def test_damaged_part_is_not_handed_out(desk: Desk) -> None:
    """One bit, and the digest says no; others are whole."""
    found = kept(desk)
    digest = found.part("champion").digest
    data = desk.store.parts[digest]
    desk.store.parts[digest] = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(SnapshotError, match=r"p\.raw\[0\]: part champion: its bytes are not those that were signed"):
        found.data(["champion"])
    assert found.data(["state"])


@pytest.mark.parametrize("who", ["stranger", "other log", "deleted topic"])
def test_foreign_manifest_is_passed_over(desk: Desk, who: str) -> None:
    """One that a stranger signed, and one of another log with the right signature: the one before serves."""
    manifest = Manifest.from_document(TRUSTED.open(desk.store.documents[-1][1]))
    other = msgspec.structs.replace(
        manifest.identity, **({"topic_id": "a"} if who == "deleted topic" else {"topic": "q.raw"})
    )
    write_again(desk, *([STRANGER] if who == "stranger" else []), next=900, identity=other)
    assert kept(desk, topic_id="b").manifest.next == 200
    desk.store.documents = desk.store.documents[-1:]
    with pytest.raises(SnapshotError, match="1 are not believed, the newest of them: "):
        kept(desk, topic_id="b")


def test_nobody_trusted_is_told(desk: Desk) -> None:
    """All of them are refused, and one reason is given."""
    with pytest.raises(SnapshotError, match="not believed"):
        kept(desk, TrustedKeys([public_key_from_pem(generate()[1])]))


def test_other_river_is_not_loaded(desk: Desk) -> None:
    """Objects of another version mean something else; the version to use is named."""
    manifest = Manifest.from_document(TRUSTED.open(desk.store.documents[-1][1]))
    write_again(desk, identity=msgspec.structs.replace(manifest.identity, river="0.1"))
    with pytest.raises(SnapshotError, match=r"of River 0\.1, format \d+; here"):
        kept(desk).models()


def test_own_class_without_its_declaration_is_refused_and_the_way_is_named(desk: Desk) -> None:
    """The state holds none, so the models are listed; their bytes can be had, loaded they are not."""
    found = kept(desk, classes=())
    champion = found.find("champion")
    [data] = found.data([champion.part])
    assert pickling.loads(data, further=desk.pipeline.classes).seen == champion.learned
    with pytest.raises(SnapshotError, match=r"Slow, which is not on the list.*FILE\.py:NAME"):
        found.load([champion])


def test_no_snapshot_yet_is_told() -> None:
    """With the setting that says when there will be one."""
    with pytest.raises(SnapshotError, match=r"no snapshot yet; workers take one every RIVERRUN_SNAPSHOT_INTERVAL"):
        kept(Desk(small("p")))
