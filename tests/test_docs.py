"""Pages whose Python runs: block by block, in one namespace, with what stands below each as its output."""

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
_BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\s*^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, code and output of each block of Python in a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, found[1], found[2] or ""


@pytest.mark.parametrize("page", ["python.md"])
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
    assert ran > 5
