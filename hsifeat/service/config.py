"""Options of the HTTP service, from which the options of `hsifeat serve` are generated."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated

from hsifeat.base_config import Names, Whole, option
from hsifeat.errors import HsifeatError
from hsifeat.files import disk_errors
from hsifeat.service.job_settings import JobSettings
from hsifeat.service.tokens import TokenFile


class ServiceConfig(JobSettings):
    """Options of the HTTP service.

    Examples
    --------
    >>> config = ServiceConfig.from_options({"port": 9000})
    >>> config.host, config.port, config.scheme
    ('127.0.0.1', 9000, 'http')
    """

    host: Annotated[str, option("Address to listen on. 0.0.0.0 listens on all networks.", metavar="ADDRESS")] = (
        "127.0.0.1"
    )
    port: Annotated[Whole, option("Port to listen on; 0 takes a free port.", ge=0, le=65535)] = 8765
    tokens: Annotated[
        str | None,
        option(
            "File of the tokens of several people; see hsifeat serve token.",
            metavar="FILE",
            default="one token of this run, printed with the address",
        ),
    ] = None
    hosts: Annotated[
        Names | None,
        option(
            "Host names under which clients reach this service, separated by commas; requests with another Host header are refused.",
            metavar="NAME,NAME",
            default="localhost and the loopback addresses",
        ),
    ] = None
    certificate: Annotated[
        str | None, option("TLS certificate chain, a PEM file.", metavar="FILE", default="no TLS")
    ] = None
    private_key: Annotated[
        str | None, option("Private key of the certificate, a PEM file.", metavar="FILE", default="no TLS")
    ] = None
    root_path: Annotated[
        str, option("Path under which a proxy publishes the service, such as /hsifeat.", metavar="PATH", default="/")
    ] = ""
    trusted_proxies: Annotated[
        Names | None,
        option(
            "IP addresses or networks of the proxies whose X-Forwarded-For and X-Forwarded-Proto headers count.",
            metavar="ADDRESS,…",
            default="none",
        ),
    ] = None
    connections: Annotated[Whole, option("Maximum number of open connections.", ge=1)] = 512
    header_seconds: Annotated[
        Whole, option("Time in seconds within which a client must send the headers of a request.", unit="s", ge=1)
    ] = 10
    body_seconds: Annotated[
        Whole, option("Time in seconds within which a client must send the body of a request.", unit="s", ge=1)
    ] = 120
    stall_seconds: Annotated[
        Whole,
        option("Time in seconds after which a client that receives nothing is disconnected.", unit="s", ge=1),
    ] = 60
    body_mb: Annotated[Whole, option("Maximum size of the body of a request, in MB.", unit="MB", ge=1)] = 8
    sample_pixels: Annotated[Whole, option("Maximum number of pixels in one sample.", ge=1)] = 1_000_000
    sample_mb: Annotated[Whole, option("Maximum size of one sample, in MB.", unit="MB", ge=1)] = 2000
    address_hours: Annotated[
        Whole, option("Maximum lifetime of a signed address, in hours.", unit="h", ge=1, le=24 * 365)
    ] = 168

    @property
    def scheme(self) -> str:
        """``https`` if the service has a certificate, else ``http``."""
        return "https" if self.certificate else "http"

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def host_names(self) -> tuple[str, ...]:
        """Names and addresses that the Host header of a request may have, without ports, in lower case."""
        own = ("localhost", "127.0.0.1", "::1") if self.is_loopback else ()
        return tuple(dict.fromkeys(name.lower() for name in (*own, *(self.hosts or ()))))

    def check(self) -> None:
        """Raise `HsifeatError` if options contradict each other, or if a file or folder can't be used.

        A file of tokens that does not exist is allowed.
        """
        if not self.is_loopback and not self.hosts:
            raise HsifeatError(
                f"--host {self.host} is reachable from other machines: name the hosts by which clients call the service, "
                "such as --hosts gpu.example.org"
            )
        if (self.certificate is None) != (self.private_key is None):
            raise HsifeatError("--certificate and --private-key belong together: give both, or none")
        if not re.fullmatch(r"(/[\w.~-]+)*", self.root_path):
            raise HsifeatError(f"--root-path: expected a path such as /hsifeat; found {self.root_path!r}")
        self._check_proxies()
        for file in filter(None, (self.certificate, self.private_key)):
            if not Path(file).is_file():
                raise HsifeatError(f"no such file: {file}")
        folders = (
            *(self.scenes or ()),
            *(self.backbones or ()),
            *([self.cache] if self.cache and "://" not in self.cache else []),
        )
        for folder in folders:
            if not Path(folder).is_dir():
                raise HsifeatError(f"no such folder: {folder}")
        if self.tokens:
            with disk_errors(Path(self.tokens)):
                TokenFile(Path(self.tokens)).entries()

    def _check_proxies(self) -> None:
        for address in self.trusted_proxies or ():
            try:
                ipaddress.ip_network(address)
            except ValueError as error:
                raise HsifeatError(
                    f"--trusted-proxies: expected IP addresses or networks such as 10.89.7.2 or 10.89.7.0/24, or 0.0.0.0/0 and ::/0 for all; found {address!r}: {error}"
                ) from error
