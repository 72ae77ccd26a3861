"""`hsifeat serve`: serve the cache over HTTP, and manage the tokens of callers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hsifeat.commands import terminal
from hsifeat.commands.config_options import with_options
from hsifeat.commands.shared_options import Json
from hsifeat.errors import HsifeatError, allowed_names
from hsifeat.service.config import ServiceConfig

serve = typer.Typer(
    invoke_without_command=True, help="Serve the stores of the cache over HTTP, to people and programs with a token."
)
token = typer.Typer(no_args_is_help=True, help="Add, list and revoke tokens, with which callers may read and write.")
serve.add_typer(token, name="token")

TokensFile = Annotated[
    Path,
    typer.Option("--tokens", metavar="FILE", help="Token file of the service, which `hsifeat serve --tokens` names."),
]


@serve.callback()
@with_options(ServiceConfig)
def start(
    context: typer.Context,
    options: dict[str, Any],
    open_browser: Annotated[bool, typer.Option("--open", help="Open the service in a browser.")] = False,
) -> None:
    """Serve the stores of the cache over HTTP, until Ctrl-C.

    Without --tokens, the printed address contains a token with all rights. The token is valid until the service ends.

    Example: `hsifeat serve --tokens tokens.json --host 0.0.0.0 --hosts gpu.example.org`
    """
    if context.invoked_subcommand is not None:
        return
    from hsifeat.commands.serving import serve_until_interrupt

    serve_until_interrupt(ServiceConfig.from_options(options), "serving at", log=True, open_browser=open_browser)


@token.command("add")
def add_token(
    name: Annotated[str, typer.Argument(help="Name of the person or program, for the logs.")],
    tokens: TokensFile,
    right: Annotated[
        str, typer.Option(help="read, write or admin. Each right includes the rights before it.")
    ] = "read",
    days: Annotated[int | None, typer.Option(min=1, help="Lifetime in days. [default: unlimited]")] = None,
) -> None:
    """Add a token and print it. The tokens file keeps only the sha256 of the token, so the token can't be shown again.

    Example: `hsifeat serve token add ada --tokens tokens.json --right write --days 90`
    """
    from hsifeat.service.tokens import RIGHTS, TokenFile

    chosen = next((known for known in RIGHTS if known == right), None)
    if chosen is None:
        raise HsifeatError(f"no right {right!r}; {allowed_names(RIGHTS)}")
    terminal.say(TokenFile(tokens).add(name, chosen, days=days))


@token.command("ls")
def list_tokens(tokens: TokensFile, as_json: Json = False) -> None:
    """List the tokens with their names, rights and expiry.

    Example: `hsifeat serve token ls --tokens tokens.json`
    """
    import time

    from hsifeat.service.tokens import TokenFile

    rows = [
        {
            "id": entry.id,
            "name": entry.name,
            "right": entry.right,
            "expires": time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.expires)) if entry.expires else "never",
            "state": "valid" if entry.is_valid else "expired",
        }
        for entry in TokenFile(tokens).entries()
    ]
    terminal.show_rows(f"tokens ({tokens})", rows, ("id", "name", "right", "expires", "state"), as_json)


@token.command("revoke")
def revoke_token(
    name: Annotated[str, typer.Argument(help="Name or identifier of the tokens to revoke.")], tokens: TokensFile
) -> None:
    """Revoke all tokens with the given name or identifier. A running service refuses these tokens from the next request on.

    Example: `hsifeat serve token revoke ada --tokens tokens.json`
    """
    from hsifeat.service.tokens import TokenFile

    for entry in TokenFile(tokens).revoke(name):
        terminal.say(f"revoked {entry.id}: {entry.name}, {entry.right}")
