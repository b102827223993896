"""Where snapshots are kept outside of Kafka: a folder of this machine, or an object store.

Both have the same blocking methods and the same layout. A *part* is bytes under their SHA-256, written once; a
*manifest* is the signed document for a next position, which names parts. Parts are durable when `put` returns, a
manifest when `seal` does, so a manifest that is written after its parts never names one that is missing. Reading
verifies nothing: digest and signature are the caller's.
"""

from typing import Any
from urllib.parse import unquote, urlsplit

from schemas.errors import ConfigurationError
from streams.worker.stores.local import LocalStore
from streams.worker.stores.object_store import ObjectStore

__all__ = ["LocalStore", "ObjectStore", "open_store"]


def open_store(url: str, *, reads_only: bool = False, **options: Any) -> LocalStore | ObjectStore:
    """Return the store of a URL, as `Settings.snapshot_store` has it.

    Parameters
    ----------
    url
        ``file:///folder`` (``%20`` is a space) or ``s3://bucket/prefix``.
    reads_only
        As `LocalStore`; an object store makes and removes nothing by being opened.
    options
        As `ObjectStore`.

    Raises
    ------
    ConfigurationError
        The URL is none of these, or there can be no store.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = open_store(f"file://{folder}")
    ...     store.seal(3, 1042, b"{}")
    ...     list(store.manifests(3))
    [(1042, b'{}')]
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc:
        return LocalStore(unquote(parts.path), reads_only=reads_only)
    if parts.scheme == "s3":
        return ObjectStore(url, **options)
    raise ConfigurationError(
        f"RIVERRUN_SNAPSHOT_STORE: got {url!r}, expected file:///absolute/folder or s3://bucket[/prefix]"
    )
