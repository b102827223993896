"""``riverrun resend``: dead letters, taken once more."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.options import Output, OutputOption, PipelineArgument, ServersOption, settings_of
from services.cli.printing import print_json
from services.cli.reading import first_offset, read
from services.describing import printable
from services.loading import load_pipeline

if TYPE_CHECKING:
    from schemas.record import Record
    from streams.pipeline import Pipeline
    from streams.worker.settings import Settings

_BROKER_SECONDS = 15.0
_LARGEST = "max.message.bytes"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("resend", epilog="Example: riverrun resend examples/flights.py:pipeline --stage validate")(resend)


def resend(
    pipeline: PipelineArgument,
    stages: Annotated[
        list[str] | None,
        typer.Option(
            "--stage",
            metavar="STAGE",
            help="Only letters of this stage; may be repeated. Else all but encode and quarantine.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="beginning|OFFSET|-N",
            help="Where to begin in each partition of the dead letters. Else where the last resend ended.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option("-n", min=1, help="Stop when so many are sent.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Send the records of dead letters to the input topic again, when what refused them is mended.

    Each has its key, its headers and its time. An event without an id gets its first position as one, so that it is
    scored once when it is sent twice. What cannot be sent is told and left. It goes on where the last run ended; runs
    with --stage or --from leave that place as it is. Records that are wrong themselves are mended by hand: riverrun
    tail dead-letters PIPELINE --no-follow -o json, and riverrun send - PIPELINE.
    """
    from schemas.dead_letters import STAGES

    for stage in stages or ():
        if stage not in STAGES:
            raise typer.BadParameter(f"--stage: got {stage!r}, expected one of {', '.join(STAGES)}")
    if start is not None:
        try:
            first_offset(start, 0, 0)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    settings = settings_of(servers)
    run = _Run(load_pipeline(pipeline), settings, stages, dry_run=dry_run)
    keeps_place = not (stages or start or dry_run)
    run.send(start if start is not None else run.place(), count)
    if keeps_place:
        run.keep_place()
    _report(run, output)


class _Run:
    """One run: what was sent and what was left, and where it came to."""

    def __init__(self, pipeline: "Pipeline", settings: "Settings", stages: list[str] | None, *, dry_run: bool) -> None:
        from schemas.topics import dead_letters
        from services.cli.sender import Sender
        from services.resending import USUAL
        from services.topics import new_admin, observe

        self.target = pipeline.source_topic
        self.sent: Counter[str] = Counter()
        self.left: Counter[str] = Counter()
        self.dry_run = dry_run
        self._settings = settings
        self._topic = dead_letters(pipeline.name)
        self._group = f"riverrun-{pipeline.name}-resend"
        self._stages = stages or USUAL
        self._sets_id = pipeline.id_field is None
        self._next: dict[int, int] = {}
        self._sender = Sender(settings, self.target)
        self._largest = int(observe(new_admin(settings), settings, [self.target])[self.target].config[_LARGEST])

    def place(self) -> dict[int, int]:
        """Return where the last run ended, by partition."""
        from services.groups import committed_offsets
        from services.topics import require_topic

        partitions = range(require_topic(self._settings, self._topic))
        return committed_offsets(self._settings, self._group, self._topic, partitions, _BROKER_SECONDS)

    def keep_place(self) -> None:
        """Have the next run go on behind what this one has read."""
        from services.groups import commit_offsets

        commit_offsets(self._settings, self._group, self._topic, self._next, _BROKER_SECONDS)

    def send(self, start: str | Mapping[int, int], count: int | None) -> None:
        """Send what can be sent, and wait until it is acknowledged."""
        letters = read(self._settings, self._topic, start, follow=False)
        try:
            for letter in letters:
                self._take(letter)
                if self.sent.total() == count:
                    break
        finally:
            letters.close()
            self._sender.flush()
        self._sender.check()

    def _take(self, letter: "Record") -> None:
        from services.resending import headers_again, sendable, size_of

        self._next[letter.partition] = letter.offset + 1
        try:
            original = sendable(letter, self._stages)
        except ValueError as error:
            self.left[str(error)] += 1
            return
        record, headers = original.record, headers_again(original, sets_id=self._sets_id)
        if size_of(record, headers) > self._largest:
            self.left[f"stage {original.stage}: larger than {self.target} takes, {self._largest} bytes"] += 1
            return
        self.sent[original.stage] += 1
        if not self.dry_run:
            self._sender.produce(record.key, record.value, headers, self._sender.partition_of(record))


def _report(run: _Run, output: Output) -> None:
    if output is Output.JSON:
        counts: dict[str, Any] = {"sent": dict(run.sent), "left": dict(run.left)}
        print_json({"topic": run.target, "dry_run": run.dry_run, **counts})
        return
    said = "would send" if run.dry_run else "sent"
    typer.echo(f"{said} {run.sent.total()} to {run.target}{': ' if run.sent else ''}{', '.join(_counts(run.sent))}")
    for line in _counts(run.left):
        typer.echo(printable(f"left {line}"))


def _counts(counts: Counter[str]) -> Iterator[str]:
    return (f"{count} {what}" for what, count in counts.most_common())
