"""From an import path to the Pipeline that stands there."""

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from schemas.errors import ConfigurationError, DeclarationError, shown

if TYPE_CHECKING:
    from streams.pipeline import Pipeline

#: Packages of riverrun's own, which hide a user's of these names.
_ROOMS = ("services", "streams", "schemas")
_EXPECTED = "FILE.py:NAME or MODULE:NAME, for example examples/flights.py:pipeline"


def load_pipeline(path: str) -> "Pipeline":
    """Return the Pipeline an import path names.

    Parameters
    ----------
    path
        ``path/to/file.py:name`` or ``package.module:name``.

    Raises
    ------
    ConfigurationError
        When nothing of that name is there, it is no Pipeline, or the file cannot be imported, with file and line.
    """
    from streams.pipeline import Pipeline

    place, _ = split_path(path)
    if not place:
        raise ConfigurationError(f"{path}: got a file, expected {path}:NAME. {_declared(_import_file(path), Pipeline)}")
    module = load_module(place)
    found = named(module, path)
    if not isinstance(found, Pipeline):
        raise ConfigurationError(f"{path}: got {shown(found)}, expected a Pipeline. {_declared(module, Pipeline)}")
    return found


def split_path(path: str) -> tuple[str, str]:
    """Return file or module, and name, of an import path; of a file without a name, nothing and the file.

    Raises
    ------
    ConfigurationError
        When it is neither.
    """
    place, _, name = path.rpartition(":")
    if not place and not path.endswith(".py"):
        raise ConfigurationError(f"{path}: got no name of a pipeline, expected {_EXPECTED}")
    return place, name


def load_module(place: str) -> ModuleType:
    """Return the module that a file, or a dotted name, stands for; a file is executed each time.

    Raises
    ------
    ConfigurationError
        When it cannot be imported, with file and line.
    """
    return _import_file(place) if place.endswith(".py") else _import_module(place)


def named(module: ModuleType, path: str) -> object:
    """Return what an import path names in its module.

    Raises
    ------
    ConfigurationError
        When nothing of that name is there; the pipelines that are there are named.
    """
    from streams.pipeline import Pipeline

    place, _, name = path.rpartition(":")
    if not hasattr(module, name):
        raise ConfigurationError(f"{path}: {place} has no {name!r}. {_declared(module, Pipeline)}")
    return getattr(module, name)


def _declared(module: ModuleType, kind: type) -> str:
    names = sorted(name for name, value in vars(module).items() if isinstance(value, kind))
    return f"Pipelines there: {', '.join(names)}." if names else "There is no Pipeline in it."


def _import_file(place: str) -> ModuleType:
    file = Path(place)
    if not file.is_file():
        raise ConfigurationError(f"{place}: got no such file (in {Path.cwd()}), expected {_EXPECTED}")
    name = file.stem if file.stem not in sys.modules else f"_riverrun_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{place}: got something that is no Python file, expected {_EXPECTED}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(file.resolve().parent))  # files beside it can be imported, as when it is run
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _import_failure(place, str(file.resolve()), error) from error
    return module


def _import_module(place: str) -> ModuleType:
    if not all(part.isidentifier() for part in place.split(".")):
        raise ConfigurationError(f"{place}: got neither a file that ends in .py nor a module, expected {_EXPECTED}")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            if (room := place.partition(".")[0]) in _ROOMS:
                raise ConfigurationError(
                    f"{place}: got {room!r}, which is a package of riverrun's own; expected another name of yours, or "
                    "the file: PATH/TO/FILE.py:NAME"
                ) from None
            where = f"no module {error.name!r} in {Path.cwd()} or on Python's path"
            raise ConfigurationError(f"{place}: {where}, expected {_EXPECTED}") from None
        raise _import_failure(place, None, error) from error
    except (Exception, SystemExit) as error:
        raise _import_failure(place, None, error) from error


def _import_failure(place: str, file: str | None, error: BaseException) -> ConfigurationError:
    """Say where in the user's own code an import failed, and how."""
    what = str(error) if isinstance(error, DeclarationError) else f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError) and error.filename is not None:
        return ConfigurationError(f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename, file)]
    where = f"{place if file else frames[-1].filename}:{frames[-1].lineno}" if frames else place
    return ConfigurationError(f"{where}: {what}")


def _is_users(filename: str, file: str | None) -> bool:
    if file is not None:
        return filename == file
    own = str(Path(__file__).resolve().parents[1])
    is_ours = any(filename.startswith(f"{own}/{room}/") for room in _ROOMS)
    return not (filename.startswith("<") or "site-packages" in filename or is_ours or filename == importlib.__file__)


def pipeline_topic(path: str, which: str) -> str:
    """Return the name of a topic of a pipeline that is given by import path or by its name.

    Parameters
    ----------
    path
        Import path, or just the name of the pipeline.
    which
        ``raw``, ``predictions``, ``lifecycle`` or ``dead-letters``.

    Examples
    --------
    >>> pipeline_topic("flights", "dead-letters")
    'flights.dead-letters'
    """
    if ":" not in path and not path.endswith(".py"):
        return f"{path}.{which}"
    pipeline = load_pipeline(path)
    return pipeline.source_topic if which == "raw" else f"{pipeline.name}.{which}"


def pipeline_name(path: str) -> str:
    """Return the name of a pipeline that is given by import path or by its name."""
    return load_pipeline(path).name if ":" in path or path.endswith(".py") else path
