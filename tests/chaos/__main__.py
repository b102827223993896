"""``python -m tests.chaos``: whether the promises hold on Apache Kafka, whatever dies."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos.plan import BY_NAME, KINDS, Kind
from tests.chaos.stage import Stage
from tests.chaos.table import render, save
from tests.chaos.trial import Trial

app = typer.Typer(add_completion=False)
_WIDTH = 130
_HELP = ", ".join(f"{kind.name} ({kind.what})" for kind in KINDS)


@app.command(help="Trials on Apache Kafka; prints one table. Exit code 1 when a count that has to be zero is not.")
def main(
    only: Annotated[str, typer.Option(help=f"Some of: {_HELP}; comma-separated.")] = ",".join(BY_NAME),
    case: Annotated[str, typer.Option(help="Only this case of them.")] = "",
    trials: Annotated[int | None, typer.Option(help="Shocks for each case, in the place of what is planned.")] = None,
    seed: Annotated[int, typer.Option(help="Of the first trial of each kind; the others count from it.")] = 1,
    quick: Annotated[bool, typer.Option(help="Few of each: does everything still run, and hold?")] = False,
    folder: Annotated[Path | None, typer.Option(help="For logs, data and chaos.json; a new temporary one.")] = None,
) -> None:
    """Run the trials that are asked for."""
    # Some River models walk through sets of strings; the backtest here has to walk like the worker.
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.chaos", *sys.argv[1:]], os.environ | {"PYTHONHASHSEED": "0"}
        )
    unknown = set(only.split(",")) - BY_NAME.keys()
    if unknown:
        raise typer.BadParameter(f"got {', '.join(sorted(unknown))}, expected some of {', '.join(BY_NAME)}")
    kinds = [kind for kind in KINDS if kind.name in only.split(",")]
    place = (folder or Path(tempfile.mkdtemp(prefix="riverrun-chaos-"))).resolve()
    place.mkdir(parents=True, exist_ok=True)
    done: list[Trial] = []
    try:
        with Stage(place) as stage:
            _run_all(stage, kinds, case, trials, seed, quick, done)
    except KeyboardInterrupt:
        print("interrupted; so far:", file=sys.stderr)
    _tell(done, place)
    if not done or not all(trial.held for trial in done):
        raise typer.Exit(1)


def _run_all(
    stage: Stage, kinds: list[Kind], case: str, wanted: int | None, seed: int, quick: bool, done: list[Trial]
) -> None:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    with progress:
        planned = [(k, list(k.planned(wanted, quick=quick))) for k in kinds]
        planned = [(k, [one for one in of_kind if case in ("", one[0])]) for k, of_kind in planned]
        bars = [progress.add_task(k.name, total=len(of_kind), start=False) for k, of_kind in planned]
        for (kind, of_kind), bar in zip(planned, bars, strict=True):
            progress.start_task(bar)
            for number, (of_case, shocks) in enumerate(of_kind):
                trial = kind.trial(stage, of_case, seed + number, shocks)
                done.append(trial)
                progress.console.print(_line(trial), highlight=False, soft_wrap=True)
                progress.advance(bar)


def _line(trial: Trial) -> str:
    """Return what is said of a trial while the others go on."""
    findings = trial.findings
    told = [f"{name} {[round(s, 1) for s in samples]}" for name, samples in findings.figures.items()] + findings.notes
    head = f"{trial.kind}: {trial.case}, seed {trial.seed}, {trial.seconds:g} s: "
    if trial.held:
        return head + "held" + "".join(f"; {words}" for words in told)
    wrong = {name: count for name, count in findings.counts.items() if count}
    return f"[bold red]{head}NOT held: {wrong or ''} {trial.error}; logs in {trial.folder}[/]" + "; ".join(told)


def _tell(done: list[Trial], place: Path) -> None:
    console = Console()
    console = console if console.is_terminal else Console(width=_WIDTH)
    console.print(render(done))
    for trial in done:
        if not trial.held:
            shocks = min(trial.findings.shocks, BY_NAME[trial.kind].shocks)
            again = f"--only {trial.kind} --case '{trial.case}' --seed {trial.seed} --trials {shocks}"
            print(f"{trial.kind}, {trial.case}: {trial.error or 'not held'}; logs in {trial.folder}; again: {again}")
    save(done, place / "chaos.json")
    print(f"{place / 'chaos.json'}")


if __name__ == "__main__":
    app()
