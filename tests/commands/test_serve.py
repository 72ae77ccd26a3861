"""`hsifeat serve` and `hsifeat serve token`."""

import json
import signal
import time

import httpx
import pytest

from hsifeat.errors import HsifeatError
from hsifeat.service.config import ServiceConfig
from tests.helpers.forked_commands import ForkedCommand


def test_tokens_are_added_listed_and_revoked(cli, tmp_path):
    file = tmp_path / "tokens.json"
    token = cli("serve", "token", "add", "ada", "--tokens", file, "--right", "write", "--days", 3).strip()
    assert token.startswith("hsf_") and token not in file.read_text()
    (row,) = json.loads(cli("serve", "token", "ls", "--tokens", file, "--json"))
    assert (row["name"], row["right"], row["state"]) == ("ada", "write", "valid")
    assert "no right 'root'; allowed: read, write, admin" in cli(
        "serve", "token", "add", "eve", "--tokens", file, "--right", "root", status=1
    )
    assert "ada, write" in cli("serve", "token", "revoke", row["id"], "--tokens", file)
    assert json.loads(cli("serve", "token", "ls", "--tokens", file, "--json")) == []
    assert "no token 'ada'" in cli("serve", "token", "revoke", "ada", "--tokens", file, status=1)


def test_a_service_runs_until_it_is_interrupted(store_path):
    command = ForkedCommand("serve", "--cache", store_path.parent, "--port", 0)
    output = command._output / "stdout"
    while not output.is_file() or "serving at" not in output.read_text():
        assert command.poll() is None, command.wait().stderr
        time.sleep(0.05)
    address = output.read_text().split()[-1]
    with httpx.Client(follow_redirects=True, timeout=30) as http:
        assert "small" in http.get(address).text
        base = address.partition("/login")[0]
        assert http.get(f"{base}/stores").json()["total"] == 1
    command.signal(signal.SIGINT)
    ended = command.wait()
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["path"] for line in lines if line["message"] == "request"] == ["/login", "/", "/stores"]
    assert "hsf_" not in ended.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "0.0.0.0"}, "name the hosts by which clients call the service"),  # noqa: S104
        ({"certificate": "c.pem"}, "--certificate and --private-key belong together"),
        ({"certificate": "c.pem", "private_key": "k.pem"}, "no such file: c.pem"),
        ({"cache": "nowhere"}, "no such folder: nowhere"),
        ({"scenes": "nowhere,else"}, "no such folder: nowhere"),
        ({"root_path": "x?y"}, "--root-path: expected a path such as /hsifeat"),
    ],
)
def test_options_that_do_not_fit(options, message):
    options = {**options, "scenes": options["scenes"].split(",")} if "scenes" in options else options
    with pytest.raises(HsifeatError, match=message):
        ServiceConfig.from_options(options).check()


def test_a_port_in_use_is_named(cli, tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        error = cli("serve", "--cache", tmp_path, "--port", port, status=1)
    assert f"127.0.0.1:{port} can't be used" in error and "choose another --port" in error
