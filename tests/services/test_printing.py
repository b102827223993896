"""A table whose last column is prose: whole in a pipe, and within the width of a terminal."""

import sys

import pytest

from services.cli.printing import print_table

HEADINGS = ["at", "champion", "why"]
WHY = "loss 0.31 instead of 0.88 on 16 events (e-value 29.3)"
ROWS = [["0@4022", "v1 → v19 (v1@3976) of a rather long name", WHY], ["0@20000", "v19", "root: [b] season B"]]


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int) -> list[str]:
    """Return the lines of the table on a terminal of so many columns, 0 for a pipe."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: columns > 0)
    monkeypatch.setenv("COLUMNS", str(columns or 20))
    print_table(HEADINGS, ROWS, prose=True)
    lines = capsys.readouterr().out.splitlines()
    assert not columns or max(map(len, lines)) <= columns
    return lines


def test_pipe_has_a_line_for_each_row(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its width: nothing is cut, and programs find all of a row in one line."""
    lines = printed(capsys, monkeypatch, 0)
    assert len(lines) == 3
    assert lines[1] == f"0@4022   v1 → v19 (v1@3976) of a rather long name  {WHY}"


def test_wide_terminal_has_prose_beside_its_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one line where there is room, else wrapped between words; no other cell is."""
    assert printed(capsys, monkeypatch, 120) == printed(capsys, monkeypatch, 0)
    lines = printed(capsys, monkeypatch, 98)
    assert (
        lines[1] == "0@4022   v1 → v19 (v1@3976) of a rather long name  loss 0.31 instead of 0.88 on 16 events (e-value"
    )
    assert lines[2:] == [f"{'':51}29.3)", f"{'0@20000  v19':51}root: [b] season B"]


def test_narrow_terminal_has_prose_beneath_its_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On lines of its own, from the second column on."""
    lines = printed(capsys, monkeypatch, 60)
    assert lines[:2] == ["at       champion", "         why"]
    assert lines[2:4] == [
        "0@4022   v1 → v19 (v1@3976) of a rather long name",
        "         loss 0.31 instead of 0.88 on 16 events (e-value",
    ]
    assert lines[4:] == ["         29.3)", "0@20000  v19", "         root: [b] season B"]
