"""The exceptions riverrun raises.

Bad *data* is never an exception: it becomes a dead letter. What is raised is for people, at start or at the end::

    RiverrunError
     ├── DeclarationError      a Pipeline that cannot work, found at import; names the field
     ├── ConfigurationError    a setting of the deployment (environment, command line)
     ├── BrokerError           Kafka, or the local broker, did not do what was asked
     ├── SealError             a document that cannot be signed, or whose signature is not to be believed
     ├── SnapshotError         a store of snapshots did not keep, or does not have, what was asked for
     │    ├── StoreError            the place where snapshots are kept does not answer
     │    ├── MissingPartError      a snapshot would name a part that is not there any more
     │    └── NotPicklableError    a model that cannot be written down, or bytes that must not be read as one
     ├── ModelFileError        a file of a model that cannot be written, or cannot go into the log
     ├── DeclarationEnded      a log goes on under another declaration; the worker leaves it to others
     ├── ModelError            a model raised, or answered with NaN; the record becomes a dead letter
     ├── ModelBrokenError      ten of these in a row: the model is broken, not the data
     └── InvariantError        riverrun's own promise would be broken: the worker stops before the offset moves
"""

#: Characters of a value that a message shows.
_SHOWN = 80


class RiverrunError(Exception):
    """Base of every exception riverrun raises on purpose."""


class DeclarationError(RiverrunError):
    """A pipeline declaration that cannot work.

    Parameters
    ----------
    field
        Path of the offending argument, such as ``features['temp'].ge``.
    got
        What stands there.
    expected
        What may stand there.

    Examples
    --------
    >>> raise DeclarationError("label.ttl", -5, "a positive timedelta")
    Traceback (most recent call last):
    ...
    schemas.errors.DeclarationError: label.ttl: got -5, expected a positive timedelta
    """

    def __init__(self, field: str, got: object, expected: str) -> None:
        self.problem = f"{field}: got {shown(got)}, expected {expected}"
        super().__init__(self.problem)
        self.field = field
        #: Name of the pipeline, once it is known which one this is about.
        self.pipeline = ""

    def __str__(self) -> str:
        return f"{self.pipeline}: {self.problem}" if self.pipeline else self.problem


def shown(got: object, most: int = _SHOWN) -> str:
    """Return a value as a message can hold it: on one line, not for ever, and never nothing; words are kept.

    Parameters
    ----------
    got
        The value.
    most
        Characters that are kept of what is no text.

    Examples
    --------
    >>> shown([0] * 100)
    '[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0…'
    """
    if isinstance(got, str):
        return repr(got)
    kind = type(got)
    try:
        text = " ".join(repr(got).split()) or kind.__name__
    except Exception:  # other people's code: the repr of River's SelectType raises
        return f"a {kind.__module__}.{kind.__qualname__}"
    return text if len(text) <= most else f"{text[:most]}…"


class ConfigurationError(RiverrunError):
    """A setting of the deployment is missing or wrong."""


class BrokerError(RiverrunError):
    """Kafka did not do what was asked of it."""


class SealError(RiverrunError):
    """A document cannot be sealed, or what was read is not what somebody trusted has sealed."""


class SnapshotError(RiverrunError):
    """A part or a manifest of a snapshot cannot be written, or is not there."""


class StoreError(SnapshotError):
    """The place where snapshots are kept does not answer, or not as it should: what is there is not known."""


class MissingPartError(SnapshotError):
    """A part that a manifest is about to name is not there: it was removed since it was stored."""


class NotPicklableError(SnapshotError):
    """A model cannot be written down, or what was read names what no model is made of."""


class ModelFileError(RiverrunError):
    """A model cannot be written to a file, or the one in a file cannot go into the log of a pipeline."""


class DeclarationEnded(RiverrunError):
    """The log is folded under another declaration from here on.

    Parameters
    ----------
    declaration
        Digest of that one.
    """

    def __init__(self, declaration: str) -> None:
        super().__init__(f"declaration {declaration} begins here")
        self.declaration = declaration


class ModelError(RiverrunError):
    """A model raised while it scored or learned, or answered with something that is no finite number.

    Parameters
    ----------
    message
        Which model did what.
    stage
        ``"score"`` or ``"learn"``.
    """

    def __init__(self, message: str, stage: str = "score") -> None:
        super().__init__(message)
        self.stage = stage


class ModelBrokenError(RiverrunError):
    """Too many model errors in a row: the model is broken, not the data."""


class InvariantError(RiverrunError):
    """A promise of riverrun itself would be broken by going on."""
