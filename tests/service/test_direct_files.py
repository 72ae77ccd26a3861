"""Stored files by the short way, against the whole way through FastAPI, and what both ways log."""

import logging

import pytest

from hsifeat.service.direct_files import DirectFiles
from tests.helpers.job_runners import wait_until
from tests.service.test_guards import ESCAPES, raw, request, requests_in

SHARD = "planes/t0300/up_blocks.2/c/0/0/0"
# Request targets, with {signed} for the path of a signed address, and further headers.
SHORT = {
    "shard": ("{store}/" + SHARD, ()),
    "metadata": ("{store}/zarr.json", ()),
    "range": ("{store}/" + SHARD, ("Range: bytes=10-99",)),
    "suffix": ("{store}/" + SHARD, ("Range: bytes=-68",)),
    "other unit": ("{store}/" + SHARD, ("Range: lines=1-2",)),
    "known": ("{store}/" + SHARD, ("If-None-Match: *",)),
    "older version": ("{store}/" + SHARD, ("Range: bytes=0-3", 'If-Range: "other"')),
    "consolidated": ("/stores/{key}.consolidated.zarr/" + SHARD, ()),
    "signed": ("{signed}/" + SHARD, ()),
}
LONG = {
    "outside the file": ("{store}/" + SHARD, ("Range: bytes=99999999-",)),
    "two ranges": ("{store}/" + SHARD, ("Range: bytes=0-0,2-3",)),
    "another host": ("{store}/" + SHARD, ("Host: evil.example",)),
    "large headers": ("{store}/" + SHARD, ("X-Filler: " + "a" * 32_700,)),
    "large body": ("{store}/" + SHARD, ("Content-Length: 99999999",)),
    "false signature": ("{false}/" + SHARD, ()),
    "signed twice": ("{signed}{signed}/" + SHARD, ()),
    "temporary file": ("{store}/planes/t0300/up_blocks.2/c/0/0/0.partial", ()),
    "missing": ("{store}/planes/t0301/zarr.json", ()),
    "folder": ("{store}/planes", ()),
    "new line": ("{store}/zarr.json%0a", ()),
    "group": ("/stores/{key}.consolidated.zarr/zarr.json", ()),
    "few digits": ("/stores/{digits}.zarr/" + SHARD, ()),
    "other store": ("/stores/" + "0" * 64 + ".zarr/" + SHARD, ()),
    **{escape: ("{store}/" + escape, ()) for escape in ESCAPES},
}


@pytest.fixture
def answers(service, reader, monkeypatch):
    """Return a function that sends a request through both ways.

    The function returns both answers, and whether the short way has answered.
    """
    path = f"/stores/{service.key}.zarr"
    signed = reader.post("/addresses", json={"path": path}).json()["url"].removeprefix(service.url)
    names = {
        "store": path,
        "signed": signed,
        "key": service.key,
        "digits": service.key[:8],
        "false": signed.replace("-", "-0", 1),
    }
    assert reader.get(f"{path}/{SHARD}").status_code == 200  # its record is read once
    short_way = DirectFiles._response
    responses = []
    monkeypatch.setattr(
        DirectFiles, "_response", lambda self, scope: responses.append(short_way(self, scope)) or responses[-1]
    )

    def ask(target, method="GET", headers=()):
        message = request(service, target.format(**names), method, headers)
        responses.clear()
        short = parts(raw(service, message))
        with monkeypatch.context() as patch:
            patch.setattr(DirectFiles, "_response", lambda *_: None)
            return short, parts(raw(service, message)), responses[0] is not None

    return ask


def parts(answer):
    """Return the status line, the headers except the date and the request id, and the body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.lower().split(b"\r\n")
    return status, sorted(h for h in headers if not h.startswith((b"date:", b"x-request-id:"))), body


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("target", "headers"), SHORT.values(), ids=SHORT)
def test_the_short_way_answers_like_the_whole_way(answers, target, headers, method):
    short, whole, was_short = answers(target, method, headers)
    assert short == whole and was_short
    assert short[0].split()[1] in {b"200", b"206", b"304"}


@pytest.mark.parametrize(("target", "headers"), LONG.values(), ids=LONG)
def test_the_short_way_leaves_all_else_to_the_whole_way(answers, target, headers):
    short, whole, was_short = answers(target, "GET", headers)
    assert short == whole and not was_short


def test_the_short_way_knows_tokens(service, answers):
    for token in ("hsf_wrong", ""):
        kept, service.tokens["read"] = service.tokens["read"], token
        try:
            short, whole, was_short = answers("{store}/" + SHARD)
            assert short == whole and not was_short and b" 401 " in short[0]
        finally:
            service.tokens["read"] = kept


def parts_in(caplog):
    """Return the fields of the logged requests for a range."""
    return [record.fields for record in requests_in(caplog) if record.fields["status"] == 206]


@pytest.mark.parametrize("target", ["{store}/" + SHARD, "{signed}/" + SHARD])
def test_the_short_way_is_logged_and_counted(service, answers, reader, caplog, target):
    with caplog.at_level(logging.INFO, "hsifeat.service"):
        answers(target, headers=["Range: bytes=0-9"])
        wait_until(lambda: len(parts_in(caplog)) == 2)
    short, whole = parts_in(caplog)
    own = {"request", "ms"}
    assert {name: short[name] for name in short.keys() - own} == {name: whole[name] for name in whole.keys() - own}
    assert short["caller"] == "read" and short["bytes"] == 10
    assert 'route="/stores/{key}.zarr/{path:path}",status="206"' in reader.get("/metrics").text


def test_a_failure_has_the_headers_and_the_log_line_of_every_response(service, reader, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(service.app.state.service.summaries, "search", fail)
    with caplog.at_level(logging.INFO, "hsifeat.service"):
        response = reader.get("/stores")
    assert response.status_code == 500 and response.headers["x-content-type-options"] == "nosniff"
    wait_until(
        lambda: (
            (response.headers["x-request-id"], 500)
            in {(record.fields["request"], record.fields["status"]) for record in requests_in(caplog)}
        )
    )
