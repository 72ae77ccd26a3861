"""Measure whether compiled networks are faster on a CPU than hsifeat, for the compilers ``torch.compile`` and OpenVINO.

Run ``.venv/bin/pip install openvino``, which hsifeat does not need, then ``.venv/bin/python benchmarks/accelerators.py``.
The script writes ``benchmarks/results/accelerators.json`` in about five minutes. It runs the DDPM network of
``benchmarks/extraction_subjects.py`` up to its last layer, with random weights, one thread and batches of four tiles. Times
are processor seconds, medians of interleaved runs. Each feature map is compared with the map that diffusers computes in
float64. The result has the largest difference, divided by the standard deviation of the map in float64.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from extraction_subjects import SUBJECTS, network_as_published, open_subject
from measuring import interleaved
from scoring import RESULTS, about_run

RESULT = RESULTS / "accelerators.json"
SUBJECT, BATCH, TIMESTEP, REPEATS = SUBJECTS["ddpm"], 4, 50, 5


class UpToLastLayer(torch.nn.Module):
    """The network of diffusers without the blocks after the last layer, so that it can be compiled as a whole."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        last = int(SUBJECT.layers[-1].partition(".")[2])
        network.up_blocks = network.up_blocks[: last + 1]
        network.conv_norm_out = network.conv_act = network.conv_out = torch.nn.Identity()
        self.network = network

    def forward(self, noisy: torch.Tensor) -> Any:
        """Return the feature map of the last layer."""
        return self.network(noisy, TIMESTEP, return_dict=False)[0]


def main() -> None:
    """Measure diffusers, hsifeat and both compilers, and write the result."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    backbone, _ = open_subject("ddpm", SUBJECT)
    published = UpToLastLayer(network_as_published(SUBJECT))
    noisy = torch.randn(BATCH, 3, SUBJECT.tile, SUBJECT.tile, generator=torch.Generator().manual_seed(0))
    layers = list(SUBJECT.layers)
    ways: dict[str, Callable[[], Any]] = {
        "diffusers": lambda: published(noisy),
        "hsifeat": lambda: backbone.forward_to(noisy, TIMESTEP, layers)[layers[-1]],
    }
    ways |= {"torch.compile": compiled_by_torch(noisy), "OpenVINO": compiled_by_openvino(noisy)}
    maps = {name: torch.as_tensor(way()).double() for name, way in ways.items()}
    seconds = {name: median(values) for name, values in interleaved(ways, REPEATS).items()}
    exact = published.double()(noisy.double())
    content = about_run(("torch", "diffusers", "openvino")) | {
        "what": " ".join(__doc__.split()),
        "threads": 1,
        "batch": BATCH,
        "tile_px": SUBJECT.tile,
        "seconds_per_pass": {name: round(value / BATCH, 4) for name, value in seconds.items()},
        "hsifeat_over": {name: round(seconds["hsifeat"] / value, 3) for name, value in seconds.items()},
        "largest_difference": {name: float(f"{difference(map_, exact):.2g}") for name, map_ in maps.items()},
    }
    RESULT.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps({key: content[key] for key in ("seconds_per_pass", "hsifeat_over", "largest_difference")}))


def difference(map_: torch.Tensor, exact: torch.Tensor) -> float:
    """Return the largest absolute difference between two maps, divided by the standard deviation of `exact`."""
    return float((map_ - exact).abs().max() / exact.std())


def compiled_by_torch(noisy: torch.Tensor) -> Callable[[], Any]:
    """Compile the network with the default compiler of torch and constant weights, run it once, and return a function that runs it."""
    import torch._inductor.config as inductor

    inductor.freezing = True
    network = torch.compile(UpToLastLayer(network_as_published(SUBJECT)), dynamic=False)
    network(noisy)
    return lambda: network(noisy)


def compiled_by_openvino(noisy: torch.Tensor) -> Callable[[], Any]:
    """Compile the network with OpenVINO for one thread in float32, run it once, and return a function that runs it."""
    import openvino

    model = openvino.convert_model(UpToLastLayer(network_as_published(SUBJECT)), example_input=noisy)
    model.reshape(list(noisy.shape))
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    network = openvino.Core().compile_model(model, "CPU", options)
    network(noisy.numpy())
    return lambda: network(noisy.numpy())[0]


if __name__ == "__main__":
    main()
