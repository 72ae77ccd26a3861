"""Run the service with uvicorn: sockets, TLS, and limits on connections and headers."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import uvicorn

from hsifeat.errors import HsifeatError
from hsifeat.service.app import create_app
from hsifeat.service.config import ServiceConfig
from hsifeat.service.connections import GuardedProtocol
from hsifeat.service.service import Service
from hsifeat.service.tokens import SingleToken

_BACKLOG = 512


def run_server(config: ServiceConfig, *, on_start: Callable[[str], None]) -> None:
    """Serve until the process is interrupted or terminated.

    Parameters
    ----------
    config : ServiceConfig
        Options of the service.
    on_start : callable
        Function that is called with the address of the service as soon as clients can connect.

    Raises
    ------
    HsifeatError
        If the port can't be used. If options contradict each other. If a file or folder does not exist.
    """
    app = create_app(config)
    with bind(config) as listener:
        server = uvicorn.Server(server_options(config, app))
        on_start(address_of(app.state.service, listener.getsockname()[1]))
        server.run(sockets=[listener])


def server_options(config: ServiceConfig, app: object) -> uvicorn.Config:
    """Return the options of uvicorn for a service."""
    protocol = GuardedProtocol.with_limits(
        max_connections=config.connections, header_seconds=config.header_seconds, stall_seconds=config.stall_seconds
    )
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI application
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=bool(config.trusted_proxies),
        forwarded_allow_ips=list(config.trusted_proxies or ()),
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        ssl_certfile=config.certificate,
        ssl_keyfile=config.private_key,
    )


def bind(config: ServiceConfig) -> socket.socket:
    """Return a socket that listens at the address of the service.

    Raises
    ------
    HsifeatError
        If the host is unknown. If the port is in use or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # UnicodeError: an empty or long label of the host
        raise HsifeatError(f"--host {config.host}: {getattr(error, 'strerror', None) or error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise HsifeatError(
            f"{config.host}:{config.port} can't be used: {error.strerror or error}: choose another --port, or 0 for a free one"
        ) from error
    return listener


def address_of(service: Service, port: int) -> str:
    """Return the address at which a browser opens the service.

    If the service has a `SingleToken`, the address contains the token.
    """
    config = service.config
    host = config.host if config.is_loopback or not config.hosts else config.hosts[0]
    host = f"[{host}]" if ":" in host else host
    base = f"{config.scheme}://{host}:{port}{config.root_path}"
    return f"{base}/login?token={service.tokens.token}" if isinstance(service.tokens, SingleToken) else f"{base}/"
