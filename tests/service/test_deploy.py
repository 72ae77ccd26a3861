"""The files in `deploy/`: the unit by systemd, the site by nginx in front of the command of the unit, and all commands."""

import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import typer
import yaml

import hsifeat
from hsifeat.commands.app import app
from hsifeat.service.config import ServiceConfig
from hsifeat.service.tokens import TokenFile
from tests.helpers.forked_commands import ForkedCommand
from tests.helpers.job_runners import wait_until
from tests.helpers.services import running

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
HOST = "gpu.example.org"


def needs(program):
    """Skip a test where a program is missing, or let it fail if HSIFEAT_REQUIRE names the program."""
    missing = shutil.which(program) is None
    return pytest.mark.skipif(
        missing and program not in os.environ.get("HSIFEAT_REQUIRE", "").split(","),
        reason=f"{program} is not installed",
    )


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    kind = "basicConstraints=critical,CA:FALSE"
    names = f"subjectAltName=DNS:{HOST},IP:127.0.0.1"
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={HOST} -addext {names} -addext {kind}"
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def unit_command():
    """Return the words of ExecStart in the unit."""
    text = (DEPLOY / "hsifeat.service").read_text().replace("\\\n", " ")
    return shlex.split(re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)[1])


@needs("systemd-analyze")
def test_systemd_accepts_the_unit_and_its_exposure_is_low(tmp_path):
    unit = tmp_path / "hsifeat.service"
    program = Path(sys.executable).with_name("hsifeat")
    unit.write_text((DEPLOY / "hsifeat.service").read_text().replace(unit_command()[0], str(program)))
    for options in (["verify"], ["security", "--offline=yes", "--threshold=20"]):
        run = subprocess.run(["systemd-analyze", *options, unit], capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr


def test_the_commands_of_the_containers_exist():
    serve = typer.main.get_command(app).commands["serve"]
    options = {option for parameter in serve.params for option in parameter.opts}
    compose = (DEPLOY / "compose.yaml").read_text()
    given = set(re.findall(r"^ +- (--[a-z-]+)=", compose, re.MULTILINE))
    assert {"--hosts", "--dask", "--trusted-proxies"} <= given <= options
    services = yaml.safe_load(compose)["services"]
    volumes = {
        name: dict(mount.split(":")[:2] for mount in parts.get("volumes", [])) for name, parts in services.items()
    }
    assert volumes["scheduler"] == {} and volumes["worker"] == {"stores": "/var/lib/hsifeat/stores"}
    assert volumes["service"] == {"data": "/var/lib/hsifeat", **volumes["worker"], "/srv/scenes": "/srv/scenes"}
    copied = re.findall(r"^COPY (?!--from)(.*) /src\S*$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    assert copied and all((ROOT / name).exists() for line in copied for name in line.split())


@needs("caddy")
def test_caddy_accepts_the_site():
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile"]
    assert subprocess.run(command, capture_output=True).returncode == 0


@needs("nginx")
def test_nginx_in_front_of_the_command_of_the_unit(store_path, certificate, tmp_path):
    shutil.copytree(store_path, tmp_path / "stores/small.zarr")
    (tmp_path / "scenes").mkdir()
    token = TokenFile(tmp_path / "tokens.json").add("ann", "write", days=1)
    words = [word.replace("/var/lib/hsifeat", str(tmp_path)).replace("/srv", str(tmp_path)) for word in unit_command()]
    service = ForkedCommand(*words[1:], "--port", 0)
    output = service._output / "stdout"
    line = wait_until(lambda: service.poll() is not None or ("serving at" in output.read_text() and output.read_text()))
    assert line is not True, service.wait().stderr
    direct = f"http://127.0.0.1:{re.search(r':([0-9]+)/hsi/', line)[1]}"
    with nginx(tmp_path, certificate, direct) as address:

        def curl(path, *options):
            headers = ["-H", f"Authorization: Bearer {token}", "-H", "X-Forwarded-For: 6.6.6.6"]
            # Another address of this machine than that of the proxy.
            ways = [
                "--resolve",
                f"{HOST}:{address[1]}:127.0.0.1",
                "--interface",
                "127.0.0.3",
                "--cacert",
                certificate[0],
            ]
            url = f"https://{HOST}:{address[1]}/hsi{path}"
            return subprocess.run(
                ["curl", "-sS", *headers, *ways, *options, url], check=True, capture_output=True
            ).stdout

        key = json.loads(curl("/stores"))["stores"][0]["key"]
        shard = "planes/t0300/up_blocks.2/c/0/0/0"
        content = (store_path / shard).read_bytes()
        assert curl(f"/stores/{key}.zarr/{shard}", "-r", "-68") == content[-68:]
        wanted = json.dumps({"path": f"/stores/{key}.zarr"})
        signed = json.loads(curl("/addresses", "--json", wanted))["url"]
        assert signed.startswith(f"https://{HOST}/hsi/signed/")
        assert curl(f"{signed.partition('/hsi')[2]}/{shard}") == content
        with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2"), base_url=direct) as other:
            forged = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "Host": HOST}
            page = other.get("/hsi/", headers=forged)
        assert page.status_code in {200, 303, 401} and "secure" not in page.headers.get("set-cookie", "").lower()
    service.signal(15)
    ended = service.wait()
    assert ended.returncode == -15, ended.stderr  # systemd takes this for a normal end
    clients = [json.loads(line)["client"] for line in ended.stderr.splitlines()]
    assert clients == ["127.0.0.3"] * 4 + ["127.0.0.2"]


class nginx:  # noqa: N801  # used as a function
    """Run nginx with the site of `deploy/` in front of a service, for a ``with`` block."""

    def __init__(self, folder, certificate, service):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = free.getsockname()
        site = (DEPLOY / "nginx.conf").read_text()
        for old, new in {
            "listen 443": f"listen 127.0.0.1:{self.address[1]}",
            f"/etc/ssl/{HOST}.pem": str(certificate[0]),
            f"/etc/ssl/{HOST}.key": str(certificate[1]),
            "http://127.0.0.1:8765": service,
        }.items():
            assert old in site
            site = site.replace(old, new)
        temporary = " ".join(
            f"{name}_temp_path {folder}/{name};" for name in ("proxy", "client_body", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"pid {folder}/nginx.pid; daemon off; events {{}}\nhttp {{ access_log off; {temporary}\n{site} }}\n"
        )
        self.command = ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"]

    def __enter__(self):
        test = subprocess.run([*self.command, "-t"], capture_output=True, text=True)
        assert test.returncode == 0, test.stderr
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True)

        def connects():
            with socket.socket() as client:
                return client.connect_ex(self.address) == 0

        wait_until(connects, 20)
        return self.address

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate(timeout=20)


def test_tls_by_certificate_files(store_path, certificate, tmp_path, monkeypatch):
    shutil.copytree(store_path, tmp_path / "stores/small.zarr")
    token = TokenFile(tmp_path / "tokens.json").add("ann", "read", days=1)
    config = ServiceConfig.from_options({
        "cache": str(tmp_path / "stores"), "state": str(tmp_path / "state"), "tokens": str(tmp_path / "tokens.json"),
        "port": 0, "certificate": str(certificate[0]), "private_key": str(certificate[1]),
    })  # fmt: skip
    with running(config) as service:
        context = ssl.create_default_context(cafile=certificate[0])
        health = httpx.get(f"{service.url}/health", verify=context)
        assert health.json() == {"status": "ok"} and "max-age" in health.headers["strict-transport-security"]
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{service.url}/health")
        old = ssl.create_default_context(cafile=certificate[0])
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{service.url}/health", verify=old)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        client = hsifeat.connect(service.url, token)
        (store,) = client.stores()
        assert client.open(store["key"]).shape == (75, 53, 12)
