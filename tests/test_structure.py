"""The house plan, held: imports go one way, the core is pure, and no module is dead or endless."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("schemas", "streams", "services")
MAX_LINES = 400

IMPURE = {
    "faust", "mode", "confluent_kafka", "aiokafka", "prometheus_client", "asyncio", "logging", "socket", "threading",
    "subprocess", "multiprocessing", "time", "uuid", "os", "pathlib", "tempfile", "shutil", "secrets", "requests",
    "httpx", "urllib", "http", "signal", "concurrent",
}  # fmt: skip
IMPURE_CALLS = {"open", "input", "print", "exec", "eval", "breakpoint"}
CLOCKS = {"now", "utcnow", "today", "time", "monotonic", "perf_counter"}


def modules(*rooms: str) -> dict[str, Path]:
    """Return path by dotted name of every module in the rooms; those of the root too where ``.`` is one."""
    found = {}
    for room in rooms:
        paths = ROOT.glob("*.py") if room == "." else (ROOT / room).rglob("*.py")
        for path in paths:
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything that is imported, at whatever depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(path.read_text(), str(path))


ALL = modules(*ROOMS)
PURE = {
    name: path
    for name, path in modules("schemas", "streams").items()
    if not name.startswith("streams.worker") and not name.endswith("__main__")
}
#: ``schema_files`` says where the checked-in schemas lie; it neither reads nor writes them.
EXEMPT = {"schemas.avro": {"pathlib"}}


@pytest.mark.parametrize("name", ALL)
def test_imports_go_one_way(name: str) -> None:
    """``services → streams → schemas``, and nobody imports the tests or the benchmarks."""
    rank = ROOMS.index(name.split(".")[0])
    forbidden = {*ROOMS[rank + 1 :], "tests", "benchmarks", "examples"}
    if name.startswith("streams") and not name.startswith("streams.worker"):
        forbidden.add("streams.worker")
    for line, imported in imports(parsed(ALL[name])):
        hits = [room for room in forbidden if imported == room or imported.startswith(room + ".")]
        assert not hits, f"{ALL[name]}:{line} imports {imported}"


@pytest.mark.parametrize("name", [name for name in ALL if not f"{name}.".startswith("services.cli.")])
def test_nothing_needs_the_command_line(name: str) -> None:
    """It is one way to use the services, and what it loads nobody else waits for."""
    for line, imported in imports(parsed(ALL[name])):
        assert not f"{imported}.".startswith("services.cli."), f"{ALL[name]}:{line} imports {imported}"


@pytest.mark.parametrize("name", PURE)
def test_core_is_pure(name: str) -> None:
    """No socket, clock, file, logger or chance outside ``streams/worker``."""
    tree = parsed(PURE[name])
    for line, imported in imports(tree):
        assert imported.split(".")[0] not in IMPURE - EXEMPT.get(name, set()), f"{PURE[name]}:{line} imports {imported}"
        assert imported.split(".")[0] not in ("random", "numpy"), f"{PURE[name]}:{line} imports chance: {imported}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in IMPURE_CALLS, f"{PURE[name]}:{node.lineno} calls {node.func.id}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in CLOCKS, f"{PURE[name]}:{node.lineno} calls .{node.func.attr}"


def test_core_hashes_nothing_with_pythons_own_hash() -> None:
    """``hash`` of a string is another in every process; so is ``id``."""
    for path in PURE.values():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("hash", "id"), f"{path}:{node.lineno} calls {node.func.id}"


def test_modules_are_imported_somewhere_or_started() -> None:
    """Nothing lies about that nobody uses."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tables = [project["scripts"], *project.get("entry-points", {}).values()]
    started = {target.split(":")[0] for table in tables for target in table.values()}
    texts = {
        path: path.read_text()
        for path in [*ALL.values(), *(ROOT / "deploy").rglob("*"), ROOT / "docker-compose.yml"]
        if path.is_file()
    }
    used = {imported for path in ALL.values() for _, imported in imports(parsed(path))}
    used |= {imported for path in modules(".", "examples").values() for _, imported in imports(parsed(path))}
    for name, path in ALL.items():
        main = name.endswith("__main__") or 'if __name__ == "__main__"' in texts[path]
        # A module may also be named in text: ``python -m services.x`` or ``"services.x:main"``.
        named = any(re.search(rf"\b{re.escape(name)}\b", text) for other, text in texts.items() if other != path)
        package = path.name == "__init__.py"
        assert name in used or name in started or main or named or package, f"{path}: nobody imports {name}"


@pytest.mark.parametrize("name", ALL)
def test_modules_are_of_readable_length(name: str) -> None:
    """Ask what second noun moved in at 300 lines; at 400 it has."""
    lines = len(ALL[name].read_text().splitlines())
    assert lines <= MAX_LINES, f"{ALL[name]} has {lines} lines"


@pytest.mark.parametrize("name", ALL)
def test_modules_say_what_they_are(name: str) -> None:
    """Each begins with a docstring, a sentence."""
    docstring = ast.get_docstring(parsed(ALL[name]))
    assert docstring, f"{ALL[name]} has no docstring"


def test_public_names_of_the_package_are_those_it_lists() -> None:
    """What a pipeline is declared with can be imported from one place."""
    import riverrun

    assert all(hasattr(riverrun, name) for name in riverrun.__all__)
    assert riverrun.__all__ == sorted(riverrun.__all__)
