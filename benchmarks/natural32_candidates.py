"""Train the candidates that `natural32.py` compares with the shipped network.

``.venv/bin/python benchmarks/natural32_candidates.py NAME…`` trains the named candidates, or all candidates, for 350 steps
each. A candidate is trained like the shipped network, except for the difference that ``CANDIDATES`` states. Models are kept
in ``build/natural32/candidates``. The same command continues an interrupted training.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from scoring import ROOT, PrintingListener
from study_scenes import DATA

FOLDER = ROOT / "build" / "natural32" / "candidates"
CIFAR, OVERHEAD = DATA / "cifar10" / "CIFAR-10-images.tar.gz", DATA / "overhead_rgb" / "rsscn7_200px.tar"


@dataclass(frozen=True)
class Candidate:
    """Settings of a candidate: training images, normalisation and distribution of noise levels. The size of the network is "small"."""

    images: tuple[Path, ...] = (CIFAR,)
    norm: str = "group"
    uniform_timesteps: bool = False


CANDIDATES = {
    "overhead": Candidate(images=(OVERHEAD,)),
    "both": Candidate(images=(CIFAR, OVERHEAD)),
    "uniform": Candidate(uniform_timesteps=True),
    "rms": Candidate(norm="pixel-rms"),
}


def is_trained(folder: Path) -> bool:
    """Return whether a folder has a finished model."""
    return (folder / "training.json").exists()


def train_candidate(name: str) -> Path:
    """Train a candidate, unless its model exists, and return the folder of the model."""
    import hsifeat
    from hsifeat.pretraining.network_specs import NETWORK_SPECS, find_spec
    from hsifeat.pretraining.timestep_sampling import TimestepSampling

    candidate, network, out = CANDIDATES[name], "natural32", FOLDER / name
    if is_trained(out):
        return out
    if candidate.uniform_timesteps:
        network = "natural32-uniform"
        NETWORK_SPECS[network] = {"small": replace(find_spec("natural32", "small"), timesteps=TimestepSampling())}
    FOLDER.mkdir(parents=True, exist_ok=True)
    return hsifeat.pretrain(
        candidate.images,
        network=network,
        size="small",
        norm=candidate.norm,
        seed=0,
        steps=350,
        dtype="float16",
        out=out,
        listen=PrintingListener(),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(CANDIDATES)}")
    for candidate_name in parser.parse_args().names or CANDIDATES:
        print(train_candidate(candidate_name), flush=True)
