"""Audit log of the service.

The log has one line of JSON for each request that may change something. The line is written before the request runs.
"""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

from fastapi import Request

from hsifeat.errors import StoreError
from hsifeat.files import disk_errors
from hsifeat.service.problems import ProblemError
from hsifeat.service.tokens import Caller

_log = logging.getLogger("hsifeat.service")


class AuditLog:
    """The audit log of a service.

    Parameters
    ----------
    path : Path
        File to which lines are appended. If the file does not exist, it is created for access by its owner only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(self, request: Request, caller: Caller, *, allowed: bool) -> None:
        """Add a request to the log.

        Parameters
        ----------
        request : fastapi.Request
            The request.
        caller : Caller
            Sender of the request.
        allowed : bool
            Whether the caller has the right that the request needs.

        Raises
        ------
        ProblemError
            If the log can't be written. The request must then be refused.
        """
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "request": getattr(request.state, "request_id", ""),
            "caller": caller.name,
            "token": caller.token_id,
            "client": request.client.host if request.client else None,
            "method": request.method,
            "path": request.scope["path"],
            "allowed": allowed,
        }
        try:
            with disk_errors(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # A single write to a file in append mode keeps lines of several processes apart.
                file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    os.write(file, json.dumps(line).encode() + b"\n")
                finally:
                    os.close(file)
        except StoreError as error:
            _log.error("no request can be recorded in the audit log: %s", error)  # a traceback would add nothing
            raise ProblemError(
                503, "the audit log can't be written, so nothing is changed", {"Retry-After": "60"}
            ) from error
