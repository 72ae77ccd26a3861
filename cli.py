"""The command line: a list of verbs. Each parses, calls one library function and shows the result."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from hsifeat.errors import HsifeatError

if TYPE_CHECKING:
    from classifiers.comparison.results import Comparison
    from hsifeat.extraction.job import Job
    from hsifeat.scenes import Scene

_CTRL_C = 130
_INTERRUPTED = "interrupted; what is finished is kept, and the same command goes on from there"

app = typer.Typer(
    name="hsifeat",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Diffusion features of hyperspectral scenes: computed once, learned from many times.

    The whole way, on a public scene that comes with hsifeat:

        hsifeat pretrain indian-pines --network mtmsd --out backbone

        hsifeat extract indian-pines --backbone backbone --out ip.zarr

        hsifeat bench ip.zarr --out report
    """,
)
scenes = typer.Typer(invoke_without_command=True, help="The registry of public scenes, and what a scene holds.")
app.add_typer(scenes, name="scenes")
cache = typer.Typer(no_args_is_help=True, help="The stores on this machine: list, show, verify, delete.")
app.add_typer(cache, name="cache")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Store = Annotated[str | None, typer.Argument(help="Path, name or key prefix; the one completed last if left out.")]
Stores = Annotated[list[str] | None, typer.Argument(help="Paths, names or key prefixes; by default the last store.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything that is drawn.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Planes = Annotated[str | None, typer.Option(help="Planes, e.g. 't50/*,t100/up_blocks.2'; all by default.")]
LabelName = Annotated[str | None, typer.Option(help="Name of a label map in the store.")]


# Columns of `hsifeat scenes` that say yes or no, and the facts behind them.
_ABOUT_SCENES = {"split": "official_split", "checked": "checked"}

# What says how a scene is read, for every verb that takes one.
_SCENE_OPTIONS: dict[str, tuple[Any, Any]] = {
    "scene": (
        Annotated[
            list[str],
            typer.Argument(metavar="SCENE", help="A registry name, a file or folder, or files of one band each."),
        ],
        Parameter.empty,
    ),
    "variable": (Annotated[str | None, typer.Option(help="Variable to take from a file that holds several.")], None),
    "axes": (
        Annotated[str | None, typer.Option(help="Order of the axes, e.g. bands,rows,cols or bands,pixels.")],
        None,
    ),
    "rows": (Annotated[int | None, typer.Option(min=1, help="Rows, where pixels are in one axis.")], None),
    "cols": (Annotated[int | None, typer.Option(min=1, help="Columns, where pixels are in one axis.")], None),
    "bad_bands": (
        Annotated[
            str,
            typer.Option(
                help="Bands that the file marks as bad: drop or keep; or others to drop, e.g. 103-108,149 (from 0)."
            ),
        ],
        "drop",
    ),
    "nodata": (Annotated[float | None, typer.Option(help="The value that stands for no data.")], None),
    "companion": (Annotated[str | None, typer.Option(help="A finer image of the same place: FILE[:VARIABLE].")], None),
    "labels": (
        Annotated[
            list[str] | None,
            typer.Option(help="Labels to attach, again for more: FILE, or FILE:VARIABLE (or :COLUMN)."),
        ],
        None,
    ),
}


@dataclass(frozen=True)
class _SceneAsked:
    """A scene as it was named, and the options that say how it is read."""

    paths: list[str]
    options: dict[str, Any]

    def open(self) -> Scene:
        from hsifeat.scenes import open_scene

        return open_scene(self.paths, **self.options)

    def images(self) -> str:
        """Return the one path of a folder or archive of images, for which there is nothing to say."""
        given = [name for name, value in self.options.items() if value != _SCENE_OPTIONS[name][1]]
        if given:
            raise typer.BadParameter(f"--{given[0].replace('_', '-')} says how a scene is read; images are named")
        if len(self.paths) > 1:
            raise typer.BadParameter(f"images lie in one folder or archive; found {len(self.paths)} paths")
        return self.paths[0]


def _opens_scene(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that say how a scene is read; what it gets as `scene` is the scene, opened."""

    @wraps(verb)
    def opened(scene: _SceneAsked, **given: Any) -> None:
        verb(scene.open(), **given)

    return _asks_for_scene(opened)


def _asks_for_scene(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that say how a scene is read; what it gets as `scene` can be opened, or be images."""

    @wraps(verb)
    def command(**given: Any) -> None:
        options = {name: given.pop(name) for name in _SCENE_OPTIONS}
        verb(_SceneAsked(options.pop("scene"), options), **given)

    kinds = get_type_hints(verb, localns={"Scene": object}, include_extras=True)
    own = {p.name: (kinds[p.name], p.default) for p in list(signature(verb).parameters.values())[1:]}
    taken = {"scene": _SCENE_OPTIONS["scene"], **own, **_SCENE_OPTIONS}
    command.__signature__ = signature(verb).replace(  # type: ignore[attr-defined]
        parameters=[
            Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for name, (kind, default) in taken.items()
        ]
    )
    command.__annotations__ = {name: kind for name, (kind, _) in taken.items()}
    return command


@scenes.callback()
def list_scenes(context: typer.Context, as_json: Json = False) -> None:
    """List the public scenes that are known by name.

    Example: `hsifeat scenes`
    """
    if context.invoked_subcommand is None:
        from hsifeat.scenes.registry import REGISTRY
        from hsifeat.scenes.registry.place import scenes_folder, state

        rows = [{**scene.facts(), "here": state(scene)} for scene in REGISTRY.values()]
        if as_json:
            return _show("", rows, (), as_json=True)
        from hsifeat import terminal

        for row in rows:
            row.update({what: "yes" if row[fact] else "no" for what, fact in _ABOUT_SCENES.items()})
        shown = ("name", "sensor", "rows", "cols", "bands", "gsd_m", "classes", *_ABOUT_SCENES, "here")
        terminal.show_table("scenes", rows, shown)
        terminal.say(f"hsifeat scenes fetch NAME gets a scene into {scenes_folder()}; --json says all that is known")
    return None


@scenes.command("show")
@_opens_scene
def show_scene(
    scene: Scene,
    out: Annotated[
        Path | None, typer.Option(help="The picture; by default NAME.png here, and none with --json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show shape, wavelengths, valid pixels, classes and counts; write a picture of bands and labels.

    Example: `hsifeat scenes show indian-pines`
    """
    from hsifeat import terminal
    from hsifeat.scenes.picture import picture_path, write_picture

    picture = None if as_json and out is None else picture_path(scene, out)
    facts = scene.facts()
    for note in scene.notes:
        terminal.note(note)
    if picture is not None:
        write_picture(scene, picture)
    if as_json:
        terminal.show_json(facts)
        return
    rows = [{"": name, " ": value} for name, value in facts.items() if name != "labels" and value not in (None, "", [])]
    terminal.show_table(facts["name"], rows, ("", " "))
    for name, classes in facts["labels"].items():
        terminal.show_table(f"labels {name}", classes, ("class", "name", "pixels", "colour"))
    terminal.say(f"picture: {picture}")


@scenes.command("fetch")
def fetch_scene(name: Annotated[str, typer.Argument(help="A registry name, see `hsifeat scenes`.")]) -> None:
    """Download a public scene and check its checksum, or say which files to put where.

    Example: `hsifeat scenes fetch pavia-university`
    """
    from hsifeat import terminal
    from hsifeat.scenes.registry.fetch import fetch
    from hsifeat.work.events import Advanced, Started

    begun: set[str] = set()
    with terminal.progress() as listen:

        def advance(file: str, done: int, total: int) -> None:
            if file not in begun:
                begun.add(file)
                listen(Started(file, total / 1e6, "MB"))
            listen(Advanced(file, done / 1e6))

        files = fetch(name, advance)
    for file in files:
        terminal.say(str(file))
    terminal.say(f"{name} is on this machine: hsifeat scenes show {name}")


@app.command()
def backbones(as_json: Json = False) -> None:
    """List what can be named as a backbone, and where its weights come from.

    Example: `hsifeat backbones`
    """
    from hsifeat.diffusion.open import list_backbones

    _show("backbones", list_backbones(), ("name", "what", "weights"), as_json)


@app.command()
def layers(
    backbone: Annotated[str, typer.Argument(help="A backbone, see `hsifeat backbones`.")],
    everything: Annotated[bool, typer.Option("--all", help="Also what lies within blocks.")] = False,
    upsample: Annotated[int, typer.Option(help="Scale of tiles before a latent encoder: strides follow it.")] = 8,
    as_json: Json = False,
) -> None:
    """List a backbone's layers: name, alias in the papers, channels, stride, share of the forward up to there.

    Example: `hsifeat layers backbone`
    """
    from dataclasses import asdict

    from hsifeat.diffusion.open import open_backbone
    from hsifeat.diffusion.taps import is_block

    taps = open_backbone(backbone, any_label=True, upsample=upsample).taps
    rows = [asdict(tap) for tap in taps if everything or is_block(tap.name)]
    _show(f"layers of {backbone}", rows, ("name", "alias", "channels", "stride", "share"), as_json)


@app.command()
@_asks_for_scene
def pretrain(
    scene: _SceneAsked,
    out: Annotated[Path, typer.Option(help="Folder of the model; an interrupted run there goes on.")],
    network: Annotated[str, typer.Option(help="mtmsd, or natural32 for a folder or tar of images.")] = "mtmsd",
    size: Annotated[str, typer.Option(help="small (a few minutes on two CPU cores) or paper.")] = "small",
    steps: Annotated[int | None, typer.Option(help="Optimizer steps in all; by default the preset's.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after this long; the same command goes on.")] = None,
    components: Annotated[int | None, typer.Option(min=1, help="Principal components that the network sees.")] = None,
    seed: Seed = 0,
    start: Annotated[Path | None, typer.Option(help="A model of the same network to begin with.")] = None,
    dtype: Annotated[
        str, typer.Option(help="How weights are kept: float32, or float16 for half the file.")
    ] = "float32",
    about: Annotated[str, typer.Option(help="Source and licence of images, for the model card.")] = "",
    device: Device = "auto",
) -> None:
    """Train a denoising U-Net, without labels, on a scene's own patches or on natural images.

    Example: `hsifeat pretrain indian-pines --network mtmsd --size small --out backbone`

    On images, in a folder or a tar archive: `hsifeat pretrain images.tar.gz --network natural32 --out backbone`
    """
    from hsifeat import terminal
    from hsifeat.pretraining.presets import find_preset
    from hsifeat.pretraining.pretrain import pretrain as train

    data = scene.open() if find_preset(network, size).images is None else scene.images()
    with terminal.progress() as listen:
        folder = train(
            data,
            network=network,
            size=size,
            out=out,
            steps=steps,
            minutes=minutes,
            components=components,
            seed=seed,
            start=start,
            dtype=dtype,
            about=about,
            device=device,
            listen=listen,
        )
    terminal.say(f"backbone: {folder}")


@app.command()
@_opens_scene
def extract(
    scene: Scene,
    backbone: Annotated[str | None, typer.Option(help="A backbone, see `hsifeat backbones`.")] = None,
    timesteps: Annotated[str | None, typer.Option(help="Training timesteps; by default 0,50,100,200,400.")] = None,
    layers: Annotated[str | None, typer.Option(help="Layers, see `hsifeat layers`; by default the decoder's.")] = None,
    projection: Annotated[
        str | None, typer.Option(help="rgb, pca:N, bands:i,j,k or all; options: docs/extract.md.")
    ] = None,
    tile: Annotated[int | None, typer.Option(help="Pixels of a side of what the model sees at once; 64.")] = None,
    context: Annotated[int | None, typer.Option(help="Frame of a tile, in pixels, around its core; 16.")] = None,
    stitch: Annotated[
        str | None, typer.Option(help="Of tiles keep the core (usual), blend by mean or hann, or see the scene whole.")
    ] = None,
    padding: Annotated[str | None, typer.Option(help="Beyond the edge: reflect (usual) or zero.")] = None,
    origin: Annotated[str | None, typer.Option(help="ROW,COL of the first tile, such as -20,-26.")] = None,
    noise: Annotated[str | None, typer.Option(help="field (usual), shared, none or inversion:STEPS.")] = None,
    draws: Annotated[int | None, typer.Option(help="Average over so many draws of the noise; 1.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Seed of the noise; 0.")] = None,
    see_companion: Annotated[
        bool | None,
        typer.Option("--see-companion/--see-bands", help="Show the model the companion image, or the bands (usual)."),
    ] = None,
    class_label: Annotated[str | None, typer.Option(help="Label for a class-conditional backbone, or mean.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Text for a backbone that takes one.")] = None,
    upsample: Annotated[int | None, typer.Option(help="How many times a latent backbone enlarges tiles; 8.")] = None,
    dtype: Annotated[str | None, typer.Option(help="What is stored: float16 (usual) or float32.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="A published extraction, or a .toml file: what isn't given is as it says.")
    ] = None,
    like: Annotated[str | None, typer.Option(help="A store: what isn't given is as it was there.")] = None,
    out: Annotated[str | None, typer.Option(help="The store: a path or s3://…; by default in the cache.")] = None,
    device: Device = "auto",
    batch: Annotated[str, typer.Option(help="Most tiles in a forward, or auto.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say passes, bytes and minutes; write nothing.")] = False,
) -> None:
    """Write a scene's diffusion features into a store. What is there is kept; only what is missing is computed.

    Example: `hsifeat extract indian-pines --backbone backbone --timesteps 0,50,100 --layers up_blocks.1 --out ip.zarr`

    Another scene, seen as the first: `hsifeat extract other.mat --like ip.zarr --out other.zarr`

    As a paper did it: `hsifeat extract augsburg --recipe geodiffnet-augsburg --backbone 64x64_diffusion.pt --dry-run`
    """
    from hsifeat import terminal
    from hsifeat.extraction.extract import run
    from hsifeat.extraction.job import prepare

    job = prepare(
        scene,
        backbone=backbone,
        recipe=recipe,
        like=like,
        timesteps=None if timesteps is None else [_whole(t, "--timesteps") for t in _list(timesteps)],
        layers=None if layers is None else _list(layers),
        projection=projection,
        tile=tile,
        context=context,
        stitch=stitch,
        padding=padding,
        origin=None if origin is None else _corner(origin),
        noise=noise,
        draws=draws,
        seed=seed,
        companion=see_companion,
        class_label=class_label if class_label in {None, "mean"} else _whole(class_label, "--class-label"),
        prompt=prompt,
        upsample=upsample,
        dtype=dtype,
        out=out,
        device=device,
        batch=None if batch == "auto" else _whole(batch, "--batch"),
    )
    if dry_run:
        _show_job(job)
        job.check_disk()
        return
    with terminal.progress() as listen:
        store = run(job, listen=listen)
    terminal.say(f"store: {store.place}")


@app.command()
def fit(
    store: Store = None,
    head: Annotated[str, typer.Option(help="film, lightgbm, mlp, svm, or one from another package.")] = "film",
    inputs: Annotated[str, typer.Option(help="spectra, spectra+window, planes or spectra+planes.")] = "spectra+planes",
    labels: LabelName = None,
    split: Annotated[
        str | None, typer.Option(help="E.g. blocks:12+4:0.1; by default every labelled pixel trains.")
    ] = None,
    planes: Planes = None,
    seed: Seed = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A parameter of the head: name=value.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the model.")] = None,
) -> None:
    """Train one head on cached features, in seconds; the diffusion model is not touched.

    Example: `hsifeat fit ip.zarr --head film --split blocks:12+4:0.1 --out film-model`
    """
    from classifiers.fitting import fit_model
    from hsifeat import terminal
    from hsifeat.features import open_features

    features = open_features(store)
    model = fit_model(
        features,
        head,
        inputs=inputs,
        labels=labels,
        split=split,
        planes=None if planes is None else _list(planes),
        seed=seed,
        params=dict(_assignment(text) for text in set_ or ()),
    )
    terminal.say(f"{head} on {features.name}: learned from {model.train_pixels} pixels")
    if model.trial is None:
        terminal.say("every labelled pixel trained, so none is left to score: name a --split for a score")
    else:
        names, recalls = model.class_names, zip(model.trial.scores.classes, model.trial.scores.recall, strict=True)
        terminal.show_table("", [{"class": names[c], "recall": f"{r:.1%}"} for c, r in recalls], ("class", "recall"))
        for line in model.lines():
            terminal.say(line)
    if out is not None:
        model.save(out)
        terminal.say(f"model: {out}")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A model that `hsifeat fit --out` wrote.")],
    out: Annotated[Path, typer.Option(help="The map: .tif, .png, .npy or .mat.")],
    store: Store = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="The probability of each class instead of the likeliest one.")
    ] = False,
) -> None:
    """Map a whole scene with a trained head.

    Example: `hsifeat predict film-model ip.zarr --out map.tif`
    """
    from classifiers.fitting import Model
    from classifiers.mapping import map_scene
    from hsifeat import terminal
    from hsifeat.features import open_features
    from hsifeat.scenes.maps import check_map_path

    check_map_path(out, probabilities=probabilities)
    loaded, features = Model.load(model), open_features(store)
    with terminal.progress() as listen:
        notes = map_scene(features, loaded, out, probabilities=probabilities, listen=listen)
    for note in notes:
        terminal.note(note)
    terminal.say(f"{'probabilities' if probabilities else 'map'} of {features.name}: {out}")


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="The file: .npy, .parquet or .mat.")],
    store: Store = None,
    planes: Planes = None,
    labels: LabelName = None,
    every: Annotated[bool, typer.Option("--all", help="All valid pixels, not the labelled ones only.")] = False,
    spectra: Annotated[bool, typer.Option("--spectra", help="The scene's bands too, before the planes.")] = False,
) -> None:
    """Write features at labelled or at all pixels into a file for other tools.

    Example: `hsifeat export ip.zarr --out ip.parquet --planes 't50/*' --labels ground-truth`
    """
    from hsifeat import terminal
    from hsifeat.export import export as write
    from hsifeat.features import open_features

    features, chosen = open_features(store), None if planes is None else _list(planes)
    with terminal.progress() as listen:
        files = write(features, out, planes=chosen, labels=labels, every=every, spectra=spectra, listen=listen)
    terminal.say(f"features of {features.name}: {', '.join(map(str, files))}")


@app.command()
def bench(
    stores: Stores = None,
    heads: Annotated[str, typer.Option(help="Names of heads, or all.")] = "all",
    splits: Annotated[str, typer.Option(help="Splits, separated by commas.")] = "random:0.1,blocks:12+4:0.1",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds; each draws the split and the head anew.")] = 5,
    inputs: Annotated[str, typer.Option(help="What heads are given.")] = "spectra,spectra+window,planes,spectra+planes",
    labels: LabelName = None,
    planes: Planes = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
) -> None:
    """Compare heads and inputs on cached features and write a report. Finished runs are kept and not run again.

    Example: `hsifeat bench ip.zarr --heads film,svm --splits random:0.1,blocks:12+4:0.1 --seeds 5 --out report`
    """
    from classifiers.comparison.compare import compare
    from classifiers.comparison.entries import fitting_heads
    from classifiers.comparison.files import CSV, JSON, PAGE, write_files
    from classifiers.splits import separate
    from hsifeat import terminal

    with terminal.progress() as listen:
        comparison = compare(
            stores,
            heads=fitting_heads(_list(inputs)) if heads == "all" else _list(heads),
            splits=separate(splits),
            seeds=seeds,
            inputs=_list(inputs),
            labels=labels,
            planes=None if planes is None else _list(planes),
            out=out,
            command=" ".join(["hsifeat", *sys.argv[1:]]),
            listen=listen,
        )
    write_files(comparison, out)
    _show_comparison(comparison)
    terminal.say(f"report: {out / PAGE} (beside it {CSV} and {JSON})")


@cache.command("ls")
def list_cache(
    folders: Annotated[list[Path] | None, typer.Argument(help="Folders whose stores are entered as well.")] = None,
    as_json: Json = False,
) -> None:
    """List the stores that this machine knows, the last used first, with what they take on disk.

    Stores in the cache folder, and in folders given, are found even if the catalogue was lost.

    Example: `hsifeat cache ls`
    """
    from hsifeat.cache.budget import holdings
    from hsifeat.cache.catalogue import cache_folder, rebuild

    rebuild(folders or ())
    rows = [
        {
            "store": h.entry.name,
            "key": h.entry.key[:12],
            "MB": h.size_bytes / 1e6,
            "planes": h.planes,
            "used": _date(h.entry.used),
            "state": h.state,
            "place": h.entry.path,
        }
        for h in holdings()
    ]
    _show(f"stores ({cache_folder()})", rows, ("store", "key", "MB", "planes", "used", "state", "place"), as_json)
    if not as_json:
        from hsifeat import terminal

        terminal.say(f"{len(rows)} stores, {sum(float(str(row['MB'])) for row in rows) / 1e3:.3g} GB")


@cache.command("show")
def show_store(store: Store = None, as_json: Json = False) -> None:
    """Show what a store holds: scene, planes with their units done, label maps, and the recipe.

    Example: `hsifeat cache show ip.zarr`
    """
    from hsifeat import terminal
    from hsifeat.cache.budget import facts_of
    from hsifeat.cache.catalogue import find_store

    facts = facts_of(find_store(store))
    if as_json:
        terminal.show_json(facts)
        return
    rows = [{"": k, " ": v} for k, v in facts.items() if k not in {"planes", "recipe"}]
    terminal.show_table(facts["name"], rows, ("", " "))
    terminal.show_table("planes", facts["planes"], ("plane", "stride", "channels", "dtype", "units"))
    terminal.show_table("recipe", [{"": k, " ": v} for k, v in facts["recipe"].items()], ("", " "))


@cache.command("verify")
def verify_store(
    store: Store = None,
    mend: Annotated[bool, typer.Option("--repair", help="Compute anew just what is damaged.")] = False,
    backbone: Annotated[str | None, typer.Option(help="Where the backbone lies now, for --repair.")] = None,
    companion: Annotated[str | None, typer.Option(help="The companion image, for --repair of planes of one.")] = None,
    as_json: Json = False,
) -> None:
    """Read all of a store and compare every byte with what was written. Exit status 1 if something is damaged.

    Example: `hsifeat cache verify ip.zarr --repair`
    """
    from hsifeat import terminal
    from hsifeat.cache.catalogue import find_store
    from hsifeat.errors import StoreError
    from hsifeat.extraction.repair import repair, verify

    place = find_store(store)
    with terminal.progress() as listen:
        found = verify(place, listen=listen)
        damages = [{"kind": d.kind, "file": d.key} for d in found.damages]
        if found.damages and mend:
            found = repair(place, found, backbone=backbone, companion=companion, listen=listen)
    if as_json:
        unfinished = [str(plane.id) for plane in found.unfinished]
        terminal.show_json(
            {"store": str(place), "files": found.files, "damages": damages, "repaired": mend, "unfinished": unfinished}
        )
    else:
        if damages:
            terminal.show_table("damaged", damages, ("kind", "file"))
        terminal.say(f"{place}: {found.files} files, {found.size_bytes / 1e6:.1f} MB, read and compared")
        if found.unfinished:
            terminal.say(f"{len(found.unfinished)} planes were begun and not finished: the extract command goes on")
    if found.damages:
        raise StoreError(f"{len(damages)} damaged files: hsifeat cache verify {place} --repair computes them anew")
    if not as_json:
        terminal.say("all is as it was written" if not damages else f"{len(damages)} files mended")


@cache.command("rm")
def remove_store(
    stores: Annotated[list[str], typer.Argument(help="Paths, names or key prefixes.")],
) -> None:
    """Delete stores, unless somebody uses them just now.

    Example: `hsifeat cache rm ip`
    """
    from hsifeat import terminal
    from hsifeat.cache.budget import remove
    from hsifeat.cache.catalogue import find_store

    for place in [find_store(store) for store in stores]:
        terminal.say(f"deleted {place}: {remove(place) / 1e6:.1f} MB")


@cache.command("gc")
def collect_garbage(
    max_size: Annotated[str, typer.Option(help="What the cache folder may take, e.g. 200GB.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Delete the least recently used stores of the cache folder until it takes no more than this.

    A store in use is never deleted, nor one that was written to a place of your own with --out.

    Example: `hsifeat cache gc --max-size 200GB`
    """
    from hsifeat import terminal
    from hsifeat.cache.budget import Holding, collect, parse_size
    from hsifeat.cache.catalogue import rebuild

    def gone(holding: Holding) -> None:
        verb = "would delete" if dry_run else "deleted"
        terminal.say(f"{verb} {holding.entry.path}: {holding.size_bytes / 1e6:.1f} MB")

    limit = parse_size(max_size)
    rebuild(())
    left, stayed = collect(limit, dry_run=dry_run, removed=gone)
    for reason in stayed:
        terminal.say(f"stays: {reason}")
    terminal.say(f"the cache takes {left / 1e9:.3g} GB")


@app.command()
def info(as_json: Json = False) -> None:
    """Show versions, devices and folders.

    Example: `hsifeat info`
    """
    import platform
    from importlib.metadata import version

    import torch

    from hsifeat.cache.catalogue import cache_folder

    facts: dict[str, Any] = {"python": platform.python_version()}
    for name in ("hsifeat", "torch", "diffusers", "zarr", "scikit-learn", "lightgbm"):
        facts[name] = version(name)
    facts["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    facts["threads"] = torch.get_num_threads()
    facts["cache"] = str(cache_folder())
    _show("hsifeat", [{"": k, " ": v} for k, v in facts.items()] if not as_json else [facts], ("", " "), as_json)


def main() -> None:
    """Run the command line; errors that hsifeat raises on purpose become one message and exit status 1."""
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    debug = len(arguments) != len(sys.argv) - 1
    try:
        status = app(arguments, standalone_mode=False)
        if status == _CTRL_C:  # Typer catches it, and returns its exit status.
            _complain(_INTERRUPTED)
    except HsifeatError as error:
        if debug:
            raise
        _complain(str(error))
        status = 1
    except OSError as error:
        if debug:
            raise
        _complain(f"{error.filename or 'a file'} can't be used: {error.strerror or error}")
        status = 1
    except KeyboardInterrupt:
        _complain(_INTERRUPTED)
        status = _CTRL_C
    except Exception as error:
        # Click's own errors (wrong usage, abort) know how to show themselves and their exit status.
        if not hasattr(error, "exit_code") and type(error).__name__ != "Abort":
            raise
        if hasattr(error, "show"):
            error.show()
        status = getattr(error, "exit_code", _CTRL_C)
    sys.exit(status if isinstance(status, int) else 0)


def _complain(message: str) -> None:
    from hsifeat import terminal

    terminal.complain(message)


def _date(seconds: float) -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _whole(text: str, option: str) -> int:
    if not text.isdigit():
        raise typer.BadParameter(f"{option} takes whole numbers from 0; found {text!r}")
    return int(text)


def _corner(text: str) -> tuple[int, int]:
    import re

    found = re.fullmatch(r"\s*(-?\d+)\s*,\s*(-?\d+)\s*", text)
    if found is None:
        raise typer.BadParameter(f"--origin takes ROW,COL in whole numbers; found {text!r}")
    return int(found[1]), int(found[2])


def _assignment(text: str) -> tuple[str, Any]:
    import json

    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"--set takes name=value; found {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _show(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    from hsifeat import terminal

    if as_json:
        terminal.show_json(rows)
    else:
        terminal.show_table(title, rows, columns)


def _show_job(job: Job) -> None:
    from hsifeat import terminal

    plan = job.plan
    terminal.show_table(f"{job.place} ({'there' if job.store else 'new'})", plan.rows_of_table(), plan.TABLE)
    seconds = plan.passes * job.extractor.seconds_per_pass(plan) if plan.steps else 0.0
    tile, batch = " x ".join(map(str, dict.fromkeys(plan.tiling.tile))), job.extractor.batch
    again = sum(plan.forwards.values()) - plan.tiles
    terminal.say(f"tiles: {plan.tiles} in all" + (f", {again} more for those on borders of units" if again else ""))
    terminal.say(f"passes: {plan.passes} of a {tile}-px tile (of {plan.all_passes}), batches of {batch}")
    terminal.say(f"to write: at most {job.needed_bytes / 1e6:.1f} MB")
    terminal.say(f"time: about {seconds / 60:.1f} min on {job.extractor.device} (from one timed batch)")
    terminal.say(
        f"memory: about {job.extractor.peak_bytes(plan) / 1e6:.0f} MB beside the model's weights and activations"
    )


def _show_comparison(comparison: Comparison) -> None:
    from classifiers.comparison.overview import overview, remarks
    from hsifeat import terminal

    rows = overview(comparison)
    terminal.show_table("overall accuracy, %", rows, tuple(rows[0]))
    for remark in remarks(comparison):
        terminal.say(remark)


if __name__ == "__main__":
    main()
