"""Measure the HTTP service: many simultaneous readers, latency of samples, memory, equal requests, and the transfer rate of shards.

The transfer rate of the service is compared with that of nginx. The clients share the machine with the service, so the
numbers are lower bounds. Shards are read by curl, because a client in Python would slow down nginx more than the service.
The shards come from two stores: planes of `context`, whose shards are small, and planes of `natural32`.

    python benchmarks/serve.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
import psutil
from scoring import RESULTS, about_run
from service_process import ServiceProcess, wait_until

# A sample has 500 pixels of one field, a square of 64 pixels, from two planes.
READERS, PIXELS, FIELD_PX, PLANES = 200, 500, 64, 2
EQUAL_REQUESTS = 50
TRANSFER_CLIENTS, TRANSFERS = 16, 20_000
SIDE_PX, QUICK_SIDE_PX, SMALL_SIDE_PX, BANDS = 512, 128, 64, 32
HOST = "127.0.0.1"


class HttpError(RuntimeError):
    """Error for a failed request or a service that does not start."""


class Connection:
    """HTTP/1.1 connection that stays open for many requests. It costs little time in the client."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, method: str, path: str, body: bytes = b"") -> int:
        """Send a request, read the response, and return the number of bytes in the body of the response."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self._port, limit=2**22)
        reader, writer = self._streams
        head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {self._token}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}\r\n".encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        if lines[0].split()[1] not in {"200", "206"}:
            raise HttpError(lines[0])
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        if "content-length" in headers:
            return await _discard(reader, int(headers["content-length"]))
        size = 0
        while chunk := int((await reader.readuntil(b"\r\n"))[:-2], 16):
            size += await _discard(reader, chunk)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return size

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()


async def _discard(reader: asyncio.StreamReader, count: int) -> int:
    left = count
    while left:
        block = await reader.read(min(left, 2**20))
        if not block:
            raise HttpError("the connection was closed in the middle of a body")
        left -= len(block)
    return count


@dataclass
class Tally:
    """Durations of requests in seconds, total size of the bodies in bytes, and error messages."""

    seconds: list[float] = field(default_factory=list)
    size_bytes: int = 0
    errors: list[str] = field(default_factory=list)


async def drive(
    clients: int, port: int, token: str, duration: float, act: Callable[[Connection], Awaitable[int]]
) -> Tally:
    """Repeat an action for `duration` seconds in several concurrent clients. Each client has its own connection."""
    tally, end = Tally(), time.perf_counter() + duration

    async def client() -> None:
        connection = Connection(port, token)
        while (start := time.perf_counter()) < end:
            try:
                size_bytes = await act(connection)
                tally.size_bytes += size_bytes  # not before the wait, which other clients use
                tally.seconds.append(time.perf_counter() - start)
            except (OSError, HttpError, asyncio.IncompleteReadError) as error:
                tally.errors.append(str(error))
                connection.close()
                connection = Connection(port, token)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return tally


def make_store(folder: Path, backbone: str, side_px: int) -> Path:
    """Extract features of a synthetic square scene, and return the path of the store."""
    import hsifeat

    rng = np.random.default_rng(0)
    small = rng.random((side_px // 16, side_px // 16, BANDS), np.float32)
    cube = np.kron(small, np.ones((16, 16, 1), np.float32)) + rng.random((side_px, side_px, BANDS), np.float32) / 5
    np.save(folder / f"{backbone}.npy", cube)
    path = folder / "stores" / f"{backbone}.zarr"
    hsifeat.extract(folder / f"{backbone}.npy", backbone=backbone, out=path)
    return path


@contextmanager
def running_nginx(folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Run nginx with its usual settings over the folder of the stores, and yield the port and the process of nginx."""
    port = 18081
    (folder / "nginx").mkdir()
    (folder / "nginx.conf").write_text(
        f"worker_processes auto; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
        f"events {{ worker_connections 1024; }}\nhttp {{ access_log off; sendfile on; tcp_nopush on; "
        "keepalive_requests 1000000000; "
        f"client_body_temp_path {folder}/nginx; proxy_temp_path {folder}/nginx; fastcgi_temp_path {folder}/nginx; "
        f"uwsgi_temp_path {folder}/nginx; scgi_temp_path {folder}/nginx;\n"
        f"server {{ listen {HOST}:{port}; root {folder}/stores; }} }}\n"
    )
    folder.chmod(0o755)
    command = ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-g", "daemon off;"]
    with subprocess.Popen(command) as process:
        time.sleep(1)
        try:
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(20)


class PeakMemory(threading.Thread):
    """Thread that records the peak resident memory of a process."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._process, self.first_mb, self.peak_mb, self._running = process, process.memory_info().rss / 1e6, 0.0, True

    def run(self) -> None:
        """Sample the memory ten times a second."""
        while self._running:
            self.peak_mb = max(self.peak_mb, self._process.memory_info().rss / 1e6)
            time.sleep(0.1)

    def stop(self) -> dict[str, float]:
        """Stop the thread, and return the memory at the start and the peak memory, in MB."""
        self._running = False
        self.join()
        return {"start_mb": round(self.first_mb), "peak_mb": round(self.peak_mb)}


def sample_action(key: str, planes: list[str], side_px: int) -> Callable[[Connection], Awaitable[int]]:
    """Return an action for `drive` that requests the values of some planes at random pixels of a random field."""

    async def act(connection: Connection) -> int:
        corner = [random.randrange(side_px - FIELD_PX) for _ in range(2)]  # noqa: S311
        rows, cols = ([start + random.randrange(FIELD_PX) for _ in range(PIXELS)] for start in corner)  # noqa: S311
        body = json.dumps({"rows": rows, "cols": cols, "planes": planes}).encode()
        return await connection.send("POST", f"/stores/{key}/sample", body)

    return act


def latency(tally: Tally) -> dict[str, Any]:
    """Return the numbers of requests and errors, the median and 99th percentile of the durations in ms, and MB per request."""
    ms = np.percentile(np.asarray(tally.seconds) * 1000, [50, 99]) if tally.seconds else [np.nan, np.nan]
    return {
        "requests": len(tally.seconds),
        "errors": len(tally.errors),
        "first_error": tally.errors[0] if tally.errors else "",
        "p50_ms": round(float(ms[0]), 1),
        "p99_ms": round(float(ms[1]), 1),
        "mb_per_request": round(tally.size_bytes / max(len(tally.seconds), 1) / 1e6, 3),
    }


def measure(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Run all measurements and return the results."""
    from hsifeat.store.store import Store

    seconds, turns, side_px, readers = (3, 1, QUICK_SIDE_PX, 8) if quick else (60, 3, SIDE_PX, READERS)
    paths = [make_store(folder, "context", side_px), make_store(folder, "natural32", side_px // 2)]
    store = Store.open(paths[0])
    planes = [str(plane.id) for plane in store.planes]
    result: dict[str, Any] = {"sampled_features": sum(plane.channels for plane in store.planes[-PLANES:])}
    (folder / "scenes").mkdir()
    with ServiceProcess(folder, "--scenes", str(folder / "scenes")) as service:
        port, token = service.port, service.token
        sample = sample_action(store.key, planes[-PLANES:], side_px)
        asyncio.run(drive(1, port, token, 2, sample))  # opens the store
        result["one_reader"] = latency(asyncio.run(drive(1, port, token, min(seconds, 15), sample)))
        memory = PeakMemory(service.process)
        memory.start()
        tally = asyncio.run(drive(readers, port, token, seconds, sample))
        result["many_readers"] = {"readers": readers, "seconds": seconds, **latency(tally), **memory.stop()}
        result["equal_requests"] = request_equally(folder / "scenes", service)
        count = 500 if quick else TRANSFERS
        result["shards"] = {path.stem: compare_shards(folder, service, path, count, turns) for path in paths}
    return result


def request_equally(scenes: Path, service: ServiceProcess) -> dict[str, Any]:
    """Send equal extraction requests at once, and wait for the job. Return the outcomes and the number of extractions that were run."""
    np.save(scenes / "scene.npy", np.random.default_rng(0).random((SMALL_SIDE_PX, SMALL_SIDE_PX, BANDS), np.float32))
    request = {"scene": {"files": ["scene.npy"], "axes": "rows,cols,bands"}, "options": {"backbone": "natural32"}}
    with (
        httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {service.token}"}, timeout=60) as client,
        ThreadPoolExecutor(EQUAL_REQUESTS) as pool,
    ):
        answers = [pool.submit(client.post, "/extractions", json=request) for _ in range(EQUAL_REQUESTS)]
        outcomes = Counter(answer.result().raise_for_status().json()["outcome"] for answer in answers)
        wait_until(lambda: all(job["state"] == "done" for job in client.get("/jobs").json()))
        jobs = client.get("/jobs").json()
    return {"requests": EQUAL_REQUESTS, "outcomes": outcomes, "extractions": sum(job["attempts"] for job in jobs)}


def compare_shards(folder: Path, service: ServiceProcess, path: Path, count: int, turns: int) -> dict[str, Any]:
    """Read random shards of a store from the service and from nginx in turn, and return the median transfer rates of both."""
    from hsifeat.store.store import Store

    shards = [p.relative_to(path).as_posix() for p in sorted((path / "planes").glob("*/*/c/*/*/0"))]
    sizes = [(path / shard).stat().st_size for shard in shards]
    wanted = random.choices(shards, k=count)  # noqa: S311
    rates: dict[str, list[dict[str, float]]] = {"service": [], "nginx": []}
    for _ in range(turns):
        served = f"{service.url}/stores/{Store.open(path).key}.zarr"
        rates["service"].append(transfer([f"{served}/{shard}" for shard in wanted], service.process, service.token))
        with running_nginx(folder) as (port, process):
            rates["nginx"].append(
                transfer([f"http://{HOST}:{port}/{path.name}/{shard}" for shard in wanted], process, "")
            )
        shutil.rmtree(folder / "nginx")
    result: dict[str, Any] = {
        name: {fact: round(median(one[fact] for one in turns), 3) for fact in turns[0]} for name, turns in rates.items()
    }
    return {
        "share_of_nginx": round(result["service"]["mb_per_s"] / result["nginx"]["mb_per_s"], 2),
        **result,
        "shards": len(shards),
        "mean_shard_mb": round(sum(sizes) / len(sizes) / 1e6, 3),
        "client": f"curl, {TRANSFER_CLIENTS} connections",
        "turns": turns,
    }


def transfer(urls: list[str], process: psutil.Process, token: str) -> dict[str, float]:
    """Read files with curl. Return the transfer rate, the request rate, and the processor times of the server and of curl per request."""
    options = f'header = "Authorization: Bearer {token}"\nfail\nwrite-out = "%{{size_download}}\\n"\n'
    files = "".join(f'url = "{url}"\noutput = "/dev/null"\n' for url in urls)
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--parallel",
        "--parallel-max",
        str(TRANSFER_CLIENTS),
        "--config",
        "-",
    ]
    before, client_before, start = _cpu_seconds(process), _cpu_seconds_of_clients(), time.perf_counter()
    done = subprocess.run(command, check=False, input=options + files, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise HttpError(done.stderr)
    return {
        "mb_per_s": sum(map(int, done.stdout.split())) / 1e6 / seconds,
        "requests_per_s": len(urls) / seconds,
        "server_ms_per_request": 1000 * (_cpu_seconds(process) - before) / len(urls),
        "client_ms_per_request": 1000 * (_cpu_seconds_of_clients() - client_before) / len(urls),
    }


def _cpu_seconds_of_clients() -> float:
    """Return the processor time of all child processes that have ended and that the benchmark has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _cpu_seconds(process: psutil.Process) -> float:
    """Return the processor time of a server and its workers so far."""
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children()))


def main() -> None:
    """Run the benchmark and write its results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds, to check that everything runs; writes no file"
    )
    quick = parser.parse_args().quick
    about = about_run(("hsifeat", "fastapi", "starlette", "uvicorn", "zarr"))
    with tempfile.TemporaryDirectory() as folder:
        result = {**about, "load_at_start": psutil.getloadavg()[0], **measure(Path(folder), quick=quick)}
    text = json.dumps(result, indent=1)
    print(text)
    if not quick:
        (RESULTS / "serve.json").write_text(f"{text}\n")


if __name__ == "__main__":
    main()
