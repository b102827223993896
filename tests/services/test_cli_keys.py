"""``riverrun keys``: what is written and how, what is shown, and what a worker says of keys it cannot use."""

import errno
import json
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from schemas.errors import ConfigurationError
from schemas.signing import generate, key_id_of, public_key_from_pem
from services.cli import app
from streams.worker import keys
from streams.worker.keys import load_signer, load_trusted, make_keys
from streams.worker.settings import Settings

SIGNING = Path(".riverrun/keys/signing.pem")
TRUSTED = Path(".riverrun/keys/trusted")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, no settings in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RIVERRUN_SIGNING_KEY", raising=False)
    monkeypatch.delenv("RIVERRUN_TRUSTED_KEYS", raising=False)
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    """Run a command and hold its exit code; an error is one line on stderr."""
    result = CliRunner().invoke(app, ["keys", *arguments])
    assert result.exit_code == code, result.output
    if code:
        assert result.stderr.startswith("riverrun: ")
        assert result.stderr.count("\n") == 1
    return result


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def files(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------ init


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_init_secret_is_its_owners_and_the_public_key_everybodys(umask: int) -> None:
    """Whatever the umask; a worker finds both where it looks by default."""
    before = os.umask(umask)
    try:
        said = run("init").stdout
    finally:
        os.umask(before)
    [public] = TRUSTED.iterdir()
    assert (mode(SIGNING), mode(public)) == (0o600, 0o644)
    settings = Settings()
    signer, trusted = load_signer(settings.signing_key), load_trusted(settings.trusted_keys)
    assert public.stem == signer.key_id == trusted.key_ids[0]
    assert trusted.open(signer.seal({"a": 1})) == {"a": 1}
    assert f"export RIVERRUN_SIGNING_KEY={SIGNING}\nexport RIVERRUN_TRUSTED_KEYS={TRUSTED}\n" in said


def test_init_never_overwrites(folder: Path) -> None:
    """The second time nothing changes, and that is said in one line, with exit code 1."""
    run("init")
    before = files(folder)
    result = run("init", code=1)
    assert result.stderr == (
        f"riverrun: {SIGNING}: there is a signing key, which stays as it is; another one needs another --folder\n"
    )
    assert files(folder) == before


def test_init_that_loses_a_race_takes_its_half_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one wrote its key after this one had looked."""
    run("init")
    before = files(folder)
    monkeypatch.setattr(Path, "exists", lambda self: False)
    assert "there is a signing key" in run("init", code=1).stderr
    monkeypatch.undo()
    assert files(folder) == before


def test_init_follows_no_link(folder: Path) -> None:
    """A link that leads nowhere is not written through."""
    SIGNING.parent.mkdir(parents=True)
    SIGNING.symlink_to(folder / "elsewhere")
    assert "there is a signing key" in run("init", code=1).stderr
    assert files(folder) == {}


@pytest.mark.parametrize("nth", [1, 2])
def test_init_disk_full_leaves_no_half(folder: Path, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """Neither with the first file nor with the second."""
    real, calls = os.fsync, iter(range(1, 9))

    def fsync(descriptor: int) -> None:
        if next(calls) == nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(keys.os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        make_keys(folder / "keys")
    assert files(folder) == {}


def test_init_folder_that_cannot_be_is_told(folder: Path) -> None:
    """One line, exit code 1."""
    (folder / "file").write_text("")
    assert run("init", "--folder", "file/keys", code=1).stderr == "riverrun: file/keys/trusted: Not a directory\n"


def test_init_as_json_names_key_and_files() -> None:
    """For programs."""
    made = json.loads(run("init", "--folder", "k", "--output", "json").stdout)
    assert made == {
        "key": load_signer(Path("k/signing.pem")).key_id,
        "signing_key": "k/signing.pem",
        "trusted_key": f"k/trusted/{made['key']}.pem",
    }


# ------------------------------------------------------------------ show


def test_show_lists_the_signing_key_the_trusted_ones_and_those_of_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a table and as JSON, in the order of the files."""
    run("init")
    key_id = load_signer(SIGNING).key_id
    _, other = generate()
    (TRUSTED / "zz-other.pem").write_bytes(other)
    other_id = key_id_of(public_key_from_pem(other))
    rows = [line.split() for line in run("show").stdout.splitlines()]
    assert rows == [
        ["use", "key", "file"],
        ["signing", key_id, str(SIGNING)],
        ["trusted", key_id, f"{TRUSTED}/{key_id}.pem"],
        ["trusted", other_id, f"{TRUSTED}/zz-other.pem"],
    ]
    assert json.loads(run("show", "-o", "json").stdout) == {
        "signing": {"key": key_id, "file": str(SIGNING)},
        "trusted": [
            {"key": key_id, "file": f"{TRUSTED}/{key_id}.pem"},
            {"key": other_id, "file": f"{TRUSTED}/zz-other.pem"},
        ],
        "operators": [],
    }
    monkeypatch.setenv("RIVERRUN_OPERATOR_KEYS", str(TRUSTED))
    assert [row[:2] for row in map(str.split, run("show").stdout.splitlines())][-2:] == [
        ["operator", key_id],
        ["operator", other_id],
    ]


def test_show_reads_what_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys a worker would have; a signing key that is not trusted is told, and how to trust it."""
    run("init", "--folder", "a")
    run("init", "--folder", "b")
    monkeypatch.setenv("RIVERRUN_SIGNING_KEY", "a/signing.pem")
    monkeypatch.setenv("RIVERRUN_TRUSTED_KEYS", "b/trusted")
    result = run("show")
    key_id = load_signer(Path("a/signing.pem")).key_id
    assert f"key {key_id} signs and is not trusted" in result.stderr
    assert f"openssl pkey -in a/signing.pem -pubout -out b/trusted/{key_id}.pem" in result.stderr
    assert run("show", "--folder", "a").stderr == ""


def test_rotated_keys_open_what_either_has_sealed() -> None:
    """The way that --help describes."""
    old_key, old_public = make_keys(Path("old"))
    new_key, new_public = make_keys(Path("new"))
    old, new = load_signer(old_key), load_signer(new_key)
    (old_public.parent / new_public.name).write_bytes(new_public.read_bytes())
    trusted = load_trusted(old_public.parent)
    assert [trusted.open(signer.seal({})) for signer in (old, new)] == [{}, {}]
    old_public.unlink()
    assert load_trusted(old_public.parent).key_ids == [new.key_id]


# ------------------------------------------------------------------ keys that cannot be used


def test_no_keys_names_the_setting_and_the_command() -> None:
    """What a worker says at start."""
    said = "No such file or directory; `riverrun keys init` makes a pair"
    assert f"riverrun: RIVERRUN_SIGNING_KEY: {SIGNING}: {said}\n" == run("show", code=2).stderr
    with pytest.raises(ConfigurationError, match=f"^RIVERRUN_TRUSTED_KEYS: {TRUSTED}: {said}$"):
        load_trusted(TRUSTED)


@pytest.mark.parametrize("wide", [0o640, 0o604, 0o644, 0o660, 0o610])
def test_signing_key_that_others_may_read_is_refused(wide: int) -> None:
    """With what to do."""
    run("init")
    SIGNING.chmod(wide)
    said = f"RIVERRUN_SIGNING_KEY: {SIGNING}: got mode {wide:04o}, expected one that only its owner may read: chmod 600"
    assert f"{said} {SIGNING}\n" in run("show", code=2).stderr
    SIGNING.chmod(0o400)
    run("show")


def test_signing_key_of_another_owner_may_be_read_by_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a secret that Kubernetes mounts: root's, for the group of the pod. Others may never."""
    run("init")
    monkeypatch.setattr(keys.os, "getuid", lambda: SIGNING.stat().st_uid + 1)
    for narrow in (0o440, 0o400, 0o640, 0o660):
        SIGNING.chmod(narrow)
        run("show")
    for wide in (0o444, 0o644, 0o604, 0o642, 0o641):
        SIGNING.chmod(wide)
        assert run("show", code=2).stderr == (
            f"riverrun: RIVERRUN_SIGNING_KEY: {SIGNING}: got mode {wide:04o}, expected one that nobody but its owner "
            f"and its group may read: chmod o= {SIGNING}; a Kubernetes secret: defaultMode: 0440\n"
        )


def test_signing_key_on_windows_has_no_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bits mean nothing there."""
    run("init")
    SIGNING.chmod(0o644)
    monkeypatch.setattr(keys, "os", SimpleNamespace(name="nt", fstat=os.fstat))
    assert load_signer(SIGNING).key_id == load_trusted(TRUSTED).key_ids[0]


def test_wrong_files_are_named() -> None:
    """A public key where the private one belongs, and the other way round; an empty folder."""
    run("init")
    [public] = TRUSTED.iterdir()
    private_pem, public_pem = SIGNING.read_bytes(), public.read_bytes()
    SIGNING.write_bytes(public_pem)
    with pytest.raises(ConfigurationError, match=r"signing\.pem: got a public key, expected an Ed25519 private key"):
        load_signer(SIGNING)
    (TRUSTED / "a.pem").write_bytes(private_pem)
    with pytest.raises(ConfigurationError, match=r"RIVERRUN_TRUSTED_KEYS: .*a\.pem: got a private key, expected an Ed"):
        load_trusted(TRUSTED)
    for path in TRUSTED.iterdir():
        path.rename(path.with_suffix(".old"))
    with pytest.raises(ConfigurationError, match=r"trusted: got no \*\.pem, expected at least one; `riverrun keys"):
        load_trusted(TRUSTED)
    with pytest.raises(ConfigurationError, match=r"RIVERRUN_SIGNING_KEY: .*: Is a directory"):
        load_signer(TRUSTED)
