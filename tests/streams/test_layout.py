"""The layout of snapshots: another one is of another format, so that no worker takes it for its own."""

from tests.streams.layouts import GOLDEN, layout


def test_other_layout_is_of_another_format() -> None:
    """Whoever changes what is in a snapshot sees what it was, raises the format, and notes what it is now."""
    known, now = GOLDEN.read_text(encoding="utf-8").splitlines(), layout().splitlines()
    gone, new = [line for line in known if line not in now], [line for line in now if line not in known]
    if gone or new:
        raised = known[0] != now[0]
        say = "note it" if raised else "raise FORMAT in schemas/manifest.py and note it"
        raise AssertionError(f"{say}: python -m tests.streams.layouts. Gone: {gone[:9]}, new: {new[:9]}")
