"""Models as files: new ones for their owner only, and nothing is read that cannot be what it says."""

import stat
from pathlib import Path
from typing import Any

import pytest
from river import compose, linear_model, preprocessing

from riverrun import export_model
from schemas.errors import ModelFileError, NotPicklableError
from services.model_files import account_path, read_model
from streams import pickling
from streams.foreign import LARGEST_BYTES

ASKED = {"a": 0.25, "b": -3.0}


def learned() -> Any:
    """Return a model that has learned."""
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    for number in range(50):
        model.learn_one({"a": number % 7, "b": number % 3}, number % 2 == 0)
    return model


def test_exported_model_answers_as_it_did(tmp_path: Path) -> None:
    """To the last bit; what is known of it stands beside it, and both are for their owner only."""
    model, file = learned(), tmp_path / "m.pickle"
    answer = model.predict_proba_one(ASKED)
    export_model(model, file, features={"a": 1, "b": 2}, learned=50, origin="here")
    data, account = read_model(file)
    assert account is not None
    assert (account.features, account.learned, account.origin) == (("a", "b"), 50, "here")
    assert pickling.loads(data).predict_proba_one(ASKED) == answer
    for one in (file, account_path(file)):
        assert stat.S_IMODE(one.stat().st_mode) == 0o600


@pytest.mark.parametrize("taken", ["m.pickle", "m.pickle.json"])
def test_nothing_is_overwritten_and_nothing_half_is_left(tmp_path: Path, taken: str) -> None:
    """Whichever of the two is there: it stays, and the other does not come."""
    (tmp_path / taken).write_text("kept")
    with pytest.raises(ModelFileError, match=f"{taken}: File exists"):
        export_model(learned(), tmp_path / "m.pickle", features=["a"], learned=1)
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "kept"


def test_what_no_pipeline_would_take_is_not_written(tmp_path: Path) -> None:
    """A lambda, and numbers of examples that are none."""
    model = compose.FuncTransformer(lambda x: x) | linear_model.LogisticRegression()
    with pytest.raises(NotPicklableError, match="lambda"):
        export_model(model, tmp_path / "m", features=["a"], learned=1)
    for number in (-1, 1.5):
        with pytest.raises(ModelFileError, match=f"learned: got {number}, expected the number of examples"):
            export_model(learned(), tmp_path / "m", features=["a"], learned=number)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_file_that_no_record_can_hold_is_not_read_to_its_end(tmp_path: Path) -> None:
    """Whatever it is."""
    with (tmp_path / "m").open("wb") as file:
        file.truncate(LARGEST_BYTES + 10)
    with pytest.raises(ModelFileError, match=f"got more than {LARGEST_BYTES} bytes"):
        read_model(tmp_path / "m")
