"""Run the service from a command, until Ctrl-C."""

from __future__ import annotations

from contextlib import suppress

from hsifeat.commands import terminal
from hsifeat.service.config import ServiceConfig


def serve_until_interrupt(
    config: ServiceConfig, lead: str, *, page: str = "", advice: str = "", log: bool = False, open_browser: bool
) -> None:
    """Run the service, and print its address. Ctrl-C ends the service with exit status 0.

    Parameters
    ----------
    config : ServiceConfig
        Options of the service.
    lead : str
        Text to print before the address.
    page : str
        Path of the page to which the address leads; empty for the list of stores.
    advice : str
        A line to print below the address.
    log : bool
        Whether to write the log of the requests to standard error.
    open_browser : bool
        Whether to open the address in a browser.
    """
    from hsifeat.service.json_log import log_to_stderr
    from hsifeat.service.server import run_server

    def on_start(address: str) -> None:
        if log:
            log_to_stderr()
        address = f"{address}&next={page}" if page else address
        terminal.say(f"{lead} {address}")
        if advice:
            terminal.say(advice)
        if open_browser:
            import webbrowser

            webbrowser.open(address)

    with suppress(KeyboardInterrupt):
        run_server(config, on_start=on_start)
