"""``make quality``: what it has played is kept, and what it says follows from the games."""

from array import array
from pathlib import Path
from typing import Any

import pytest

from benchmarks.quality import judging, playing, tables
from benchmarks.quality.detecting import detections
from benchmarks.quality.ledger import Code, Ledger, code, read
from benchmarks.quality.policies import Game
from benchmarks.quality.stopwatch import CALM, REPLACED, SHADOWS, Meter, Timing, costs, share_beyond
from benchmarks.quality.worlds import Stream
from streams.learner import Learner

C = Code("c", "r")


def result(seed: int = 1, **accuracy: float) -> dict[str, Any]:
    """Return what a game told of some players."""
    return {"world": "w", "row": "abrupt", "base": "lr", "seed": seed, "events": 10, "accuracy": accuracy}


def test_ledger_cut_anywhere_loses_the_last_game_and_no_other(tmp_path: Path) -> None:
    """Whatever a kill leaves of the file, the games before are there, and the next one is written behind them."""
    whole = tmp_path / "whole"
    for seed in (1, 2, 3):
        Ledger(whole, C).add(result(seed, online=0.5), {"online"})
    data = whole.read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    for size in range(0, len(data) + 1, 7):
        path = tmp_path / f"cut-{size}"
        path.write_bytes(data[:size])
        kept = sum(end <= size for end in ends)
        assert [r["seed"] for r in read(path)] == [1, 2, 3][:kept]
        book = Ledger(path, C)
        assert [bool(book.missing(("w", "lr", seed), {"online"})) for seed in (1, 2, 3)] == [
            seed > kept for seed in (1, 2, 3)
        ]
        book.add(result(4, online=0.5), {"online"})
        assert [r["seed"] for r in read(path)] == [*[1, 2, 3][:kept], 4]


def test_ledger_of_a_game_played_again_has_all_players(tmp_path: Path) -> None:
    """A rival that was left out at first is added to the game, and nobody has to play twice."""
    path, key = tmp_path / "f", ("w", "lr", 1)
    Ledger(path, C).add(result(online=0.5), {"online", "perfect reset"})
    book = Ledger(path, C)
    assert book.missing(key, {"online", "perfect reset", "arf"}) == {"arf"}
    book.add(result(arf=0.7), {"arf"})
    [game] = read(path)
    assert game["accuracy"] == {"online": 0.5, "arf": 0.7}
    assert book.games() == [game]
    assert not Ledger(path, C).missing(key, {"online", "perfect reset", "arf"})


def test_ledger_of_other_code_is_put_aside(tmp_path: Path) -> None:
    """Games of two versions never stand in one table, and none is lost."""
    path = tmp_path / "f"
    Ledger(path, Code("old", "r")).add(result(online=0.5), {"online"})
    book = Ledger(path, Code("new", "s"))
    assert book.games() == []
    assert book.put_aside is not None
    assert len(read(book.put_aside)) == 1
    assert code() == code()


def test_rivals_that_are_what_they_were_need_not_play_again(tmp_path: Path) -> None:
    """What policies told is gone with the code they were of."""
    path, key = tmp_path / "f", ("w", "lr", 1)
    told = result(online=0.5, pool=0.6) | {"costs": {"pool": {"calm": [1, 2, 3]}}, "detection": {"delay": {"task": 9}}}
    Ledger(path, Code("old", "r")).add(told, {"online", "perfect reset", "pool"})
    book = Ledger(path, Code("new", "r"))
    assert book.put_aside is not None
    assert book.missing(key, {"online", "perfect reset", "pool"}) == {"pool"}
    book.add(result(pool=0.7), {"pool"})
    [game] = read(path)
    assert game["accuracy"] == {"online": 0.5, "pool": 0.7}
    assert not {"costs", "detection"} & game.keys()
    assert Ledger(path, Code("new", "r")).put_aside is None


def test_busiest_stretch_is_found_wherever_it_is() -> None:
    """Not the average: three within 10,000 events, of six in 40,000."""
    assert judging._busiest([0, 12_000, 20_000, 21_999, 35_000, 39_999]) == 3
    assert judging._busiest([]) == 0


@pytest.mark.parametrize(
    ("crowned", "expected"),
    [
        ([], (0, 0, 1)),
        ([(1100, 90, True)], (1, 1, 1)),  # learned lies, and stays
        ([(1100, 90, True), (1300, 900, False)], (1, 0, 1)),  # … and is replaced in time
        ([(1100, 90, True), (1900, 900, False)], (1, 1, 1)),  # … or too late
        ([(1100, 900, True)], (0, 0, 1)),  # has learned more of the truth
        ([(1100, 90, False)], (0, 0, 1)),  # has served before
        ([(1600, 450, True)], (0, 0, 1)),  # learned behind the burst
        ([(900, 90, True)], (0, 0, 1)),  # before the burst
    ],
)
def test_burst_champion_is_one_that_learned_lies(crowned: list[Any], expected: tuple[int, int, int]) -> None:
    """Lies from 1,000 to 1,199: who was crowned of them, and who stayed."""
    assert judging.burst_champions({"crowned": {"pool": crowned}, "lies": [(1000, 1199)]}, "pool") == expected


def test_costs_are_split_by_who_stands_beside_the_champion() -> None:
    """Calm 12 by 10; shadows 80 by 10, of which 40 are their models', 5 the champion's, 5 + 2 what calm takes, too."""
    beside = bytearray([CALM, SHADOWS, REPLACED])
    ours, observer = Timing(array("q", [12, 80, 99]), beside), Timing(array("q", [10, 10, 10]), bytearray(3))
    metered = Timing(models_ns=array("q", [5, 45, 5])), Timing(models_ns=array("q", [5, 5, 5]))
    cost = costs(ours, observer, metered)
    assert cost == {"records": [3], "calm": [1, 12, 10], "shadows": [1, 80, 10], "models": [45, 5]}
    assert share_beyond([cost]) == pytest.approx((80 - 45 - 5 - 2) / 40)
    assert share_beyond([costs(ours, observer, None)]) is None


def test_meter_leaves_learners_as_they_were() -> None:
    """They are timed while it is entered, and not behind it."""
    plain = Learner.predict
    with Meter():
        assert Learner.predict is not plain
    assert Learner.predict is plain


def test_delay_counts_labels_from_the_change_on() -> None:
    """A task that saw it at the 31st event of the new concept, one label missing; a false alarm before."""
    right = [True] * 2000 + [i % 2 == 0 for i in range(2000)]
    stream = Stream([({}, True)] * 4000, [0] * 2000 + [1] * 2000, missing=frozenset({2010}))
    found = detections(Game(right, 0, detections=[700, 2030]), stream)
    assert found["delay"]["task"] == 30
    assert found["false"] == {"task": 1, "bare": 0, "auto": 0}
    assert 0 < found["delay"]["bare"] < 100


def test_game_has_figures_of_all_that_were_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """The shortest world, with a rival and three policies, from the records to the tables."""
    players = {"online", "perfect reset", "observe only", "champion versions", "pool"}
    game = playing.play("phishing", "lr", 1, players) | {"asked": sorted(players)}
    assert set(game["accuracy"]) == players - {"perfect reset"}  # nobody knows its concepts
    assert game["accuracy"]["online"] == pytest.approx(game["accuracy"]["observe only"], abs=0.002)
    cost = game["costs"]["pool"]
    assert cost["records"] == [1250]
    assert cost["calm"] == [0, 0, 0]
    assert cost["shadows"][0] == 1250
    wanted = {(row, name) for row, name, *_ in judging.requirements([game])}
    assert {("phishing, lr", "pool"), ("calm, lr", "champion versions"), ("shadows, lr", "pool")} <= wanted
    assert ("everywhere", "no step above 50 ms") in {(row, what) for row, _, what, *_ in judging.requirements([game])}
    tables.show([game])
    assert "champion versions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("games", "expected"),
    [
        pytest.param([(0.80, 0.90, 0.85), (0.80, 0.90, 0.89)], 0.7, id="as far as means are"),
        pytest.param(
            [(0.80, 0.90, 0.88), (0.80, 0.805, 0.79)], 0.07 / 0.105, id="no game has more weight than its way"
        ),
        pytest.param([(0.80, 0.81, 0.81), (0.80, 0.79, 0.80)], None, id="no way to go on average"),
    ],
)
def test_share_of_the_way_is_that_of_means_over_the_seeds(
    games: list[tuple[float, float, float]], expected: float | None
) -> None:
    """Where the way is next to nothing in one game, its share of it says nothing."""
    names = ("perfect reset", "perfect rollback", "pool")
    results = [{"accuracy": dict(zip(names, game, strict=True))} for game in games]
    assert judging.gained(results, "pool") == pytest.approx(expected)


def test_share_of_late_labels_is_held_against_the_same_stream_without_delay() -> None:
    """Half of the gap late, by all of it: too little; from the first label on, .7 of it will do."""

    def game(world: str, row: str, **scores: float) -> dict[str, Any]:
        of = {"perfect reset": 0.5, "perfect rollback": 0.9}
        told = {name: of | {"pool": score} for name, score in scores.items()}
        return {"world": world, "row": row, "base": "lr", "seed": 1, "asked": ["pool"], **told}

    said: list[tuple[str, str, str, str, bool]] = []
    rowed = {
        "recurring": [game("w", "recurring", accuracy=0.9)],
        "delayed": [game("w, labels 100 late", "delayed", accuracy=0.7, informed=0.78)],
    }
    judging._delayed(lambda *row: said.append(row), "pool", rowed)
    assert [(row, found, reached) for row, _, _, found, reached in said] == [
        ("labels 100 late", "0.50 of 1.00, 1 streams", False),
        ("labels 100 late, from the first one on", "0.70 of 1.00, 1 streams", True),
    ]
