"""The keys of a deployment, as files: made once, read at start."""

import errno
import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from schemas.errors import ConfigurationError
from schemas.operators import EVERYBODY, Operators
from schemas.signing import Signer, TrustedKeys, generate, public_key_from_pem, signer_from_pem
from streams.worker.settings import Settings

SIGNING_FILE = "signing.pem"
TRUSTED_FOLDER = "trusted"

_HOW_TO_MAKE = "`riverrun keys init` makes a pair"
_GROUP_OR_OTHERS, _OTHERS = 0o077, 0o007
_TRUSTED = "RIVERRUN_TRUSTED_KEYS"


def make_keys(folder: Path) -> tuple[Path, Path]:
    """Write a new pair: ``signing.pem``, which only its owner may read, and ``trusted/<key id>.pem``.

    Returns
    -------
    tuple[Path, Path]
        The private file, the public one.

    Raises
    ------
    FileExistsError
        There is a signing key already; nothing has changed.
    OSError
        A file cannot be written; none is left half written.
    """
    private_pem, public_pem = generate()
    private = folder / SIGNING_FILE
    public = folder / TRUSTED_FOLDER / f"{signer_from_pem(private_pem).key_id}.pem"
    if private.exists():
        raise _already_there(private)
    public.parent.mkdir(parents=True, exist_ok=True)
    # The public one first: a kill in between leaves a key that nobody has, not one that nobody trusts.
    _write_new(public, public_pem, 0o644)
    try:
        _write_new(private, private_pem, 0o600)
    except FileExistsError:
        public.unlink(missing_ok=True)
        raise _already_there(private) from None
    except OSError:
        public.unlink(missing_ok=True)
        raise
    return private, public


def _already_there(private: Path) -> FileExistsError:
    advice = "there is a signing key, which stays as it is; another one needs another --folder"
    return FileExistsError(errno.EEXIST, advice, str(private))


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that is not there yet; O_EXCL follows no link and overwrites nothing."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        path.chmod(mode)  # whatever the umask took away
    except OSError:
        path.unlink(missing_ok=True)
        raise


def load_signer(path: Path) -> Signer:
    """Return the signer of the private key in a file.

    A file of this user's own may be readable for nobody else. One that belongs to somebody else, such as root's from a
    Kubernetes secret, may be readable for its group, too, which this user is in. One that others may read is refused.

    Raises
    ------
    ConfigurationError
        There is none, others may read it, or it is no Ed25519 private key in PEM without a passphrase.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read()
    except OSError as error:
        raise ConfigurationError(f"RIVERRUN_SIGNING_KEY: {path}: {error.strerror}; {_HOW_TO_MAKE}") from None
    if os.name != "nt":  # whose files have no mode
        _check_mode(path, status)
    try:
        return signer_from_pem(data)
    except ValueError as error:
        raise ConfigurationError(
            f"RIVERRUN_SIGNING_KEY: {path}: got {error}, expected an Ed25519 private key in PEM; {_HOW_TO_MAKE}"
        ) from None


def _check_mode(path: Path, status: os.stat_result) -> None:
    """Raise when more people may read a private key than have to, by the rule of OpenSSH; and others never."""
    mode, is_ours = stat.S_IMODE(status.st_mode), status.st_uid == os.getuid()
    if not mode & (_GROUP_OR_OTHERS if is_ours else _OTHERS):
        return
    expected = f"only its owner may read: chmod 600 {path}"
    if not is_ours:
        expected = (
            f"nobody but its owner and its group may read: chmod o= {path}; a Kubernetes secret: defaultMode: 0440"
        )
    raise ConfigurationError(f"RIVERRUN_SIGNING_KEY: {path}: got mode {mode:04o}, expected one that {expected}")


def load_operators(settings: Settings) -> Operators:
    """Return those whose commands are obeyed.

    Raises
    ------
    ConfigurationError
        They are to sign, and no key of theirs is there.
    """
    if settings.commands == "open":
        return EVERYBODY
    folder = settings.operator_keys or settings.trusted_keys
    try:
        return Operators(load_trusted(folder, "RIVERRUN_OPERATOR_KEYS" if settings.operator_keys else _TRUSTED))
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}; RIVERRUN_COMMANDS=open obeys whoever may write to the topic") from None


def load_trusted(folder: Path, setting: str = _TRUSTED) -> TrustedKeys:
    """Return the keys whose documents are believed: those of all ``*.pem`` files in a folder.

    Parameters
    ----------
    folder
        Of public keys.
    setting
        Name of the environment variable that says so.

    Raises
    ------
    ConfigurationError
        There is none, or one of the files is no Ed25519 public key in PEM.
    """
    return TrustedKeys(trusted_files(folder, setting).values())


def trusted_files(folder: Path, setting: str = _TRUSTED) -> dict[Path, Ed25519PublicKey]:
    """Return the trusted keys by the file they are in, in the order of the files' names.

    Parameters
    ----------
    folder, setting
        As `load_trusted`.

    Raises
    ------
    ConfigurationError
        As `load_trusted`.
    """
    try:
        paths = sorted(entry for entry in folder.iterdir() if entry.suffix == ".pem")
        keys = {path: _public_key(path, setting) for path in paths}
    except OSError as error:
        where = error.filename or folder
        raise ConfigurationError(f"{setting}: {where}: {error.strerror}; {_HOW_TO_MAKE}") from None
    if not keys:
        raise ConfigurationError(f"{setting}: {folder}: got no *.pem, expected at least one; {_HOW_TO_MAKE}")
    return keys


def _public_key(path: Path, setting: str) -> Ed25519PublicKey:
    try:
        return public_key_from_pem(path.read_bytes())
    except ValueError as error:
        raise ConfigurationError(
            f"{setting}: {path}: got {error}, expected an Ed25519 public key in PEM; {_HOW_TO_MAKE}"
        ) from None
