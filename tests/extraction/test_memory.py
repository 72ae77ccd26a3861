"""The peak memory that a dry run prints is not exceeded, measured in a process of its own."""

import json
import subprocess
import sys

RUN = """
import ctypes, json, sys
import numpy as np
import hsifeat

def status(field):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) * 1024

scene = hsifeat.Scene("random", np.random.default_rng(0).random((128, 64, 8), np.float32))
options = {"backbone": "untrained:natural32", "timesteps": [0, 50], "layers": ["mid_block", "up_blocks.1", "up_blocks.2"]}
config = hsifeat.ExtractionConfig.from_options(options | {"tile": 64, "halo": 0, "projection": "pca:3"})
job = hsifeat.prepare(scene, config, out=sys.argv[1], device="cpu")
projected = job.extractor.peak_bytes(job.remaining(None).plan)
job.extractor.backbone.to("cpu")
ctypes.CDLL(None).malloc_trim(0)
open("/proc/self/clear_refs", "w").write("5")  # VmHWM starts anew from the present size
start = status("VmRSS")
hsifeat.run(job)
print(json.dumps([projected, status("VmHWM") - start]))
"""


def test_the_projected_peak_is_held_and_not_far_off(tmp_path):
    command = [sys.executable, "-c", RUN, str(tmp_path / "s.zarr")]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    projected, measured = json.loads(output.splitlines()[-1])
    assert projected / 4 < measured < projected
