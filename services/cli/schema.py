"""``riverrun schema``: Avro schemas."""

import re
from typing import Annotated, Any

import typer

from services.cli.options import PipelineArgument
from services.cli.printing import print_json
from services.loading import load_pipeline

_AVRO_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("schema", epilog="Example: riverrun schema examples/flights.py:pipeline --kind label")(schema)


def schema(
    pipeline: PipelineArgument,
    kind: Annotated[
        str, typer.Option(help="event, label, prediction, or a lifecycle event such as drift.detected.")
    ] = "event",
    name: Annotated[
        bool,
        typer.Option(
            "--name",
            help="Print what names it instead: a record with this in its header ce_dataschema is refused, and not "
            "misread, once the schema is another one.",
        ),
    ] = False,
) -> None:
    """Print the Avro schema of what a pipeline takes or says."""
    from schemas.avro import EVENT_SCHEMAS, avro_event_schema, avro_label_schema, schema_name
    from schemas.errors import ConfigurationError
    from schemas.events import LIFECYCLE_EVENTS, LifecycleEvent, PredictionMade

    declared = load_pipeline(pipeline)
    events: tuple[type[PredictionMade] | type[LifecycleEvent], ...] = (PredictionMade, *LIFECYCLE_EVENTS)
    ours = {event.type.removeprefix("riverrun."): EVENT_SCHEMAS[event] for event in events}
    label = declared.label

    def show(schema: dict[str, Any]) -> None:
        if name:
            typer.echo(schema_name(schema))
        else:
            print_json(schema)

    if kind == "event":
        fields = declared.avro_fields()
        show(avro_event_schema(fields))
        odd = [name for name in fields if not _AVRO_NAME.fullmatch(name)]
        if odd:
            said = f"{', '.join(odd)}: got names that Avro does not allow, expected letters, digits and _"
            typer.echo(f"riverrun: {said}: fastavro takes them, others will not", err=True)
    elif kind == "label" and label is not None:
        show(avro_label_schema(label.name, label.type))
    elif kind in ours:
        show(ours[kind])
    else:
        kinds = ["event", *(["label"] if label is not None else []), *ours]
        raise ConfigurationError(f"--kind: got {kind!r}, expected one of {', '.join(kinds)}")
