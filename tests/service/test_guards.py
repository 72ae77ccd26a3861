"""Attacks on paths, hosts, bodies, headers and logs."""

import asyncio
import contextlib
import json
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hsifeat.service.guards import BodyGuard
from hsifeat.service.json_log import JsonFormatter
from tests.helpers.job_runners import wait_until

JSON = "application/problem+json"


def raw(service, *parts):
    """Send bytes as they are, and return the answer until the service closes the connection."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        answer = b""
        # The service may close before it has read everything.
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
            while block := connection.recv(65536):
                answer += block
        return answer


def request(service, target, method="GET", headers=(), host="127.0.0.1"):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {service.tokens['read']}"]
    return "\r\n".join([*lines, "Connection: close", *headers, "", ""]).encode("latin-1")


def status(answer):
    return int(answer.split(b" ", 2)[1])


ESCAPES = [
    "../secret.txt", "../../secret.txt", "..%2f..%2fsecret.txt", "%2e%2e/%2e%2e/secret.txt", "%2e%2e%2f%2e%2e%2fsecret.txt",
    "%252e%252e%252fsecret.txt", "planes/../../../secret.txt", "//secret.txt", "/etc/passwd", "%2fetc%2fpasswd",
    "..\\..\\secret.txt", "..%5c..%5csecret.txt", "zarr.json%00.txt", "zarr.json/", "./zarr.json", "scene/labels/../../zarr.json",
    "scene/labels/%2e%2e/zarr.json", "%c0%ae%c0%ae/secret.txt", "file:///etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("prefix", ["/stores/{key}.zarr/", "/jobs/{job}/files/"])
def test_no_path_leaves_a_folder(service, prefix, escape):
    answer = raw(service, request(service, prefix.format(key=service.key, job="0" * 16) + escape))
    assert status(answer) in {400, 404} and b"outside" not in answer and b"root:" not in answer


def test_no_link_leaves_a_folder(service, reader):
    results = service.config.results_folder / "1111111111111111"
    results.mkdir(parents=True)
    (results / "inside.csv").write_text("1,2")
    (results / "good.csv").symlink_to(results / "inside.csv")
    (results / "bad.csv").symlink_to(service.folder / "secret.txt")
    (results / "up").symlink_to(service.folder)
    labels = service.path / "scene" / "labels" / "leak"
    labels.symlink_to(service.folder)
    (service.folder / "zarr.json").write_text("outside")
    try:
        assert reader.get("/jobs/1111111111111111/files/good.csv").text == "1,2"
        assert reader.get("/jobs/1111111111111111/files/bad.csv").status_code == 404
        assert reader.get("/jobs/1111111111111111/files/up/secret.txt").status_code == 404
        assert reader.get("/jobs/1111111111111111/files/up").status_code == 404
        assert reader.get(f"/stores/{service.key}.zarr/scene/labels/leak/zarr.json").status_code == 404
    finally:
        labels.unlink()


@pytest.mark.parametrize("name", ["fifo", "folder"])
def test_what_is_no_file_is_not_sent(service, reader, name):
    import os

    folder = service.config.results_folder / f"{len(name):016}"
    folder.mkdir(parents=True)
    os.mkfifo(folder / name) if name == "fifo" else (folder / name).mkdir()
    assert reader.get(f"/jobs/{len(name):016}/files/{name}").status_code == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "localhost/../x"]
)
def test_other_hosts_are_refused(service, host):
    answer = raw(service, request(service, "/health", host=host))
    assert status(answer) in {400, 421} and b'"ok"' not in answer


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "[::1]:80"])
def test_own_hosts_are_served(service, host):
    assert b'"ok"' in raw(service, request(service, "/health", host=host))


def test_two_hosts_and_two_lengths_are_refused(service):
    assert status(raw(service, request(service, "/health", headers=["Host: evil.example"]))) in {400, 421}
    headers = ["Content-Type: application/json", "Content-Length: 2", "Content-Length: 3"]
    assert status(raw(service, request(service, "/addresses", "POST", headers), b"{}")) == 400


def test_a_forwarded_host_does_not_count(service, reader):
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"}
    response = reader.post("/addresses", json={"path": f"/stores/{service.key}.zarr"}, headers=forged)
    assert response.json()["url"].startswith(f"{service.url}/signed/")


def test_large_bodies(service, reader):
    url, large = f"/stores/{service.key}/sample", b" " * 1_100_000
    response = reader.post(url, content=large, headers={"Content-Type": "application/json"})
    assert response.status_code == 413 and response.headers["content-type"] == JSON
    assert "1000000 bytes" in response.json()["detail"]
    chunked = reader.post(url, content=iter([large[:550_000]] * 2), headers={"Content-Type": "application/json"})
    assert chunked.status_code == 413
    headers = ["Content-Type: application/json", "Content-Length: 9" + "9" * 30]
    assert status(raw(service, request(service, url, "POST", headers))) in {400, 413}


@pytest.mark.parametrize(
    ("headers", "path", "at_once"),
    [
        ([(b"content-length", b"65536")], "/fits", 12),
        ([(b"content-length", b"65537")], "/fits", 4),
        ([(b"transfer-encoding", b"chunked")], "/fits", 4),
        ([(b"content-length", b"90000")], "/uploads/1", 12),
    ],
)
def test_few_large_bodies_are_in_memory_at_once(headers, path, at_once):
    running, most, statuses = 0, 0, []

    async def app(*_):
        nonlocal running, most
        running += 1
        most = max(most, running)
        leave_if_complete()
        await leave.wait()
        running -= 1

    async def send(message):
        statuses.append(message.get("status"))
        leave_if_complete()

    def leave_if_complete():
        if running == at_once and statuses.count(503) == refused:
            leave.set()

    async def ask(seconds):
        guard = BodyGuard(app, 100_000, {"/uploads/": 200_000}, seconds)
        scope = {"type": "http", "path": path, "headers": headers}
        await asyncio.gather(*(guard(scope, None, send) for _ in range(12)))

    # Playwright keeps an event loop in the main thread.
    with ThreadPoolExecutor(1) as thread:
        leave, refused = asyncio.Event(), 0
        thread.submit(lambda: asyncio.run(ask(10))).result()
        assert most == at_once and not statuses
        leave, refused = asyncio.Event(), 12 - at_once
        thread.submit(lambda: asyncio.run(ask(0.01))).result()
    assert statuses.count(503) == 12 - at_once and most == at_once


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"rows":' * 5000, b"\xff\xfe", b'{"rows": NaN, "cols": 1e999}']
)
def test_malformed_bodies(service, reader, body):
    response = reader.post(f"/stores/{service.key}/sample", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in {400, 422} and response.headers["content-type"] == JSON


def test_slow_bodies_and_headers_end(service, reader, monkeypatch):
    monkeypatch.setattr(service.server.config.http_protocol_class, "header_seconds", 0.2)
    headers = ["Content-Type: application/json", "Content-Length: 100"]
    answer = raw(service, request(service, f"/stores/{service.key}/sample", "POST", headers), b'{"rows"')
    assert status(answer) == 408
    assert raw(service, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n") == b"", (
        "the connection is closed without an answer"
    )
    assert reader.get("/health").status_code == 200


def test_a_client_that_takes_nothing_is_cut_off(service, monkeypatch):
    monkeypatch.setattr(service.server.config.http_protocol_class, "stall_seconds", 0.2)
    file = service.config.results_folder / "4444444444444444" / "large.npy"
    file.parent.mkdir(parents=True)
    with file.open("wb") as out:
        out.truncate(50_000_000)
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(request(service, "/jobs/4444444444444444/files/large.npy"))
        time.sleep(0.7)
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while block := connection.recv(2**20):
                received += len(block)
    assert received < 50_000_000


def test_a_truncated_body_harms_nobody(service, reader):
    headers = ["Content-Type: application/json", "Content-Length: 100"]
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(request(service, f"/stores/{service.key}/sample", "POST", headers) + b"{")
    assert reader.get("/health").status_code == 200


@pytest.mark.parametrize("end", [b"\r\n\r\n", b""], ids=["complete", "endless"])
def test_large_headers(service, end):
    head = request(service, "/health").removesuffix(b"\r\n\r\n") + b"\r\nX-Filler: " + b"a" * 40_000
    answer = raw(service, head + end)
    assert status(answer) == 431 and JSON.encode() in answer


def test_what_is_no_http_is_refused(service):
    for start in (b"\x16\x03\x01\x02\x00", b"GET /health HTTP/9.9\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"):
        answer = raw(service, start)
        assert status(answer) == 400 and JSON.encode() in answer


def test_headers_after_the_body_are_dropped_and_limited(service, reader):
    head = [b"POST /addresses HTTP/1.1", b"Host: localhost", b"Transfer-Encoding: chunked", b"Connection: close"]
    head = b"\r\n".join([*head, b"Content-Type: application/json", b"", b"2\r\n{}\r\n0\r\n"])
    token = f"Authorization: Bearer {service.tokens['read']}\r\n".encode()
    assert status(raw(service, head + token + b"\r\n")) == 401
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(head.replace(b"Host: localhost\r\n", b"Host: localhost\r\n" + token))
        with pytest.raises(OSError):  # closed or reset
            for _ in range(1000):
                connection.sendall(b"a: " + b"b" * 10_000 + b"\r\n")
    assert reader.get("/health").status_code == 200


def test_many_requests_before_the_first_answer_end_the_connection(service, reader):
    answer = raw(service, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 4000)
    assert answer.count(b"HTTP/1.1 ") < 20
    few = raw(service, request(service, "/health").replace(b"Connection: close\r\n", b"") + request(service, "/health"))
    assert few.count(b"HTTP/1.1 200 ") == 2


def test_surplus_connections_are_told_to_come_again(service, reader):
    assert reader.get("/health").status_code == 200
    limit = service.config.connections
    with contextlib.ExitStack() as stack:
        for _ in range(limit):
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=20))
        answer = raw(service, request(service, "/health"))
        assert status(answer) == 503 and JSON.encode() in answer and b"retry-after: 5" in answer.lower()
        assert reader.get("/health").status_code == 200, "it was open before"
    wait_until(lambda: status(raw(service, request(service, "/health"))) == 200)


def test_security_headers(service, reader):
    for path in ("/health", "/nothing", f"/stores/{service.key}.zarr/zarr.json"):
        headers = reader.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"] and "server" not in headers


def test_names_with_markup_are_data(service, reader):
    response = reader.get(f"/stores/{service.key}.zarr/<script>alert(1)</script>")
    assert response.status_code == 404 and response.headers["content-type"] == JSON
    report = service.config.results_folder / "2222222222222222" / "index.html"
    report.parent.mkdir(parents=True)
    report.write_text("<script>alert(document.cookie)</script>")
    policy = reader.get("/jobs/2222222222222222/files/index.html").headers["content-security-policy"]
    assert "sandbox" in policy and "allow-same-origin" not in policy


def requests_in(caplog):
    return [record for record in caplog.records if record.name == "hsifeat.service.requests"]


def test_no_client_forges_a_line_of_the_log_or_leaves_a_secret_in_it(service, reader, caplog):
    with caplog.at_level(logging.INFO, "hsifeat.service"):
        reader.get("/stores/%0a%7b%22level%22:%22forged%22%7d%1b[31m?token=hsf_secret")
        url = reader.post("/addresses", json={"path": f"/stores/{service.key}.zarr"}).json()["url"]
        reader.get(f"{url}/zarr.json")
        # The line of a request is written after the client has its response.
        wait_until(lambda: len(requests_in(caplog)) == 3)
    lines = [JsonFormatter().format(record) for record in requests_in(caplog)]
    assert not any("\n" in line or "\x1b" in line for line in lines)
    parsed = [json.loads(line) for line in lines]
    assert parsed[0]["path"] == '/stores/\n{"level":"forged"}\x1b[31m' and parsed[0]["status"] == 422
    assert parsed[0]["caller"] == "read"
    text = "".join(lines)
    assert "hsf_" not in text and url.split("/")[4] not in text and "/signed/…" in parsed[2]["path"]


def test_supervisors_and_metrics(service, anyone, reader):
    assert anyone.get("/health").json() == anyone.get("/ready").json() == {"status": "ok"}
    assert [(head := anyone.head(path)).status_code for path in ("/health", "/ready")] == [
        200,
        200,
    ] and not head.content
    text = reader.get("/metrics").text
    assert 'hsifeat_requests_total{method="GET",route="/health",status="200"}' in text
    reader.get("/never-seen-path")
    assert "never-seen-path" not in reader.get("/metrics").text
