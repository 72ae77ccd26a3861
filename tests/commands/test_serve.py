"""`hsifeat serve` and `hsifeat serve token`."""

import json
import re
import shutil
import signal

import httpx
import numpy as np
import pytest

import hsifeat
from hsifeat.errors import HsifeatError
from hsifeat.service.config import ServiceConfig
from tests.helpers.forked_commands import ForkedCommand
from tests.helpers.job_runners import fork_runners_and_workers, wait_until, write_scene


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


def test_a_service_with_dask_workers_runs_until_it_is_interrupted(store_path, tmp_path):
    shutil.copytree(store_path, tmp_path / "stores/small.zarr")
    write_scene(tmp_path / "scenes")
    folders = ("--cache", tmp_path / "stores", "--state", tmp_path / "state", "--scenes", tmp_path / "scenes")
    command = ForkedCommand("serve", *folders, "--port", 0, "--dask", "local:2", patch=fork_runners_and_workers)
    output = command._output / "stdout"
    wait_until(lambda: command.poll() is not None or "serving at" in output.read_text())
    assert command.poll() is None, command.wait().stderr
    address = output.read_text().split()[-1]
    base, _, token = address.partition("/login?token=")
    with httpx.Client(follow_redirects=True, timeout=30) as http:
        assert "small" in http.get(address).text
        assert http.get(f"{base}/stores").json()["total"] == 1
    service = hsifeat.connect(base, token)
    job = service.extract("small.npy", reading={"axes": "rows,cols,bands"}, backbone="context", layers=["mean-5"])
    store = service.open(job.wait().result["store"])
    alone = hsifeat.extract(
        hsifeat.open_scene(tmp_path / "scenes/small.npy", axes="rows,cols,bands"),
        backbone="context", layers=["mean-5"], out=tmp_path / "alone.zarr",
    )  # fmt: skip
    rows, cols = np.indices((75, 53)).reshape(2, -1)
    np.testing.assert_array_equal(store.sample(rows, cols), hsifeat.open_features(alone).sample(rows, cols))
    command.signal(signal.SIGINT)
    ended = command.wait()
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["path"] for line in lines if line["message"] == "request"][:3] == ["/login", "/", "/stores"]
    assert "hsf_" not in ended.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "0.0.0.0"}, "name the hosts by which clients call the service"),  # noqa: S104
        ({"certificate": "c.pem"}, "--certificate and --private-key belong together"),
        ({"certificate": "c.pem", "private_key": "k.pem"}, "no such file: c.pem"),
        ({"cache": "nowhere"}, "no such folder: nowhere"),
        ({"scenes": "nowhere,else"}, "no such folder: nowhere"),
        ({"trusted_proxies": ["127.0.0.1", "proxy"]}, "--trusted-proxies: expected IP addresses .* found 'proxy'"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "found '10.0.0.1/8'"),
        ({"root_path": "x?y"}, "--root-path: expected a path such as /hsifeat"),
    ],
)
def test_options_that_do_not_fit(options, message):
    options = {**options, "scenes": options["scenes"].split(",")} if "scenes" in options else options
    with pytest.raises(HsifeatError, match=message):
        ServiceConfig.from_options(options).check()


def test_a_service_does_not_start_with_tokens_that_it_would_refuse(cli, tmp_path):
    file = tmp_path / "tokens.json"
    cli("serve", "token", "add", "ann", "--tokens", file)
    for change, message in (
        (lambda: file.chmod(0o664), f"{file} can be changed by other users: chmod 600 {file}"),
        (lambda: (file.write_text("{"), file.chmod(0o600)), f"{file} is no file of tokens"),
        (lambda: (file.unlink(), file.mkdir(0o700)), f"{file} can't be used: Is a directory"),
    ):
        change()
        with pytest.raises(HsifeatError, match=re.escape(message)):
            ServiceConfig.from_options({"tokens": str(file)}).check()


def test_a_port_in_use_is_named(cli, tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        error = cli("serve", "--cache", tmp_path, "--port", port, status=1)
    assert f"127.0.0.1:{port} can't be used" in error and "choose another --port" in error


def test_an_invalid_host_is_named(cli):
    assert "--host gpu..example: " in cli("serve", "--host", "gpu..example", "--hosts", "x", status=1)
