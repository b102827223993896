"""Snapshots in an object store."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from schemas.errors import ConfigurationError, SnapshotError, StoreError
from streams.worker.stores.layout import (
    is_part,
    manifest_name,
    manifests_folder,
    note_name,
    part_name,
    parts_folder,
    position_of,
)

_RETRY = {"max_retries": 5, "retry_timeout": timedelta(seconds=30)}
_S3_ERROR = re.compile(r"<Code>(\w+)</Code>\s*<Message>([^<]*)</Message>")
_ADVICE = "look at the bucket, at the credentials (AWS_ACCESS_KEY_ID, …) and at AWS_REGION and AWS_ENDPOINT_URL"


class ObjectStore:
    """Keep parts and manifests as objects.

    An object appears as a whole or not at all. Parts above 5 MiB are uploaded in pieces; a rule of the bucket should
    remove the pieces of uploads that were killed half way (``AbortIncompleteMultipartUpload``).

    Parameters
    ----------
    url
        ``s3://bucket/prefix``. Endpoint, region and credentials come from the environment: ``AWS_ENDPOINT_URL``,
        ``AWS_REGION``, ``AWS_ACCESS_KEY_ID`` and the others that obstore reads, web identities and instance roles
        among them; ``AWS_ALLOW_HTTP=true`` for an endpoint without TLS.
    options
        Further arguments of ``obstore.store.S3Store.from_url``. Unless told otherwise a request is tried again
        for half a minute.

    Raises
    ------
    ConfigurationError
        obstore is not installed, or takes neither the URL nor the options.

    Examples
    --------
    >>> ObjectStore("s3://models/flights", region="eu-central-1")
    ObjectStore('s3://models/flights')
    """

    def __init__(self, url: str, **options: Any) -> None:
        try:
            import obstore
            from obstore.exceptions import BaseError
            from obstore.store import S3Store
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"RIVERRUN_SNAPSHOT_STORE: {url} needs {error.name}, which is not installed: "
                "pip install 'riverrun[object-store]'"
            ) from None
        self._url = url.rstrip("/")
        self._obstore = obstore
        # A missing object is a FileNotFoundError, a path that cannot be a ValueError.
        self._errors = (BaseError, OSError, ValueError)
        try:
            self._store = S3Store.from_url(url, **{"retry_config": _RETRY, **options})
        except (*self._errors, TypeError) as error:
            raise ConfigurationError(f"RIVERRUN_SNAPSHOT_STORE: {url}: {_said(error)}") from None

    def __repr__(self) -> str:
        """Name the place, and no credentials."""
        return f"ObjectStore({self._url!r})"

    def put(self, partition: int, digest: str, data: bytes) -> None:
        """Keep a part under its digest; one that is there is not sent again.

        Raises
        ------
        SnapshotError
            Naming the object, what the store says and what to look at.
        """
        name = part_name(partition, digest)
        with self._told(name):
            if self._size(name) != len(data):
                self._obstore.put(self._store, name, data)

    def get(self, partition: int, digest: str) -> bytes:
        """Return a part.

        Raises
        ------
        SnapshotError
            It is not there, or cannot be read.
        """
        name = part_name(partition, digest)
        with self._told(name):
            try:
                return self._read(name)
            except FileNotFoundError as error:
                if _is_of_the_bucket(error):
                    raise
                raise SnapshotError(f"{self._url}/{name}: no such part; it was dropped, or never written") from None

    def stored(self, partition: int) -> Collection[str]:
        """Return the digests of the parts that are there.

        Raises
        ------
        SnapshotError
            They cannot be listed.
        """
        return {name for name in self._listed(parts_folder(partition)) if is_part(name)}

    def seal(self, partition: int, position: int, document: bytes) -> None:
        """Keep the manifest for a next position, in the place of one for the same position.

        Raises
        ------
        SnapshotError
            As `put`.
        """
        name = manifest_name(partition, position)
        with self._told(name):
            self._obstore.put(self._store, name, document)

    def manifests(self, partition: int) -> Iterator[tuple[int, bytes]]:
        """Yield position and manifest, the highest position first; each is read when it is asked for.

        Raises
        ------
        SnapshotError
            They cannot be listed, or one cannot be read.
        """
        for position in self._positions(partition):
            name = manifest_name(partition, position)
            with self._told(name):
                try:
                    document = self._read(name)
                except FileNotFoundError:
                    continue  # dropped meanwhile
            yield position, document

    def drop(self, partition: int, positions: Iterable[int], digests: Iterable[str]) -> None:
        """Remove manifests, and then parts; what is not there is passed over.

        Raises
        ------
        SnapshotError
            They cannot be removed.
        """
        # A part goes when the manifests that name it are gone.
        self._delete([manifest_name(partition, position) for position in positions])
        self._delete([part_name(partition, digest) for digest in digests])

    def note(self, partition: int, document: bytes) -> None:
        """Keep a document beside the manifests, in the place of the one before.

        Raises
        ------
        SnapshotError
            As `put`.
        """
        name = note_name(partition)
        with self._told(name):
            self._obstore.put(self._store, name, document)

    def noted(self, partition: int) -> bytes | None:
        """Return the document that was noted, None when there is none."""
        name = note_name(partition)
        with self._told(name):
            try:
                return self._read(name)
            except FileNotFoundError as error:
                if _is_of_the_bucket(error):
                    raise
                return None

    def _positions(self, partition: int) -> list[int]:
        names = self._listed(manifests_folder(partition))
        return sorted((found for name in names if (found := position_of(name)) is not None), reverse=True)

    def _listed(self, folder: str) -> list[str]:
        """Return the names of all objects below a folder, without the folder."""
        with self._told(folder):
            listed = self._obstore.list(self._store, prefix=folder).collect()
        return [one["path"].rpartition("/")[2] for one in listed]

    def _read(self, name: str) -> bytes:
        return self._obstore.get(self._store, name).bytes().to_bytes()

    def _delete(self, names: Sequence[str]) -> None:
        if names:
            with self._told(names[0]):
                self._obstore.delete(self._store, names)

    def _size(self, name: str) -> int | None:
        try:
            return self._obstore.head(self._store, name)["size"]
        except FileNotFoundError:
            return None

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Say what the store says, and what to look at."""
        try:
            yield
        except self._errors as error:
            raise StoreError(f"{self._url}/{name}: {_said(error)}; {_ADVICE}") from error


def _said(error: Exception) -> str:
    """Return what S3 says in an error, else its first line: the rest is a dump of the request."""
    found = _S3_ERROR.search(str(error))
    return f"{found[1]}: {found[2]}" if found else str(error).partition("\n")[0]


def _is_of_the_bucket(error: Exception) -> bool:
    """Tell whether it is the bucket that is missing, and not what should be in it."""
    return _said(error).startswith("NoSuchBucket:")
