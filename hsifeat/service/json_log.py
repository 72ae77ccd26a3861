"""Logs of the service. Each log record is one line of JSON."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

_LOGGERS = {"hsifeat": logging.INFO, "uvicorn": logging.WARNING}


class JsonFormatter(logging.Formatter):
    """Formats a log record as one line of JSON. If the record has a dict ``fields``, the items of the dict are added."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for a log record."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to_stderr() -> None:
    """Write the logs of the service and of uvicorn to standard error."""
    # Facts that no line contains; looking them up takes a third of the time of a line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    for name, level in _LOGGERS.items():
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.addHandler(handler)
        logger.propagate = False
