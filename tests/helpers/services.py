"""A service that runs in a thread of the test."""

import threading
from contextlib import contextmanager
from types import SimpleNamespace

import uvicorn

from hsifeat.service.app import create_app
from hsifeat.service.server import bind, server_options


@contextmanager
def running(config):
    """Run a service for a ``with`` block, and yield its app, address, port, server and thread."""
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
