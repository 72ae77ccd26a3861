"""One service for all tests: uvicorn in a thread, over a folder with a copy of the small store."""

import shutil
from types import SimpleNamespace

import httpx
import pytest

from hsifeat.service.config import ServiceConfig
from hsifeat.service.tokens import TokenFile
from hsifeat.store.store import Store
from tests.helpers.services import running


@pytest.fixture(scope="session")
def service(store_path, tmp_path_factory):
    """The address, the folders and the tokens of a running service with limits that a test can reach."""
    folder = tmp_path_factory.mktemp("service")
    path = folder / "stores" / "small.zarr"
    shutil.copytree(store_path, path)
    (folder / "secret.txt").write_text("outside")
    file = TokenFile(folder / "tokens.json")
    tokens = {right: file.add(right, right, days=1) for right in ("read", "write", "admin")}
    config = ServiceConfig.from_options({
        "cache": str(folder / "stores"), "state": str(folder / "state"), "tokens": str(file.path), "port": 0, "body_mb": 1,
        "body_seconds": 1, "header_seconds": 1, "stall_seconds": 1, "sample_pixels": 1000, "connections": 50,
    })  # fmt: skip
    with running(config) as service:
        yield SimpleNamespace(
            **vars(service), folder=folder, path=path, tokens=tokens, token_file=file, key=Store.open(path).key
        )


def client(service, right=None):
    headers = {"Authorization": f"Bearer {service.tokens[right]}"} if right else {}
    return httpx.Client(base_url=service.url, headers=headers, timeout=20)


@pytest.fixture
def reader(service):
    """An HTTP client with the right to read."""
    with client(service, "read") as http:
        yield http


@pytest.fixture
def anyone(service):
    """An HTTP client without a token."""
    with client(service) as http:
        yield http
