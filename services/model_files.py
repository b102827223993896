"""A model as a file: a pickle, and beside it in ``FILE.json`` what is known of it."""

import hashlib
import os
import platform
from collections.abc import Collection
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from schemas.errors import ModelFileError
from streams import pickling
from streams.foreign import LARGEST_BYTES


class Account(Struct, frozen=True):
    """What is known of a model that is in a file.

    Parameters
    ----------
    origin
        Where it is from, in words.
    learned
        Examples it had learned.
    features
        Names of those it was trained with, None where nobody knows.
    river, python
        Versions that it was made with.
    sha256
        Of the bytes of the file.
    """

    origin: str
    learned: int
    features: tuple[str, ...] | None
    river: str
    python: str
    sha256: str


def account_path(path: Path) -> Path:
    """Return where the account of a model lies.

    Examples
    --------
    >>> account_path(Path("models/v3.pickle")).name
    'v3.pickle.json'
    """
    return path.with_name(f"{path.name}.json")


def export_model(
    model: Any,
    path: str | os.PathLike[str],
    *,
    features: Collection[str],
    learned: int,
    origin: str = "",
    further: Collection[Any] = (),
) -> None:
    """Write a model that was trained elsewhere into a file that ``riverrun models import`` takes.

    Only its owner may read it; none is overwritten.

    Parameters
    ----------
    model
        A River model. Writing it makes it slower, so write it when it has learned what it is to learn.
    path
        A new file. A second one, ``FILE.json`` beside it, says what follows.
    features
        Names of the features it was trained with: it can serve in pipelines that declare the same.
    learned
        Examples it has learned.
    origin
        Where it is from, for those who read the log later.
    further
        Classes and functions in it that are not River's: the ``pipeline.classes`` of the declaration that brings them.

    Raises
    ------
    NotPicklableError
        When it holds what no pipeline would take.
    ModelFileError
        When there is such a file already, or `learned` is no number of examples.

    Examples
    --------
    >>> import tempfile
    >>> from river import linear_model
    >>> model = linear_model.LogisticRegression()
    >>> model.learn_one({"a": 1.0}, True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_model(model, f"{folder}/model.pickle", features=["a"], learned=1)
    ...     data, account = read_model(Path(folder, "model.pickle"))
    >>> account.features, account.learned, pickling.loads(data).weights
    (('a',), 1, {'a': 0.005})
    """
    if not isinstance(learned, int) or learned < 0:
        raise ModelFileError(f"learned: got {learned!r}, expected the number of examples it has learned")
    data = pickling.dumps(model, further=further)
    account = Account(
        origin=origin,
        learned=learned,
        features=tuple(features),
        river=version("river"),
        python=platform.python_version(),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    write_model(Path(path), data, account)


def write_model(path: Path, data: bytes, account: Account) -> None:
    """Write a model and its account into two new files that only their owner may read.

    Raises
    ------
    ModelFileError
        When one of them is there, and stays as it is.
    """
    beside = account_path(path)
    text = msgspec.json.format(msgspec.json.encode(account), indent=2)
    with suppress(FileExistsError):
        _write_new(path, data)
        try:
            _write_new(beside, text + b"\n")
        except OSError:
            path.unlink()
            raise
        return
    there = beside if not os.path.lexists(path) else path
    raise ModelFileError(f"{there}: File exists, and stays as it is; expected a new one")


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read; O_EXCL follows no link and overwrites nothing."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def read_model(path: Path) -> tuple[bytes, Account | None]:
    """Return the bytes of a model and what is said of it, None where nothing is. The model is not loaded.

    Raises
    ------
    ModelFileError
        When the file is too large, or what lies beside it is no account, or that of another.
    OSError
        When it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise ModelFileError(f"{path}: got more than {LARGEST_BYTES} bytes, expected a model that fits into a record")
    beside = account_path(path)
    if not beside.exists():
        return data, None
    try:
        account = msgspec.json.decode(beside.read_bytes(), type=Account)
    except msgspec.DecodeError as error:
        raise ModelFileError(f"{beside}: {error}; expected what models export has written, or no such file") from None
    digest = hashlib.sha256(data).hexdigest()
    if account.sha256 != digest:
        raise ModelFileError(f"{beside}: it is of a file with sha256 {account.sha256:.12}…, {path} has {digest:.12}…")
    return data, account
