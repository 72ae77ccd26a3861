"""Large files over a real connection, against the file on disk: clients that are slow or leave, and files that shrink."""

import logging
import os
import socket
import time

import numpy as np
import pytest

from hsifeat.service import file_sending

SIZE_BYTES = 12_000_000
SHARD = "scene/cube/c/99/0/0"


@pytest.fixture(scope="module")
def file(service):
    path = service.path / SHARD
    path.parent.mkdir(parents=True)
    path.write_bytes(np.random.default_rng(0).bytes(SIZE_BYTES))
    yield path
    path.unlink()


def ask(service, *headers):
    """Send a request over a connection whose buffer is small, and return the connection."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", service.port))
    lines = [f"GET /stores/{service.key}.zarr/{SHARD} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
    connection.sendall("\r\n".join([*lines, f"Authorization: Bearer {service.tokens['read']}", "", ""]).encode())
    return connection


def receive(connection, pause_s=0.0):
    """Return the body of a response."""
    received = b""
    with connection:
        while block := connection.recv(2**20):
            if len(received) < 2**18:
                time.sleep(pause_s)
            received += block
    return received.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("way", ["by the system", "from a disk", "never in memory"])
def test_a_slow_client_receives_every_byte(service, file, monkeypatch, way):
    sent = []
    send = os.sendfile
    monkeypatch.setattr(file_sending.os, "sendfile", lambda *arguments: sent.append(arguments) or send(*arguments))
    if way == "by the system":  # whatever the file system of the test can tell
        monkeypatch.setattr(file_sending, "_is_in_memory", lambda *_: True)
    elif way == "from a disk":  # every other part
        answers = iter(range(10**6))
        monkeypatch.setattr(file_sending, "_is_in_memory", lambda *_: next(answers) % 2 == 0)
    elif way == "never in memory":
        monkeypatch.setattr(file_sending, "_NO_WAIT", None)
    content = file.read_bytes()
    assert receive(ask(service), pause_s=0.05) == content
    assert receive(ask(service, "Range: bytes=1000001-9000000")) == content[1_000_001:9_000_001]
    assert bool(sent) is (way != "never in memory" and file_sending.IS_SUPPORTED)


def test_a_client_that_leaves_is_no_error(service, file, reader, caplog):
    with caplog.at_level(logging.INFO), ask(service) as connection:
        assert connection.recv(1000)
        connection.close()
        assert reader.get(f"/stores/{service.key}.zarr/{SHARD}").content == file.read_bytes()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_file_that_shrinks_ends_the_connection_early(service, file, reader):
    content = file.read_bytes()
    connection = ask(service)
    time.sleep(0.2)
    os.truncate(file, SIZE_BYTES // 2)
    received = receive(connection)
    assert len(received) < SIZE_BYTES and content.startswith(received)
    assert reader.get("/health").status_code == 200
    file.write_bytes(content)
