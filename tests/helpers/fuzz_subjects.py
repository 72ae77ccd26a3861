"""Subjects of the fuzz tests: a store, a model, recorded runs, a trained backbone, cached tables, descriptions and the catalogue."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from hsifeat.errors import HsifeatError
from hsifeat.seals import SealError, seal_json
from tests.helpers.fuzz import Subject, tree_digest

ROWS, COLS = (grid.ravel()[::5] for grid in np.indices((75, 53)))
LAYERS = ["mid_block", "up_blocks.0", "up_blocks.1", "up_blocks.2"]
PLANES = [f"t{t}/{layer}" for t in (0, 300) for layer in LAYERS]
KEPT = PLANES[::3]


def read_store(path):
    """Return all values that users can read from a store."""
    import hsifeat

    features = hsifeat.open_features(path)
    labels = features.labels()
    return {
        "planes": {name: features.sample(ROWS, COLS, [name]) for name in PLANES},
        "dask": np.asarray(features.to_dask("t0/up_blocks.2")[:20].compute()),
        "spectra": features.spectra(ROWS, COLS),
        "labels": labels.classes,
        "names": labels.class_names,
        "valid": features.valid,
        "key": features.key,
        "wavelengths": features.scene.wavelengths_nm,
    }


def verify_store(path):
    """Verify a store, and return a digest of all its files."""
    from hsifeat.extraction.repair import verify
    from hsifeat.store.location import as_location

    if damages := verify(as_location(path)).damages:
        raise SealError(f"{len(damages)} damages")
    (path / "timings.json").unlink(missing_ok=True)  # has no checksum
    return tree_digest(path)


def repair_store(backbone):
    """Return a function that repairs a store and returns all values of the store."""

    def repair(path):
        from hsifeat.extraction import repair as repairs
        from hsifeat.store.location import as_location

        location = as_location(path)
        repairs.repair(location, repairs.verify(location), backbone=backbone)
        return read_store(path)

    return repair


def reseal_store(path):
    """Write the checksums of a store again, as an attacker would."""
    from hsifeat.store import checksums

    with _ignored():
        known = json.loads((path / checksums.FILE).read_bytes())["files"]
        for key in known:
            if (path / key).is_file():
                known[key] = checksums.checksum((path / key).read_bytes())
        for file in (path / checksums.FILE, path / checksums.COPY_OF[checksums.FILE]):
            if not file.is_symlink():
                file.write_bytes(checksums.encode(known))


def read_model(features):
    """Return a function that reads a model and predicts the classes, and the probabilities if there are any, of `features`."""

    def read(path):
        from classifiers.heads.base import ProbabilisticHead
        from classifiers.model import load_model
        from classifiers.predict import predict_map, predict_probabilities

        model = load_model(path)
        blocks = predict_probabilities(features, model) if isinstance(model.head, ProbabilisticHead) else ()
        return [
            predict_map(features, model),
            [probabilities for _, probabilities in blocks],
            model.class_names,
            model.class_colours,
            model.card.model_dump(mode="json"),
        ]

    return read


def reseal_model(path):
    """Write the digests and the seal of a model again, as an attacker would."""
    with _ignored():
        manifest = json.loads((path / "model.json").read_bytes())
        for name in manifest["files"]:
            manifest["files"][name] = hashlib.sha256((path / name).read_bytes()).hexdigest()
        if not (path / "model.json").is_symlink():
            (path / "model.json").write_text(seal_json(manifest, "model.json"))


def read_records(path):
    """Read all recorded runs. Raise `SealError` if a run is missing or damaged, because a benchmark would repeat the run."""
    from classifiers.comparison.run_records import RunRecords

    records, runs = RunRecords(path), []
    for key in sorted({"0" * 32, *(file.stem for file in (path / "runs").glob("*"))}):
        run = records.find(key, mapped=True)
        if run is not None:
            maps = [records.read_map(file(key)) for file in (records.map, records.confidence)]
            runs.append(
                [run.model_dump(), records.read_predictions(key), records.read_draw(run.draw), *map(np.asarray, maps)]
            )
    fits = {file.name: records.find_accuracy(file.stem) for file in sorted((path / "sweeps").glob("*"))}
    if len(runs) < RUNS or len(fits) < FITS or None in fits.values():
        raise SealError("a run or a fit is repeated")
    return [runs, fits]


RUNS, FITS = 4, 5


def make_records(store_path, folder):
    """Record two runs with maps, and the fits of a sweep."""
    from classifiers import compare
    from classifiers.comparison.results.results_io import write_json

    comparison = compare(
        store_path, heads=["lda"], splits=["random:0.3"], seeds=1, inputs=["spectra", "planes"], out=folder
    )
    for file in sorted((folder / "record" / "sweeps").glob("*"))[FITS:]:
        file.unlink()
    (folder / "report").mkdir()
    write_json(comparison, folder / "report" / "results.json")
    return folder


def read_report(path):
    """Read the results of a report."""
    from classifiers.comparison.results.results_io import read_json

    return json.loads(read_json(path / "results.json").model_dump_json())


def make_trained(folder, patch):
    """Train a tiny backbone."""
    import hsifeat
    from tests.helpers.tiny_training import tiny_scene, use_tiny

    use_tiny(patch)
    hsifeat.pretrain(tiny_scene(), network="mtmsd", out=folder, steps=2)
    return folder


def read_trained(path):
    """Open a trained model as a backbone, and continue its training."""
    import hsifeat
    from hsifeat.projection import Projection
    from tests.helpers.tiny_training import tiny_scene

    backbone = hsifeat.open_backbone(path)
    projection = Projection.load(backbone.projection_file) if backbone.projection_file else None
    value = [backbone.identity(), backbone.channels, None if projection is None else projection.digest]
    hsifeat.pretrain(tiny_scene(), network="mtmsd", out=path, steps=3)
    weights = hsifeat.open_backbone(path).identity()["weights"]
    return [*value, weights]


def make_kept(store_path, folder):
    """Write cached samples and the catalogue entries of two stores to a cache folder."""
    from hsifeat.cache import catalogue

    for name in ("one", "two"):
        shutil.copytree(store_path, folder.parent / f"{name}.zarr")
    with cache_at(folder):
        for name, key in (("one", "aa" * 32), ("two", "bb" * 32)):
            catalogue.add_entry(key, folder.parent / f"{name}.zarr")
        read_kept(store_path)(folder)
    return folder


def read_description(model):
    """Return a function that reads the description of a model in a cache folder, or opens the model."""

    def read(path):
        from hsifeat.backbones.recall import keep_description, recall_source

        with cache_at(path):
            source = recall_source(model)
            keep_description(source)
            taps = [[tap.name, tap.channels, tap.stride, tap.share] for tap in source.taps]
            return [source.identity(), source.channels, source.schedule.alphas_cumprod, taps, source.source]

    return read


def read_kept(store_path):
    """Return a function that samples a store with the cached samples of a cache folder."""

    def read(path):
        import hsifeat

        with cache_at(path):
            features = hsifeat.open_features(store_path)
            return [features.sample(ROWS, COLS, [name], keep=True) for name in KEPT]

    return read


def make_labels(folder):
    """Make label sets of two people with edits of all kinds."""
    from classifiers import LabelDatabase, LabelEdit

    folder.mkdir()
    with LabelDatabase(folder / "labels.sqlite") as database:
        for person in ("ada", None):
            found = database.open_set("scene", (75, 53), person=person)
            for name in ("oak", "birch"):
                database.add_class(found.id, "ada", name)
            for at in range(9):
                database.paint(found.id, "ada", LabelEdit.of_class("brush", np.arange(7) * (at + 1), 1 + at % 2))
            database.undo(found.id, "ada")
    return folder


def read_labels(path):
    """Read all labels of the two sets."""
    from classifiers import LabelDatabase

    with LabelDatabase(path / "labels.sqlite") as database:
        return [
            [
                database.class_map(number)[1],
                [str(entry) for entry in database.classes(number)],
                str(database.label_set(number)),
            ]
            for number in (1, 2)
        ]


def make_columns(store_path, folder):
    """Write the reduced columns and the superpixels of a scene to a cache folder."""
    read_columns(store_path)(folder)
    return folder


def read_columns(store_path):
    """Return a function that opens the reduced columns in a cache folder."""

    def read(path):
        import hsifeat
        from classifiers import open_scene_columns, open_segments

        with cache_at(path):
            columns = open_scene_columns(hsifeat.open_features(store_path), inputs="spectra")
            return [
                columns.values,
                columns.pixels,
                columns.guide,
                columns.reducer.mean_,
                open_segments(columns).numbers,
            ]

    return read


def read_catalogue(path):
    """Find the store that was completed last, and find stores by name and by key."""
    from hsifeat.cache import catalogue

    with cache_at(path):
        return [str(catalogue.find_store(source)) for source in (None, "one", "bbbbbb")]


@contextmanager
def cache_at(folder):
    """Use a folder as the cache folder, for a ``with`` block."""
    before = os.environ.get("HSIFEAT_CACHE")
    os.environ["HSIFEAT_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["HSIFEAT_CACHE"]
        else:
            os.environ["HSIFEAT_CACHE"] = before


@contextmanager
def _ignored():
    """Ignore errors while a file is sealed again. A file that is too damaged stays unsealed."""
    with suppress(ValueError, OSError, KeyError, TypeError, AttributeError, RecursionError, HsifeatError):
        yield


def make_store(place):
    """Extract the same small store as the fixtures of the tests, without using the fixtures."""
    import hsifeat
    from hsifeat.scenes import Labels, Scene
    from tests.helpers.small import save_unet, small_cube, small_labels

    labels = Labels("fields", small_labels(), {1: "corn", 2: "wheat", 3: "woods", 4: "grass"})
    scene = Scene("small", small_cube(), np.linspace(450, 900, 12), {"fields": labels})
    save_unet(place / "tiny", seed=7)
    hsifeat.extract(scene, backbone=place / "tiny", timesteps=[0, 300], tile=32, halo=8, out=place / "small.zarr")
    return place / "small.zarr"


def make_models(store_path, folder, heads):
    """Fit and save a model of each head."""
    import hsifeat
    from hsifeat import fit_model

    features = hsifeat.open_features(store_path)
    options = {
        "lightgbm": {"n_estimators": 3},
        "random-forest": {"n_estimators": 3},
        "film": {"epochs": 2},
        "mlp": {"epochs": 2},
    }
    for head in heads:
        fit_model(features, head, split="random:0.3", params=options.get(head, {})).save(folder / head)
    return features


def make_subjects(store_path, backbone, place: Path, patch, heads=("lda", "lightgbm", "svm")) -> list[Subject]:
    """Make all subjects in a folder. `backbone` is the backbone that computed the store."""
    features = make_models(store_path, place / "models", heads)
    records = make_records(store_path, place / "bench")
    trained = make_trained(place / "trained", patch)
    kept = make_kept(store_path, place / "kept" / "cache")
    described = place / "described" / "cache"
    read_description(trained)(described)
    models = [place / "models" / head for head in heads]
    return [
        Subject("store", store_path, read_store),
        Subject("store verified", store_path, verify_store),
        Subject("store sealed again", store_path, read_store, reseal=reseal_store),
        Subject("store repaired", store_path, repair_store(backbone)),
        Subject("store sealed again and repaired", store_path, repair_store(backbone), reseal=reseal_store),
        *(Subject(f"model {model.name}", model, read_model(features)) for model in models),
        *(
            Subject(f"model {model.name} sealed again", model, read_model(features), reseal=reseal_model)
            for model in models
        ),
        Subject("recorded runs", records / "record", read_records, "*/*"),
        Subject("report", records / "report", read_report),
        Subject("backbone", trained, read_trained),
        Subject("checkpoint", trained, read_trained, "checkpoint.pt"),
        Subject("labels", make_labels(place / "labels"), read_labels, is_handed_over=False),
        Subject(
            "columns",
            make_columns(store_path, place / "columns"),
            read_columns(store_path),
            "samples/*/*/*",
            is_handed_over=False,
        ),
        Subject("kept tables", kept, read_kept(store_path), "samples/**/*", is_handed_over=False),
        Subject("description", described, read_description(trained), "backbones/*", is_handed_over=False),
        Subject("catalogue", kept, read_catalogue, "catalogue/*", is_handed_over=False),
    ]
