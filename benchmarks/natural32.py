"""Compare the accuracy of planes of `natural32` with the untrained twin, context features and other networks.

``.venv/bin/python benchmarks/natural32.py`` runs on Indian Pines, on reduced Pavia University, and on the Houston 2018
subset. The Houston subset is studied twice: on its bands, and on its companion image of 0.25 m. The script compares

- ``natural32`` and its untrained twin;
- ``context``, the classical filters of the package with the layers `CONTEXT_LAYERS`, which is also applied to the companion
  image;
- ``ffdnet``, a published denoiser of photographs (code in ``docs/user/backbones.md``, weights in the test data);
- ``mtmsd``, a network that is trained on the bands of the scene for 900 steps, the default;
- candidates of ``natural32_candidates.py``, named on the command line, such as ``overhead uniform``. A candidate is trained
  first, unless its model exists. The planes of a candidate are added to spectra and window means only.

Linear discriminant analysis with shrinkage learns from several sets of columns, under two kinds of splits:

- few labels: 5 and 20 training pixels per class, scattered over the scene;
- distance: a tenth of the labelled pixels, in whole blocks of 12 px, are training pixels. The accuracy is given by the
  distance from a test pixel to the nearest training pixel.

There are 30 draws of each kind. On a small scene, few test pixels of a draw are far from the training pixels. Blocks are
therefore drawn until every interval of distances has at least 20 test pixels in 30 draws, but at most 120 times.

Each group of columns is reduced to principal components over all pixels of the scene, without labels. With ``--levels`` or
``--layers``, the script instead measures the accuracy of the planes of each network at several noise levels, or of several
layers of ``natural32``. These measurements have 10 draws, which differ from the draws above.

The results of each scene and set of columns are written to ``benchmarks/results/natural32.json`` as soon as they are
computed. The same command continues an interrupted run. Models and stores are kept in ``build/natural32`` and reused.
Differences are paired by draw. Their 95 % intervals (Student's t) reflect the draw of training pixels, but not the choice
of scenes.

The gain of a candidate over ``natural32`` is averaged over the scenes and the companion image, with 5 labels per class and
over 16 px from the labels. A candidate is better than ``natural32`` if this gain is significant at 5 % divided by the
number of candidates. This rule was set before the candidates were scored.
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
from natural32_candidates import CANDIDATES, is_trained, train_candidate
from numpy.typing import NDArray
from scipy import ndimage
from scoring import RESULTS, ROOT, PrintingListener, about_run
from study_columns import gain, pooled_gain, reduce_columns, reduce_group, table
from study_draws import FAR, REGIMES, StudyDraws
from study_scenes import CONTEXT_LAYERS, DATA, SCENES

RESULT = RESULTS / "natural32.json"
FOLDER = ROOT / "build" / "natural32"
STUDIED = ("indian-pines", "houston", "houston-companion", "pavia-reduced")
DRAWS = 30
# Draws of the comparisons of noise levels and layers, which set options of natural32.
OPTION_DRAWS, FIRST_OPTION_SEED = 10, 1000
TRAINING_STEPS = 900
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
LAYERS = (
    *(f"down_blocks.{n}" for n in range(4)), "mid_block", *(f"up_blocks.{n}" for n in range(4)), "up_blocks.0,up_blocks.1",
    "up_blocks.1,up_blocks.2", "up_blocks.0,up_blocks.1,up_blocks.2", "mid_block,up_blocks.0",
)  # fmt: skip

Scores = dict[str, dict[str, list[float | None]]]


def main() -> None:
    """Parse the command line and run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("candidates", nargs="*", metavar="CANDIDATE", help=f"one of {', '.join(CANDIDATES)}")
    parser.add_argument("--scenes", default=",".join(STUDIED))
    parser.add_argument("--levels", action="store_true", help="accuracy by noise level")
    parser.add_argument("--layers", action="store_true", help="accuracy by layer of natural32")
    options = parser.parse_args()
    if unknown := set(options.candidates) - set(CANDIDATES):
        parser.error(f"no candidate {', '.join(unknown)}: name some of {', '.join(CANDIDATES)}")
    # A block may hold a single training pixel of a class.
    warnings.filterwarnings("ignore", message="Only one sample available")
    content: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name in options.scenes.split(","):
        if options.levels or options.layers:
            study = Study(name, {}, OPTION_DRAWS, FIRST_OPTION_SEED)
            kind = "levels" if options.levels else "layers"
            entries = content.setdefault(kind, {}).setdefault(name, {})
            steps = study.by_level(entries) if options.levels else study.by_layer(entries)
        else:
            study = Study(name, content.setdefault("scores", {}).setdefault(name, {}), DRAWS)
            content.setdefault("draws", {})[name] = study.draws.counts
            steps = study.run(options.candidates)
        for step in steps:
            save(content)
            print(name, step, flush=True)
    scores = content.get("scores", {})
    content["planes"] = PLANES | dict.fromkeys(CANDIDATES, PLANES["natural32"])
    content["differences"] = {name: paired_differences(by_set) for name, by_set in scores.items()}
    content["candidates"] = compare_candidates(scores)
    save(content)
    print(table(content))


def save(content: dict[str, Any]) -> None:
    """Write the results with the metadata of this run."""
    about = about_run(("torch", "diffusers", "scikit-learn", "scikit-image"))
    runs = {run["command"]: run for run in content.get("runs", [])}
    runs[about["command"]] = {key: about[key] for key in ("command", "date", "commit")}
    content["runs"] = list(runs.values())
    RESULT.write_text(json.dumps({**about, **{k: v for k, v in content.items() if k not in about}}, indent=1) + "\n")


class Study:
    """Scores of sets of columns on one scene. New scores are added to the dict `scores`, whose keys are the names of the sets."""

    def __init__(self, name: str, scores: Scores, draws: int, first_seed: int = 0) -> None:
        self.name, self.scores = name, scores
        self.scene = SCENES[name]()
        self.sees_companion = name.endswith("-companion")
        self.draws = StudyDraws(next(iter(self.scene.labels.values())), draws, first_seed)

    def run(self, candidates: list[str]) -> Iterator[str]:
        """Score all sets of columns that have no scores, and yield their names."""
        for name in (SPECTRA, WINDOW, CONTEXT):
            yield from self._score(name)
        unused = {"mtmsd", "natural32 rgb"} if self.sees_companion else {"natural32 pca"}
        for name in [*(name for name in PLANES if name not in unused), "natural32 untrained"]:
            for base in (WINDOW, CONTEXT):
                yield from self._score(f"{base}+{name}", lambda name=name: self._planes(name))
        # Random weights depend on the architecture alone, so candidates with the norm of natural32 share its twin.
        twins = [f"{name} untrained" for name in candidates if CANDIDATES[name].norm != "group"]
        for name in [*candidates, *twins]:
            yield from self._score(f"{WINDOW}+{name}", lambda name=name: self._planes(name))

    def by_level(self, levels: dict[str, Any]) -> Iterator[str]:
        """Score the planes of each network at each timestep, and yield the names of the networks."""
        for network, timesteps in LEVELS.items():
            if network in levels or (self.sees_companion and network == "mtmsd"):
                continue
            backbone = self._open(network)
            rows = []
            for t in timesteps:
                name = f"{WINDOW}+{network} t{t}"
                store = self._extract(f"{network}-t{t}", backbone, self._options(network) | {"timesteps": [t]})
                planes = read_all(store, ["*"])
                for _ in self._score(name, lambda planes=planes: reduce_group(planes, PLANE_COMPONENTS)):
                    pass
                abar = float(backbone.schedule.alphas_cumprod[t])
                oa = {regime: round(100 * float(np.mean(self.scores[name][regime])), 2) for regime in REGIMES}
                rows.append({"t": t, "sigma": round(((1 - abar) / abar) ** 0.5, 3), "oa": oa})
            levels[network] = rows
            yield f"{network}: {rows}"

    def by_layer(self, layers: dict[str, Any]) -> Iterator[str]:
        """Score sets of layers of natural32, and yield their names."""
        every = sorted({layer for names in LAYERS for layer in names.split(",")})
        store = self._extract(
            "natural32-layers", self._open("natural32"), self._options("natural32") | {"layers": every}
        )
        for names in LAYERS:
            if names in layers:
                continue
            name = f"{WINDOW}+natural32 {names}"
            planes = read_all(store, names.split(","))
            for _ in self._score(name, lambda planes=planes: reduce_group(planes, PLANE_COMPONENTS)):
                pass
            layers[names] = {
                regime: round(100 * float(np.mean([v for v in self.scores[name][regime] if v is not None])), 2)
                for regime in (*REGIMES, FAR)
            }
            yield f"{names}: {layers[names]}"

    def _planes(self, name: str) -> NDArray[np.float32]:
        source = name.removesuffix(" untrained")
        store = self._extract(name.replace(" ", "-"), self._open(source, twin=source != name), self._options(source))
        return reduce_group(read_all(store, ["*"]), PLANE_COMPONENTS)

    def _options(self, source: str) -> dict[str, Any]:
        """Return the extraction options of a network.

        On a companion image, ``natural32 pca`` reads principal components, and all other networks read the colours.
        """
        options = PLANES.get(source, PLANES["natural32"])
        return options | {"projection": None} if self.sees_companion and source != "natural32 pca" else options

    def _open(self, source: str, *, twin: bool = False) -> Any:
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
            source = str(self._train_mtmsd())
        if source in CANDIDATES:
            source = str(train_candidate(source))
        return hsifeat.open_backbone(f"untrained:{source}" if twin else source)

    def _train_mtmsd(self) -> Path:
        """Train ``mtmsd`` on the scene, unless its model exists, and return the folder of the model."""
        import hsifeat

        out = FOLDER / f"{self.name}-mtmsd"
        if not is_trained(out):
            hsifeat.pretrain(self.scene, network="mtmsd", steps=TRAINING_STEPS, out=out, listen=PrintingListener())
        return out

    def _extract(self, label: str, backbone: Any, options: dict[str, Any]) -> Path:
        """Extract planes of a backbone over the scene in one pass, and return the store."""
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
        return folder

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
        hsifeat.extract(self.scene, backbone="context", layers=CONTEXT_LAYERS, out=store, listen=PrintingListener())
        # Context planes are principal components of unit variance, so they are not standardised again.
        context = [reduce_columns(read_all(store, names), GROUP_COMPONENTS) for names in CONTEXT_GROUPS]
        if self.sees_companion:
            # As in an extraction of the companion image, black pixels are data.
            values = np.asarray(self.scene.companion, np.float32)
            image = hsifeat.Scene(f"{self.name}-image", values, blank_pixels="keep")
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
        self.scores[name] = self.draws.score(columns)
        yield name


def read_all(store: Path, layers: list[str]) -> NDArray[np.float32]:
    """Read the planes of some layers over the scene."""
    import hsifeat
    from hsifeat.types import Window

    features = hsifeat.open_features(store)
    rows, cols, _ = features.shape
    return features.read(Window(0, 0, rows, cols), [f"*/{layer}" for layer in layers])


def paired_differences(scores: Scores) -> dict[str, dict[str, Any]]:
    """Return the gains of sets of columns with planes over several rivals, in percentage points and paired by draw.

    The rivals are the same set with planes of the untrained twin, the set without planes, and sets with planes of other
    networks.
    """
    gains: dict[str, dict[str, Any]] = {}
    for name, by_regime in scores.items():
        base, _, label = name.rpartition("+")
        if base not in (WINDOW, CONTEXT) or label == "context" or label.endswith(" untrained"):
            continue
        rivals = [f"{name} untrained", base, CONTEXT]
        if label == "natural32":
            rivals += [f"{base}+{other}" for other in PLANES if other != label]
        if label in CANDIDATES:
            rivals += [f"{base}+natural32"]
            rivals += [f"{base}+natural32 untrained"] if CANDIDATES[label].norm == "group" else []
        for other in dict.fromkeys(rivals):
            if other in scores:
                gains[f"{name} - {other}"] = {r: gain(values, scores[other][r]) for r, values in by_regime.items()}
    return gains


def compare_candidates(scores: dict[str, Scores]) -> dict[str, Any]:
    """Return the gain of each candidate over natural32, averaged over all scenes in two tests: few labels, and far from the labels."""
    shipped, level = f"{WINDOW}+natural32", 1 - 0.05 / len(CANDIDATES)
    gains = {}
    for name in CANDIDATES:
        if all(f"{WINDOW}+{name}" in scores.get(scene, {}) for scene in STUDIED):
            pairs = [
                (scores[scene][f"{WINDOW}+{name}"][regime], scores[scene][shipped][regime])
                for scene in STUDIED
                for regime in (REGIMES[0], FAR)
            ]
            gains[name] = pooled_gain(pairs, DRAWS, level)
    return {"tests": f"{REGIMES[0]} and {FAR} on {', '.join(STUDIED)}", "level": level, "gains": gains}


if __name__ == "__main__":
    main()
