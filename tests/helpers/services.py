"""A service that runs in a thread of the test, and a service that runs in a separate process."""

import signal
import socket
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import anyio._backends._asyncio  # noqa: F401  # pytest rewrites it, and Python 3.11 can't parse in two threads at once
import uvicorn

from hsifeat.service.app import create_app
from hsifeat.service.server import bind, server_options
from hsifeat.service.tokens import TokenFile
from tests.helpers.forked_commands import ForkedCommand
from tests.helpers.short_pauses import shorten_pauses


@contextmanager
def running(config):
    """Run a service for a ``with`` block. Yield an object with the app, address, port, options, server and thread of the service."""
    shorten_pauses()
    app = create_app(config)
    with bind(config) as listener:
        server = uvicorn.Server(server_options(config, app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        url = f"{config.scheme}://127.0.0.1:{port}"
        try:
            yield SimpleNamespace(app=app, url=url, port=port, config=config, server=server, thread=thread)
        finally:
            server.should_exit = True
            thread.join()


class KillableService:
    """A service in a separate process. It can be killed, and started again at the same address."""

    def __init__(self, folder, stores):
        tokens = TokenFile(folder / "tokens.json")
        self.token = tokens.add("ada", "write", days=1)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._arguments = ["serve", "--cache", stores, "--state", folder / "state", "--tokens", folder / "tokens.json", "--port", self.port]  # fmt: skip
        self.start()

    def start(self):
        self._command = ForkedCommand(*self._arguments)

    def kill(self):
        if self._command.poll() is None:
            self._command.signal(signal.SIGKILL)
        self._command.wait()
