"""What the routes of a running service share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from fastapi import Request

from hsifeat.service.audit import AuditLog
from hsifeat.service.config import ServiceConfig
from hsifeat.service.tokens import SingleToken, TokenFile


@dataclass(frozen=True, eq=False)
class Service:
    """What the routes of a service share; see `service_of`.

    Attributes
    ----------
    config : ServiceConfig
        Options of the service.
    tokens : TokenFile or SingleToken
        Tokens of the callers.
    audit : AuditLog
        Log of the requests that may change something.
    """

    config: ServiceConfig
    tokens: TokenFile | SingleToken
    audit: AuditLog

    @classmethod
    def of_config(cls, config: ServiceConfig) -> Service:
        """Create what the routes share, from the options of the service."""
        return cls(
            config=config,
            tokens=TokenFile(Path(config.tokens)) if config.tokens else SingleToken(),
            audit=AuditLog(config.state_folder / "audit.jsonl"),
        )


def service_of(request: Request) -> Service:
    """Return the service that a request was sent to."""
    return cast("Service", request.app.state.service)
