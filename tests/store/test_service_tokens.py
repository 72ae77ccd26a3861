"""Tokens for the addresses of services."""

import json

import pytest

from hsifeat.client.transport import ServiceError, Transport
from hsifeat.errors import StoreError
from hsifeat.store.remote_location import WebLocation
from hsifeat.store.service_tokens import find_token, token_advice
from tests.helpers.web_files import RangeHandler, serve_folder


@pytest.fixture
def token_of_environment(tmp_path, monkeypatch):
    """The variable HSIFEAT_TOKEN is set, and there are no other tokens."""
    monkeypatch.setenv("HSIFEAT_TOKEN_FILE", str(tmp_path / "absent.json"))
    monkeypatch.setenv("HSIFEAT_TOKEN", "secret")


def test_a_token_is_sent_to_its_origin_only(tmp_path, monkeypatch):
    file = tmp_path / "tokens.json"
    file.write_text('{"https://gpu.example.org": "mine"}')
    file.chmod(0o600)
    monkeypatch.setenv("HSIFEAT_TOKEN_FILE", str(file))
    monkeypatch.delenv("HSIFEAT_TOKEN", raising=False)
    for url in ("https://gpu.example.org/stores/x.zarr", "https://GPU.example.org:443"):
        assert find_token(url) == "mine"
    for url in (
        "http://gpu.example.org/",
        "https://gpu.example.org:444/",
        "https://gpu.example.org.evil.org/",
        "https://evil.org/?https://gpu.example.org",
    ):
        assert find_token(url) is None
    file.chmod(0o644)
    with pytest.raises(
        StoreError, match=f"has the mode 644, so that other people can read its tokens: chmod 600 {file}"
    ):
        find_token("https://gpu.example.org/")
    file.chmod(0o600)
    file.write_text("[1]")
    with pytest.raises(StoreError, match="tokens.json: expected"):
        find_token("https://gpu.example.org/")
    file.write_bytes(b'{"https://gpu.example.org": "m\xfcnd"}')  # Latin-1
    with pytest.raises(StoreError, match=r"tokens.json is no JSON; expected .*codec can't decode"):
        find_token("https://gpu.example.org/")


@pytest.mark.parametrize(
    ("url", "is_sent"),
    [
        ("https://gpu.example.org/stores/x.zarr", False),
        ("http://127.0.0.1:8765", True),
        ("http://localhost:8765/", True),
        ("http://[::1]:8765", True),
        ("http://gpu.example.org/", False),
        ("http://10.0.0.1:8765/", False),
        ("http://localhost.evil.org/", False),
        ("http://127.0.0.1.evil.org/", False),
        ("http://localhost@evil.org/", False),
        (r"http://evil.org\@localhost/", False),  # browsers and Rust take evil.org for the host
        (r"https://evil.org\@localhost/", False),
    ],
)
def test_without_a_service_the_token_of_the_environment_stays_on_this_machine(token_of_environment, url, is_sent):
    assert find_token(url) == ("secret" if is_sent else None)


@pytest.mark.parametrize(
    ("service", "url", "is_sent"),
    [
        ("https://gpu.example.org", "https://gpu.example.org/stores/x.zarr", True),
        ("https://GPU.example.org:443/", "https://gpu.example.org/stores/x.zarr", True),
        ("https://gpu.example.org/hsifeat", "https://gpu.example.org:443", True),
        ("https://gpu.example.org", "https://other.example.org/stores/x.zarr", False),
        ("https://gpu.example.org", "https://gpu.example.org:8443/", False),
        ("https://gpu.example.org", "http://gpu.example.org/", False),
        ("https://gpu.example.org", "http://localhost:8765/", False),  # another user of this machine may listen there
        ("http://localhost:8765", "http://localhost:8766/", False),
        ("http://[::1]:8765", "http://[::1]:8765/stores/x.zarr", True),
        ("http://gpu.example.org", "http://gpu.example.org/", False),  # everybody on the network could read it
        ("https://gpu.example.org", r"https://gpu.example.org\@evil.org/", False),
        ("https://gpu.example.org", "https://gpu.example.org@evil.org/", False),
    ],
)
def test_the_token_of_the_environment_is_sent_to_its_service_only(
    token_of_environment, monkeypatch, service, url, is_sent
):
    monkeypatch.setenv("HSIFEAT_SERVICE", service)
    assert find_token(url) == ("secret" if is_sent else None)


def test_advice_names_the_variable_that_is_missing(token_of_environment, monkeypatch):
    assert token_advice("http://localhost:1/").startswith(
        "set HSIFEAT_TOKEN, or write the token for http://localhost:1 to "
    )
    assert token_advice("https://a.org/x").startswith("set HSIFEAT_SERVICE=https://a.org and HSIFEAT_TOKEN, or write ")
    assert "HSIFEAT_TOKEN is not sent over plain http" in token_advice("http://a.org/x")
    monkeypatch.setenv("HSIFEAT_SERVICE", "https://a.org")
    assert token_advice("https://a.org/x").startswith("set HSIFEAT_TOKEN, or ")
    monkeypatch.setenv("HSIFEAT_SERVICE", "gpu.example.org")
    with pytest.raises(StoreError, match="HSIFEAT_SERVICE is 'gpu.example.org'; expected the address of the service"):
        find_token("https://gpu.example.org/")


def test_the_file_may_name_an_address_over_plain_http(tmp_path, monkeypatch):
    file = tmp_path / "tokens.json"
    file.touch(0o600)
    file.write_text('{"http://gpu.example.org:8765": "mine"}')
    monkeypatch.setenv("HSIFEAT_TOKEN_FILE", str(file))
    monkeypatch.setenv("HSIFEAT_TOKEN", "from the environment")
    assert find_token("http://gpu.example.org:8765/stores/x.zarr") == "mine"
    assert find_token("http://gpu.example.org/stores/x.zarr") is None


@pytest.mark.parametrize("token", ["…", "“hsf_abc”", "TÖKEN", "hsf abc", "hsf_abc\nhsf_def"])
def test_a_token_that_can_not_be_sent_is_refused_without_being_shown(tmp_path, monkeypatch, token):
    """httpx raised a UnicodeEncodeError, or an error that showed the token."""
    url, file = "https://gpu.example.org", tmp_path / "tokens.json"
    monkeypatch.setenv("HSIFEAT_TOKEN_FILE", str(file))
    monkeypatch.setenv("HSIFEAT_SERVICE", url)
    monkeypatch.setenv("HSIFEAT_TOKEN", token)
    with pytest.raises(StoreError, match="^HSIFEAT_TOKEN is no token") as found:
        find_token(url)
    assert token not in str(found.value)
    file.write_text(json.dumps({url: token}))
    file.chmod(0o600)
    with pytest.raises(StoreError, match=f"^the text for {url} in .* is no token"):
        find_token(url)
    with pytest.raises(StoreError, match="^the token of the connection is no token"):
        Transport(url, token)


def test_line_ends_around_a_token_are_left_out(tmp_path, monkeypatch):
    """A token that was read from a file ends with one."""
    monkeypatch.setenv("HSIFEAT_TOKEN_FILE", str(tmp_path / "none.json"))
    monkeypatch.setenv("HSIFEAT_TOKEN", " hsf_abc\r\n")
    assert find_token("http://localhost:8765") == "hsf_abc"


@pytest.mark.usefixtures("token_of_environment")
def test_a_token_of_one_connection_is_not_known_to_other_processes():
    """A benchmark failed after its first fits, when it opened the store by its address to draw the map."""
    url = "http://localhost:8765/stores/x.zarr"
    WebLocation(url).check_address()
    WebLocation(url, "secret").check_address()
    with pytest.raises(StoreError, match="known to this object only: set HSIFEAT_TOKEN"):
        WebLocation(url, "another").check_address()


def test_no_token_follows_a_redirect_to_another_address(tmp_path, monkeypatch):
    monkeypatch.setenv("HSIFEAT_TOKEN", "secret")
    (tmp_path / "x").write_bytes(b"content")
    received, targets = [], []

    class Keeper(RangeHandler):
        def parse_request(self):
            parsed = super().parse_request()
            received.append((self.server.server_address[1], self.headers.get("Authorization")))
            return parsed

    class Redirecter(Keeper):
        def parse_request(self):
            super().parse_request()
            self.send_response(307)
            self.send_header("Location", targets[0] + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False

    with serve_folder(tmp_path, Keeper) as target, serve_folder(tmp_path, Redirecter) as first:
        targets.append(target)
        assert WebLocation(first).get("x") == b"content"
        with pytest.raises(ServiceError, match=f"{first} redirects to {target}/jobs: name the address of the service"):
            Transport(first).json("GET", "/jobs")
    sent = {port for port, token in received if token == "Bearer secret"}
    assert sent == {int(first.rpartition(":")[2])} and {port for port, _ in received} > sent


@pytest.mark.parametrize(
    "url",
    [
        "gpu.example.org",
        "ftp://gpu.example.org",
        "http://",
        "http://[",
        "http://localhost:PORT",
        "http://localhost:8765 ",
        "http://localhost:8765\n",
        "http://localhost:99999",
        "http://gpu.example.org ",
        "http://h/a b",
        "http://h\\x",
        "http://h?",
        "http://gpu..example.org",
        "http://xn--a.org",
        "http://a?b",
        5,
    ],
)
def test_an_invalid_address_is_refused(url):
    with pytest.raises(ServiceError, match="is no address of a service"):
        Transport(url)
