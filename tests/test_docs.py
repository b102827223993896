"""Pages whose Python runs: block by block, in one namespace, with what stands below each as its output."""

import contextlib
import dataclasses
import io
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from riverrun import ChampionVersions, Feature, Label, Pipeline, Pool

DOCS = Path(__file__).resolve().parents[1] / "docs"
_BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\s*^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, code and output of each block of Python in a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, found[1], found[2] or ""


@pytest.mark.parametrize("page", ["python.md", "declaration.md"])
def test_python_of_a_page_prints_what_stands_below_it(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block, after those above it."""
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where what a block defines can be found again
    ran = 0
    for line, code, output in blocks(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * line + code, str(DOCS / page), "exec"), module.__dict__)
        assert printed.getvalue() == output, f"docs/{page}:{line}"
        ran += 1
    assert ran > 2


@pytest.mark.parametrize("declared", [Pipeline, Feature, Label, ChampionVersions, Pool])
def test_each_field_of_a_declaration_is_told_with_its_default(declared: Any) -> None:
    """In the page that has all of them."""
    title = {ChampionVersions: "Policies", Pool: "Policies"}.get(declared, f"`{declared.__name__}`")
    part = (DOCS / "declaration.md").read_text(encoding="utf-8").split(f"## {title}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (?:`(.*?)`)? *\|", part, re.MULTILINE)
    told = {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}
    assert told == {field.name: default_of(field) for field in dataclasses.fields(declared) if field.type != "KW_ONLY"}


def default_of(field: "dataclasses.Field[Any]") -> str:
    """Return a field's default as the page writes it; nothing where it has none."""
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        return f"{type(field.default_factory()).__name__}()"
    if default is dataclasses.MISSING:
        return ""
    if isinstance(default, type):
        return default.__name__
    if isinstance(default, timedelta):
        return f"{default.total_seconds() / 3600:g} h"
    if field.name.endswith("_bytes"):
        return f"{int(default) >> 20} MiB"
    return f'"{default}"' if isinstance(default, str) else str(default)
