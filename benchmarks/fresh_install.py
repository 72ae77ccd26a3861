"""Measure the first extraction after installing the wheel, without network access and in an empty folder.

``.venv/bin/python benchmarks/fresh_install.py`` builds a wheel, and creates an environment with the packages of the current
environment except hsifeat. ``pip install --no-index --no-deps`` then installs the wheel, and ``hsifeat extract indian-pines``
runs without options. In the new environment, opening a network connection raises an error. The script writes
``benchmarks/results/fresh_install.json``, and fails if the extraction takes more than 120 s of processor time.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from scoring import RESULTS, ROOT, about_run

LIMIT_SECONDS = 60
NO_NETWORK = """
import socket

def refuse(*args, **kwargs):
    raise OSError("this environment has no network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


def main() -> None:
    """Install the wheel, extract features, and write times and sizes."""
    with tempfile.TemporaryDirectory(prefix="hsifeat-fresh-") as folder:
        content = {**about_run(("torch", "diffusers", "zarr")), **measure(Path(folder))}
    (RESULTS / "fresh_install.json").write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))
    if content["cpu_seconds"] > 2 * LIMIT_SECONDS:
        raise SystemExit(f"the extraction took {content['cpu_seconds']} s of processor time")


def measure(folder: Path) -> dict[str, Any]:
    """Create a new environment in a folder, run an extraction there, and return times and sizes."""
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # The new environment uses the packages of the current one, but not its .pth files, which would add this repository.
    shared = {path for path in sys.path if Path(path).name == "site-packages"} | {sysconfig.get_path("purelib")}
    (packages / "shared.pth").write_text("\n".join(sorted(shared)))
    (packages / "sitecustomize.py").write_text(NO_NETWORK)
    python = folder / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--force-reinstall", wheel)
    empty = folder / "empty"
    empty.mkdir()
    environment = {
        "PATH": os.defpath, "HOME": str(folder), "HSIFEAT_CACHE": str(folder / "cache"),
        "XDG_CACHE_HOME": str(folder / "cache"), "LANG": "C.UTF-8", "OMP_NUM_THREADS": "2",
    }  # fmt: skip
    where = run(python, "-c", "import hsifeat; print(hsifeat.__file__)", cwd=empty, env=environment)
    if not where.startswith(str(packages)):
        raise SystemExit(f"the environment imports hsifeat from {where}")
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    printed = run(python.with_name("hsifeat"), "extract", "indian-pines", cwd=empty, env=environment)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    print(printed)
    return {
        "wheel_bytes": wheel.stat().st_size,
        "wall_seconds": round(seconds, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "load_average": round(os.getloadavg()[0], 1),
        "written": sorted(str(path.relative_to(folder)) for path in folder.glob("**/*.zarr")),
    }


def run(*command: str | Path, **options: Any) -> str:
    """Run a command, and return its standard output. If the command fails, exit with the output of the command as message."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
