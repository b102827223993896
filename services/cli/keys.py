"""``riverrun keys``: the pair of keys that snapshots and commands are signed and believed with."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.options import Output, OutputOption
from services.cli.printing import print_json, print_table

DEFAULT_FOLDER = Path(".riverrun/keys")

HELP = (
    "The keys that snapshots and commands are signed with, and those whose are believed. Operators who run no worker "
    "have a pair of their own, and workers their public keys in RIVERRUN_OPERATOR_KEYS.\n\n"
    "A private key that belongs to the user who runs riverrun may be readable for nobody else (0600, 0400). One that "
    "belongs to somebody else may be readable for its group, too: a Kubernetes secret with defaultMode: 0440 and the "
    "pod's fsGroup. One that others may read is always refused.\n\n"
    "To rotate: make another pair (riverrun keys init --folder NEW), put its trusted/*.pem beside the trusted keys of "
    "all workers and restart them; let RIVERRUN_SIGNING_KEY name its signing.pem and restart them again; take the old "
    "trusted key away when no snapshot signed with it is kept any more. A key that others may have seen is taken away "
    "at once: workers then replay the log. Commands that were signed with it are refused in such a replay: what they "
    "did has to be ordered again."
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help=HELP, epilog="Example: riverrun keys init", no_args_is_help=True)
    commands.command("init", epilog="Example: riverrun keys init --folder .riverrun/keys")(init)
    commands.command("show", epilog="Example: riverrun keys show --output json")(show)
    app.add_typer(commands, name="keys")


def init(
    folder: Annotated[Path, typer.Option(help="Where the pair is written.")] = DEFAULT_FOLDER,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Do nothing if a key already exists.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a pair of keys; one that is there is never overwritten."""
    from streams.worker.keys import SIGNING_FILE, make_keys

    if if_missing and (folder / SIGNING_FILE).exists():
        show(folder, output)
        return
    private, public = make_keys(folder)
    if output is Output.JSON:
        print_json({"key": public.stem, "signing_key": str(private), "trusted_key": str(public)})
        return
    typer.echo(f"made key {public.stem}: {private} signs and is a secret, {public} is what others trust")
    typer.echo(f"export RIVERRUN_SIGNING_KEY={private}")
    typer.echo(f"export RIVERRUN_TRUSTED_KEYS={public.parent}")


def show(
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Where `init` wrote them; else RIVERRUN_SIGNING_KEY and RIVERRUN_TRUSTED_KEYS.", show_default=False
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the key that a worker signs with and those that it trusts."""
    from schemas.signing import key_id_of
    from streams.worker.keys import SIGNING_FILE, TRUSTED_FOLDER, load_signer, trusted_files
    from streams.worker.settings import load_settings

    if folder is None:
        settings = load_settings()
        private, trusted_folder = settings.signing_key, settings.trusted_keys
        operator_folder = settings.operator_keys
    else:
        private, trusted_folder, operator_folder = folder / SIGNING_FILE, folder / TRUSTED_FOLDER, None
    key_id = load_signer(private).key_id
    trusted = {path: key_id_of(key) for path, key in trusted_files(trusted_folder).items()}
    operators = {} if operator_folder is None else trusted_files(operator_folder, "RIVERRUN_OPERATOR_KEYS")
    orders = {path: key_id_of(key) for path, key in operators.items()}
    if output is Output.JSON:
        signing = {"key": key_id, "file": str(private)}
        listed = {
            use: [{"key": one, "file": str(path)} for path, one in keys.items()]
            for use, keys in (("trusted", trusted), ("operators", orders))
        }
        print_json({"signing": signing, **listed})
    else:
        rows = [("signing", key_id, private), *(("trusted", one, path) for path, one in trusted.items())]
        rows += [("operator", one, path) for path, one in orders.items()]
        print_table(("use", "key", "file"), rows)
    if key_id not in trusted.values():
        typer.echo(
            f"riverrun: key {key_id} signs and is not trusted, so no worker here believes what it signs: "
            f"openssl pkey -in {private} -pubout -out {trusted_folder / key_id}.pem",
            err=True,
        )
