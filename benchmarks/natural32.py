"""Compare the accuracy of planes of `natural32` with the untrained twin, context features and other networks.

``.venv/bin/python benchmarks/natural32.py`` runs on Indian Pines, on reduced Pavia University, and on the Houston 2018 subset:
once on its bands, and once on its companion image of 0.25 m. It compares

- ``natural32`` and its untrained twin;
- ``context``, the classical filters of the package, which are also applied to the companion image;
- ``ffdnet``, a published denoiser of photographs (code in ``docs/user/backbones.md``, weights in the test data);
- ``mtmsd``, a network that is trained on the bands of the scene for 110 steps;
- further networks and their untrained twins, named on the command line as ``NAME=BACKBONE``.

Linear discriminant analysis with shrinkage learns from several sets of columns, under two kinds of splits:

- few labels: 5 and 20 training pixels per class, scattered over the scene;
- distance: a tenth of the labelled pixels, in whole blocks of 12 px, are training pixels. The accuracy is given by the distance
  from a test pixel to the nearest training pixel.

Each group of columns is reduced to principal components over all pixels of the scene, without labels. With ``--levels``, the
script instead measures the accuracy of the planes of each network at several noise levels.

The results of each scene and set of columns are written to ``benchmarks/results/natural32.json`` as soon as they are computed.
The same command continues an interrupted run. Models and stores are kept in ``build/natural32`` and reused. Differences are
paired by draw. Their 95 % intervals (Student's t) reflect the draw of training pixels, but not the choice of scenes.
"""

from __future__ import annotations

import argparse
import json
import re
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scoring import RESULTS, ROOT, PrintingListener, about_run
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from study_columns import gain, reduce_columns, reduce_group, table
from study_scenes import DATA, SCENES

RESULT = RESULTS / "natural32.json"
FOLDER = ROOT / "build" / "natural32"
STUDIED = ("indian-pines", "houston", "houston-companion", "pavia-reduced")
REGIMES = ("per-class:5", "per-class:20", "blocks:12+0:0.1")
BINS_PX = {"0-4": (0, 4), "4-9": (4, 9), "9-16": (9, 16), "over 9": (9, np.inf), "over 16": (16, np.inf)}
DRAWS, LEVEL_DRAWS, TRAINING_STEPS = 30, 10, 110
GROUP_COMPONENTS, PLANE_COMPONENTS = 40, 60
SPECTRA, WINDOW, CONTEXT = "spectra", "spectra+window", "spectra+window+context"
# Context layers beyond the window of 5 px, in groups that are reduced together. Below, the filters of the companion image.
CONTEXT_GROUPS = (
    ["mean-25"], ["mean-45"], ["profile-*"], ["reconstruction-?", "reconstruction-??"], ["reconstruction-*-mean-9"],
)  # fmt: skip
COMPANION_FILTERS = [f"{family}-{side}" for family in ("mean", "deviation", "profile") for side in (3, 7, 13, 25)]
PLANES: dict[str, dict[str, Any]] = {
    "natural32": {"timesteps": [50], "layers": ["up_blocks.0", "up_blocks.1"], "projection": "pca:3"},
    "natural32 pca": {"timesteps": [50], "layers": ["up_blocks.0", "up_blocks.1"], "projection": "pca:3"},
    "natural32 rgb": {"timesteps": [50], "layers": ["up_blocks.0", "up_blocks.1"], "projection": "rgb"},
    "ffdnet": {"timesteps": [50], "layers": ["model.10", "model.20"], "projection": "pca:3"},
    "mtmsd": {"timesteps": [50], "layers": ["up_blocks.0", "up_blocks.1"], "projection": None},
}
LEVELS = {
    "natural32": [5, 20, 50, 100, 200, 400, 700],
    "ffdnet": [5, 20, 50, 100, 170],
    "mtmsd": [5, 20, 50, 100, 200, 400, 700],
}

Scores = dict[str, dict[str, list[float | None]]]


def main() -> None:
    """Parse the command line and run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("further", nargs="*", metavar="NAME=BACKBONE", help="networks with the layers of natural32")
    parser.add_argument("--scenes", default=",".join(STUDIED))
    parser.add_argument("--levels", action="store_true", help="accuracy by noise level")
    options = parser.parse_args()
    # A block may hold a single training pixel of a class.
    warnings.filterwarnings("ignore", message="Only one sample available")
    content: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    further = dict(entry.split("=", 1) for entry in options.further)
    content["planes"] = content.get("planes", {}) | PLANES | dict.fromkeys(further, PLANES["natural32"])
    for name in options.scenes.split(","):
        if options.levels:
            levels = content.setdefault("levels", {}).setdefault(name, {})
            study = Study(name, LEVEL_DRAWS, {})
            steps = study.by_level(levels)
        else:
            study = Study(name, DRAWS, content.setdefault("scores", {}).setdefault(name, {}))
            steps = study.run(further)
        for step in steps:
            save(content)
            print(name, step, flush=True)
    content["differences"] = {name: paired_differences(scores) for name, scores in content.get("scores", {}).items()}
    save(content)
    print(table(content))


def save(content: dict[str, Any]) -> None:
    """Write the results with the metadata of this run."""
    about = about_run(("torch", "diffusers", "scikit-learn", "scikit-image")) | {"draws": DRAWS}
    RESULT.write_text(json.dumps({**about, **{k: v for k, v in content.items() if k not in about}}, indent=1) + "\n")


class Study:
    """Scores of sets of columns on one scene. New scores are added to the dict `scores`, by name of the set."""

    def __init__(self, name: str, draws: int, scores: Scores) -> None:
        from classifiers.splits import parse_split, training_distances

        self.name, self.scores = name, scores
        self.scene = SCENES[name]()
        self.sees_companion = name.endswith("-companion")
        labels = next(iter(self.scene.labels.values()))
        # A class with fewer than four pixels can't be in both parts of a split.
        small = [number for number, count in labels.counts.items() if count < 4]
        self.truth = np.where(np.isin(labels.classes, small), 0, labels.classes)
        self.draws = {regime: [parse_split(regime).draw(labels, seed) for seed in range(draws)] for regime in REGIMES}
        self.distances = [training_distances(draw) for draw in self.draws[REGIMES[-1]]]

    def run(self, further: dict[str, str]) -> Iterator[str]:
        """Score all sets of columns that have no scores, and yield their names."""
        for name in (SPECTRA, WINDOW, CONTEXT):
            yield from self._score(name)
        unused = {"mtmsd", "natural32 rgb"} if self.sees_companion else {"natural32 pca"}
        networks = [(name, name, False) for name in PLANES if name not in unused]
        networks += [(f"{name} untrained", name, True) for name in ("natural32", *further)]
        networks += [(name, name, False) for name in further]
        for variant, name, twin in networks:
            for base in (WINDOW, CONTEXT):
                yield from self._score(
                    f"{base}+{variant}", lambda v=variant, n=name, t=twin: self._planes(v, further.get(n, n), t)
                )

    def by_level(self, levels: dict[str, Any]) -> Iterator[str]:
        """Score the planes of each network at each timestep, and yield the names of the networks."""
        for network, timesteps in LEVELS.items():
            if network in levels or (self.sees_companion and network == "mtmsd"):
                continue
            backbone = self._open(network, twin=False)
            rows = []
            for t in timesteps:
                name = f"{WINDOW}+{network} t{t}"
                planes = self._extract(f"{network}-t{t}", backbone, self._options(network) | {"timesteps": [t]})
                for _ in self._score(name, lambda planes=planes: reduce_group(planes, PLANE_COMPONENTS)):
                    pass
                abar = float(backbone.schedule.alphas_cumprod[t])
                oa = {regime: round(100 * float(np.mean(self.scores[name][regime])), 2) for regime in REGIMES}
                rows.append({"t": t, "sigma": round(((1 - abar) / abar) ** 0.5, 3), "oa": oa})
            levels[network] = rows
            yield f"{network}: {rows}"

    def _planes(self, variant: str, source: str, twin: bool) -> NDArray[np.float32]:
        planes = self._extract(variant.replace(" ", "-"), self._open(source, twin=twin), self._options(source))
        return reduce_group(planes, PLANE_COMPONENTS)

    def _options(self, source: str) -> dict[str, Any]:
        """Return the extraction options of a network.

        On a companion image, ``natural32 pca`` reads principal components, and all other networks read the colours.
        """
        options = PLANES.get(source, PLANES["natural32"])
        return options | {"projection": None} if self.sees_companion and source != "natural32 pca" else options

    def _open(self, source: str, *, twin: bool) -> Any:
        """Open a network. The network ``mtmsd`` is first trained on the scene."""
        import hsifeat

        source = source.removesuffix(" rgb").removesuffix(" pca")
        if source == "ffdnet":
            page = (ROOT / "docs" / "user" / "backbones.md").read_text(encoding="utf-8")
            code = next(
                block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class FFDNet" in block
            )
            namespace: dict[str, Any] = {}
            exec(code, namespace)  # noqa: S102  # the code that the page tells people to run
            return namespace["open_ffdnet"](DATA / "ffdnet" / "ffdnet_color.pth")
        if source == "mtmsd":
            out = FOLDER / f"{self.name}-mtmsd"
            source = str(
                hsifeat.pretrain(self.scene, network="mtmsd", steps=TRAINING_STEPS, out=out, listen=PrintingListener())
            )
        return hsifeat.open_backbone(f"untrained:{source}" if twin else source)

    def _extract(self, label: str, backbone: Any, options: dict[str, Any]) -> NDArray[np.float32]:
        """Return planes of a backbone over the scene in one pass, (rows, cols, channels)."""
        import hsifeat

        folder = FOLDER / f"{self.name}-{label}.zarr"
        hsifeat.extract(
            self.scene,
            backbone=backbone,
            out=folder,
            stitch="whole",
            companion=self.sees_companion,
            listen=PrintingListener(),
            **options,
        )
        return read_all(folder, ["*"])

    @cached_property
    def _groups(self) -> dict[str, list[NDArray[np.float32]]]:
        """Reduced column groups of each set without planes, as (rows, cols, components) arrays."""
        import hsifeat

        cube = np.asarray(self.scene.cube[:], np.float32)
        window = ndimage.uniform_filter(cube, (5, 5, 1), mode="reflect")
        own, store = (
            [reduce_group(values, GROUP_COMPONENTS) for values in (cube, window)],
            FOLDER / f"{self.name}-context.zarr",
        )
        hsifeat.extract(self.scene, backbone="context", out=store, listen=PrintingListener())
        # Context planes are principal components of unit variance, so they are not standardised again.
        context = [reduce_columns(read_all(store, names), GROUP_COMPONENTS) for names in CONTEXT_GROUPS]
        if self.sees_companion:
            image = hsifeat.Scene(f"{self.name}-image", np.asarray(self.scene.companion, np.float32))
            store = FOLDER / f"{self.name}-image-context.zarr"
            hsifeat.extract(image, backbone="context", layers=COMPANION_FILTERS, out=store, listen=PrintingListener())
            k = self.scene.companion_factor
            fine = read_all(store, COMPANION_FILTERS)
            coarse = fine.reshape(self.scene.rows, k, self.scene.cols, k, -1).mean((1, 3))
            context.append(reduce_columns(coarse, GROUP_COMPONENTS))
        return {SPECTRA: own[:1], WINDOW: own, CONTEXT: own + context}

    def _score(self, name: str, planes: Any = None) -> Iterator[str]:
        """Score a set of columns under every draw and yield its name, unless it has scores."""
        if name in self.scores:
            return
        base = next(known for known in (CONTEXT, WINDOW, SPECTRA) if name.startswith(known))
        columns = np.concatenate([*self._groups[base], *([planes()] if planes else [])], axis=2)
        scores: dict[str, list[float | None]] = {}
        for regime, draws in self.draws.items():
            for seed, draw in enumerate(draws):
                train, test = draw.train & (self.truth > 0), draw.test & (self.truth > 0)
                head = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(
                    columns[train], self.truth[train]
                )
                correct = head.predict(columns[test]) == self.truth[test]
                scores.setdefault(regime, []).append(round(float(correct.mean()), 5))
                if regime == REGIMES[-1]:
                    distances = self.distances[seed][self.truth[draw.test] > 0]
                    for text, (low, high) in BINS_PX.items():
                        inside = (distances > low) & (distances <= high)
                        # A mean over fewer than 20 pixels is too uncertain.
                        value = round(float(correct[inside].mean()), 5) if inside.sum() >= 20 else None
                        scores.setdefault(f"{regime}, {text} px", []).append(value)
        self.scores[name] = scores
        yield name


def read_all(store: Path, layers: list[str]) -> NDArray[np.float32]:
    """Read the planes of some layers over the scene."""
    import hsifeat
    from hsifeat.types import Window

    features = hsifeat.open_features(store)
    rows, cols, _ = features.shape
    return features.read(Window(0, 0, rows, cols), [f"*/{layer}" for layer in layers])


def paired_differences(scores: Scores) -> dict[str, dict[str, Any]]:
    """Return the gains of planes in points, over their untrained twin, the columns without planes, and other networks."""
    gains: dict[str, dict[str, Any]] = {}
    for name, by_regime in scores.items():
        base, _, label = name.rpartition("+")
        if base not in (WINDOW, CONTEXT) or label == "context" or label.endswith(" untrained"):
            continue
        networks = [f"{base}+{other}" for other in PLANES if other != label] if label == "natural32" else []
        for other in dict.fromkeys([f"{name} untrained", base, CONTEXT, *networks]):
            if other in scores:
                gains[f"{name} - {other}"] = {r: gain(values, scores[other][r]) for r, values in by_regime.items()}
    return gains


if __name__ == "__main__":
    main()
