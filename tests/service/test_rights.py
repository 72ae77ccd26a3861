"""Who may read and write: tokens, cookies and signed addresses, right, wrong, expired and revoked."""

import json
import os
import re
from pathlib import Path

import pytest

from hsifeat import open_features
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.service.tokens import SingleToken, TokenEntry, TokenFile, digest_of_token
from tests.service.conftest import client

PROTECTED = [
    "/stores",
    "/metrics",
    f"/jobs/{'0' * 16}/files/map.tif",
    f"/stores/{'0' * 64}",
    f"/stores/{'0' * 64}.zarr/zarr.json",
]


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize("token", [None, "", "hsf_wrong", "a" * 5000, "ü"])
def test_without_a_valid_token_nothing_is_told(service, anyone, path, token):
    headers = {} if token is None else {"Authorization": f"Bearer {token}".strip().encode()}
    response = anyone.get(path, headers=headers)
    assert response.status_code == 401 and response.headers["www-authenticate"].startswith("Bearer")
    assert response.headers["content-type"] == "application/problem+json"


def test_every_route_but_those_for_supervisors_needs_a_token(service, anyone):
    """A route that forgets its right is found here."""
    free = {"/health", "/ready"}
    for path, methods in service.app.openapi()["paths"].items():
        for method in methods:
            url = re.sub(r"{\w+}", "0" * 64, path)
            status = anyone.request(method, url, json={}).status_code
            assert (status == 200) if path in free else status == 401, (method, path)


def test_expired_and_revoked_tokens(service, anyone):
    file = service.token_file
    token = file.add("gone", "read", days=1)
    headers = {"Authorization": f"Bearer {token}"}
    assert anyone.get("/stores", headers=headers).status_code == 200
    content = json.loads(file.path.read_text())
    content["tokens"][-1]["expires"] = 1.0
    file.path.write_text(json.dumps(content))
    assert anyone.get("/stores", headers=headers).status_code == 401, "it has expired"
    file.revoke("gone")
    token = file.add("gone", "read", days=None)
    headers = {"Authorization": f"Bearer {token}"}
    address = anyone.post("/addresses", json={"path": f"/stores/{service.key}.zarr"}, headers=headers).json()["url"]
    assert anyone.get(f"{address}/zarr.json").status_code == 200
    file.revoke("gone")
    assert anyone.get("/stores", headers=headers).status_code == 401, "it was revoked"
    assert anyone.get(f"{address}/zarr.json").status_code == 403, "so are its addresses"


def test_a_cookie_reads_but_other_sites_cannot_write_with_it(service, anyone):
    response = anyone.get("/login", params={"token": service.tokens["read"], "next": "/stores"})
    assert response.status_code == 303 and response.headers["location"] == "/stores"
    cookie = response.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert anyone.get("/stores").status_code == 200
    body = {"rows": [1], "cols": [1]}
    url = f"/stores/{service.key}/sample"
    assert anyone.post(url, json=body, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 401
    assert anyone.post(url, json=body, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_a_login_leads_nowhere_else(service, anyone, target):
    response = anyone.get("/login", params={"token": service.tokens["read"], "next": target})
    assert response.headers["location"] == "/"
    assert anyone.get("/login", params={"token": "wrong"}).status_code == 401


def test_a_signed_address_gives_the_right_to_read_one_store_only(service, anyone, reader):
    path = f"/stores/{service.key}.zarr"
    url = reader.post("/addresses", json={"path": path, "seconds": 60}).json()["url"]
    grant = url.removeprefix(service.url).removesuffix(path)
    assert anyone.get(f"{url}/zarr.json").status_code == 200
    assert anyone.head(f"{url}/zarr.json").status_code == 200
    assert anyone.post(f"{url}/zarr.json").status_code == 403
    for other in (
        "/stores",
        f"/stores/{'0' * 64}.zarr/zarr.json",
        "/metrics",
        f"/jobs/{'0' * 16}/files/map.tif",
        "/addresses",
    ):
        assert anyone.get(f"{grant}{other}").status_code == 403, other
    longer = re.sub(r"/signed/\d+", "/signed/99999999999", grant)
    assert anyone.get(f"{longer}{path}/zarr.json").status_code == 403
    assert anyone.get(f"/signed/1-{'0' * 12}-{'0' * 64}{path}/zarr.json").status_code == 403


def test_messages_of_refused_stores_say_what_to_do(service, reader, monkeypatch):
    url = f"{service.url}/stores/{service.key}.zarr"
    with pytest.raises(
        StoreError, match=r"wants a valid token \(status 401\): set HSIFEAT_TOKEN, or write the token for"
    ):
        open_features(url)
    signed = reader.post("/addresses", json={"path": f"/stores/{service.key}.zarr", "seconds": 60}).json()["url"]
    with pytest.raises(StoreError, match=r"does not give the right to read it \(status 403\): ask the people"):
        open_features(signed.replace(service.key, "0" * 64))
    monkeypatch.setenv("HSIFEAT_TOKEN", service.tokens["read"])
    with pytest.raises(StoreError, match=f"no store at .*: hsifeat cache ls --service {service.url} lists the stores"):
        open_features(url.replace(service.key, "0" * 64))


def test_an_address_ends(service, reader, anyone, monkeypatch):
    url = reader.post("/addresses", json={"path": f"/stores/{service.key}.zarr", "seconds": 60}).json()
    monkeypatch.setattr("hsifeat.service.addresses.time.time", lambda: url["expires"])
    assert anyone.get(f"{url['url']}/zarr.json").status_code == 403


@pytest.mark.parametrize("path", ["/", "/stores", f"/stores/{'0' * 8}.zarr", "/jobs/../stores", "/metrics/"])
def test_what_no_address_is_signed_for(reader, path):
    assert reader.post("/addresses", json={"path": path}).status_code == 422


def test_writing_needs_its_right_and_is_recorded(service):
    from fastapi import APIRouter

    from hsifeat.service.rights import Author

    router = APIRouter()

    @router.post("/written-by-a-test", include_in_schema=False)
    async def write(caller: Author) -> str:
        return caller.name

    service.app.include_router(router)
    log = service.config.state_folder / "audit.jsonl"
    for right, status in {None: 401, "read": 403, "write": 200, "admin": 200}.items():
        with client(service, right) as http:
            assert http.post("/written-by-a-test").status_code == status
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines = [line for line in lines if line["path"] == "/written-by-a-test"]
    assert [(line["caller"], line["allowed"]) for line in lines] == [
        ("read", False), ("write", True), ("admin", True)
    ]  # fmt: skip
    assert log.stat().st_mode & 0o077 == 0
    assert not any(token in log.read_text() for token in service.tokens.values())


def test_without_the_audit_log_nothing_is_changed(service, caplog):
    log = service.config.state_folder / "audit.jsonl"
    log.unlink(missing_ok=True)
    log.mkdir()
    try:
        with client(service, "admin") as http:
            answer = http.post("/pages/tokens", data={"name": "grace", "right": "read"})
    finally:
        log.rmdir()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert f"no request can be recorded in the audit log: {log} can't be used: Is a directory" in caplog.text
    assert "grace" not in service.token_file.path.read_text()


def test_other_people_can_never_change_the_token_file(tmp_path, monkeypatch):
    file, modes = TokenFile(tmp_path / "tokens.json"), []
    replace = Path.replace

    def watched_replace(part, target):
        modes.append(part.stat().st_mode & 0o777)
        return replace(part, target)

    monkeypatch.setattr(Path, "replace", watched_replace)
    before = os.umask(0o002)
    try:
        file.add("ada", "read", days=None)
    finally:
        os.umask(before)
    assert modes == [0o600]


def test_the_token_file_keeps_no_token(tmp_path):
    file = TokenFile(tmp_path / "tokens.json")
    token = file.add("ada", "write", days=3)
    assert token not in file.path.read_text() and digest_of_token(token) in file.path.read_text()
    assert file.path.stat().st_mode & 0o077 == 0
    assert TokenFile(file.path).caller_of_token(token).name == "ada"
    assert TokenFile(file.path).caller_of_token(token[:-1]) is None
    file.path.chmod(0o666)
    with pytest.raises(HsifeatError, match="can be changed by other users: chmod 600"):
        TokenFile(file.path).entries()
    file.path.write_text("{}x")
    file.path.chmod(0o600)
    with pytest.raises(HsifeatError, match="is no file of tokens"):
        TokenFile(file.path).caller_of_token(token)


def test_a_link_to_a_token_file_changes_the_file(tmp_path):
    (tmp_path / "etc").mkdir()
    link, path = tmp_path / "tokens.json", tmp_path / "etc" / "tokens.json"
    link.symlink_to("etc/tokens.json")
    token = TokenFile(link).add("ada", "read", days=None)
    assert TokenFile(path).caller_of_token(token) is not None
    TokenFile(link).revoke("ada")
    assert TokenFile(path).caller_of_token(token) is None
    assert link.is_symlink() and not path.is_symlink()


def test_names_and_identifiers_of_tokens(tmp_path):
    file = TokenFile(tmp_path / "tokens.json")
    for name in ("", "a\nb", "<b>", "x" * 65):
        with pytest.raises(HsifeatError, match="a name has at most 64"):
            file.add(name, "read", days=None)
    file.add("ada", "read", days=None)
    with pytest.raises(HsifeatError, match="no token 'bob'.*allowed: ada"):
        file.revoke("bob")
    assert [entry.name for entry in file.revoke(file.entries()[0].id)] == ["ada"]
    assert file.entries() == ()


def test_the_token_of_one_run():
    source = SingleToken()
    assert source.caller_of_token(source.token).right == "admin"
    assert source.caller_of_token("") is None and SingleToken().caller_of_token(source.token) is None
    assert TokenEntry(name="a", right="read", sha256="0" * 64, created=0, expires=1).is_valid is False


def test_no_body_is_read_without_a_caller(service):
    import socket

    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(b"POST /addresses HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


def test_a_damaged_token_file_lets_nobody_in(service, reader, anyone, caplog):
    content = service.token_file.path.read_text()
    try:
        service.token_file.path.write_text("{")
        assert reader.get("/stores").status_code == 503
        caplog.clear()
        assert anyone.get("/ready").status_code == 503 and anyone.get("/health").status_code == 200
        assert f"the service is not ready: {service.token_file.path} is no file of tokens" in caplog.text
    finally:
        service.token_file.path.write_text(content)
    assert reader.get("/stores").status_code == 200
