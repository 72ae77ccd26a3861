"""Objects that the routes of a running service share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from anyio import CapacityLimiter, Semaphore
from fastapi import Request

from hsifeat.service.addresses import AddressSigner, read_secret
from hsifeat.service.audit import AuditLog
from hsifeat.service.config import ServiceConfig
from hsifeat.service.request_metrics import Metrics
from hsifeat.service.store_index import StoreIndex
from hsifeat.service.store_models import Summaries
from hsifeat.service.tokens import SingleToken, TokenFile

_SAMPLING_THREADS = 8
_SAMPLES_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Service:
    """Objects that the routes of a service share. A route gets them from `service_of`.

    Attributes
    ----------
    config : ServiceConfig
        Options of the service.
    tokens : TokenFile or SingleToken
        Tokens of the callers.
    stores : StoreIndex
        The stores that clients can read.
    summaries : Summaries
        Summaries of the served stores, which are computed once per store.
    signer : AddressSigner
        Signs addresses for clients that can't send headers.
    audit : AuditLog
        Log of the requests that may change something.
    metrics : Metrics
        Counters of requests.
    sampling : anyio.CapacityLimiter
        Limit on the number of threads that read samples.
    sample_slots : anyio.Semaphore
        Limit on the number of sample requests in progress, to save memory.
    """

    config: ServiceConfig
    tokens: TokenFile | SingleToken
    stores: StoreIndex
    summaries: Summaries
    signer: AddressSigner
    audit: AuditLog
    metrics: Metrics
    sampling: CapacityLimiter
    sample_slots: Semaphore

    @classmethod
    def of_config(cls, config: ServiceConfig) -> Service:
        """Create the shared objects from the options of the service."""
        stores = StoreIndex(config.cache)
        return cls(
            config=config,
            tokens=TokenFile(Path(config.tokens)) if config.tokens else SingleToken(),
            stores=stores,
            summaries=Summaries(stores),
            signer=AddressSigner(read_secret(config.state_folder / "secret")),
            audit=AuditLog(config.state_folder / "audit.jsonl"),
            metrics=Metrics(),
            sampling=CapacityLimiter(_SAMPLING_THREADS),
            sample_slots=Semaphore(_SAMPLES_AT_ONCE),
        )


def service_of(request: Request) -> Service:
    """Return the shared objects of the service that a request was sent to."""
    return cast("Service", request.app.state.service)
