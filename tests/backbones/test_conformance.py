"""Conformance of every kind of backbone: protocol, taps of a true forward, early stop, reproducible bits, identity by content."""

import json
import shutil
import sys
from fractions import Fraction
from importlib.metadata import entry_points
from inspect import getattr_static
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from hsifeat.backbones import recall
from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.backbones.plugins import GROUP, call_plugin
from hsifeat.backbones.protocol import Backbone, FeatureSource
from hsifeat.backbones.recall import keep_description, recall_source
from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.backbones.taps import feature_map, select_taps
from hsifeat.commands.app import app
from hsifeat.errors import BackboneError
from tests.helpers.backbone_kinds import KINDS, install_lab, nudge
from tests.helpers.two_threads import Meeting, run_together

T = 37


@pytest.fixture(scope="module", autouse=True)
def _sources(tmp_path_factory):
    """The documented package installed, and a hub client without network whose cache is empty."""
    from huggingface_hub import constants

    site = tmp_path_factory.mktemp("site")
    install_lab(site)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        patch.setattr(constants, "HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        yield
    sys.modules.pop("lab", None)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The files of each kind, written once."""
    paths = {}

    def folder_of(kind):
        if kind.name not in paths:
            paths[kind.name] = tmp_path_factory.mktemp(kind.name) / "small"
            paths[kind.name].mkdir()
            kind.write(paths[kind.name])
        return paths[kind.name]

    return folder_of


@pytest.fixture(scope="module")
def backbone(kind, folders):
    opened = reopen(kind, folders(kind))
    opened.to("cpu")
    return opened


def reopen(kind, folder):
    return open_backbone(kind.source(folder), **kind.options)


def taps_at(backbone, t=T):
    """The layers that the network computes at a timestep."""
    return [tap for tap in backbone.taps if tap.runs_at(t)]


def images_for(backbone, count=1):
    """Images of two by two cells of the coarsest tap."""
    side = 2 * max(tap.stride for tap in backbone.taps)
    return torch.rand(count, backbone.channels, side, side, generator=torch.Generator().manual_seed(5)) * 2 - 1


def noisy_for(backbone, count=1):
    cells = backbone.encode(images_for(backbone, count))
    noise = torch.randn(cells.shape, generator=torch.Generator().manual_seed(6))
    return backbone.schedule.add_noise(cells, noise, T)


def watch(network, run):
    """Call `run`, and observe the modules of a network.

    Returns the result, the starts and ends of the modules in their order, and the feature maps by module.
    """
    events, maps = [], {}

    def begin(name):
        return lambda *_: events.append(("begin", name))

    def end(name):
        def note(_module, _inputs, output):
            events.append(("end", name))
            if (features := feature_map(output)) is not None:
                maps.setdefault(name, []).append(features.clone())

        return note

    hooks = []
    for name, module in network.named_modules():
        hooks += [module.register_forward_pre_hook(begin(name)), module.register_forward_hook(end(name))]
    try:
        result = run()
    finally:
        for hook in hooks:
            hook.remove()
    return result, events, maps


def test_it_has_every_member_of_the_protocol(backbone):
    nothing = object()
    for member in vars(FeatureSource) | vars(Backbone):
        if not member.startswith("_"):
            assert getattr_static(backbone, member, nothing) is not nothing, member
    assert isinstance(backbone.name, str) and backbone.name
    assert isinstance(backbone.schedule, NoiseSchedule)
    assert backbone.channels > 0 and backbone.denoiser_channels > 0
    assert isinstance(backbone.cell_px, Fraction) and backbone.cell_px > 0
    assert backbone.projection_file is None or backbone.projection_file.exists()


def test_taps_are_those_of_a_true_forward_in_order(backbone):
    images = images_for(backbone)
    noisy = noisy_for(backbone)
    _, events, maps = watch(backbone.network, lambda: backbone.predict(noisy, T))
    ended = [name for what, name in events if what == "end"]
    names = [tap.name for tap in taps_at(backbone)]
    assert names and len(set(names)) == len(names)
    assert names == [name for name in ended if name in set(names)]
    for tap in taps_at(backbone):
        (features,) = maps[tap.name]
        assert features.shape == (1, tap.channels, images.shape[2] // tap.stride, images.shape[3] // tap.stride), tap
    aliases = [tap.alias for tap in backbone.taps if tap.alias]
    assert len(set(aliases)) == len(aliases) and not set(aliases) & set(names)
    shares = [tap.share for tap in taps_at(backbone)]
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1
    features = backbone.forward_to(noisy, T, names)
    assert list(features) == names
    assert all(torch.equal(features[name], maps[name][0]) for name in names)


def test_forward_passes_of_several_threads_do_not_mix(backbone, monkeypatch):
    """The passes begin together, with all hooks in place, unless one waits for the other."""
    names = [tap.name for tap in taps_at(backbone)]
    first, second = noisy_for(backbone), noisy_for(backbone) / 2
    passes = [watch(backbone.network, lambda noisy=noisy: backbone.predict(noisy, T)) for noisy in (first, second)]
    meeting, call = Meeting(3), backbone.call

    def call_together(network, noisy, t):
        meeting.wait()
        return call(network, noisy, t)

    monkeypatch.setattr(backbone, "call", call_together)
    *features, predicted = run_together(
        lambda: backbone.forward_to(first, T, names),
        lambda: backbone.forward_to(second, T, names),
        lambda: backbone.predict(second, T),
    )
    for found, (_, _, maps) in zip(features, passes, strict=True):
        assert all(torch.equal(found[name], maps[name][0]) for name in names)
    assert torch.equal(predicted, passes[1][0])


def test_nothing_is_computed_after_the_last_tap(backbone):
    noisy = noisy_for(backbone)
    _, whole, _ = watch(backbone.network, lambda: backbone.predict(noisy, T))
    names = [tap.name for tap in taps_at(backbone)]
    for last in {names[0], names[len(names) // 2], names[-1]}:
        layers = [last, *names[: names.index(last)][:2]]
        features, events, _ = watch(backbone.network, lambda layers=layers: backbone.forward_to(noisy, T, layers))
        assert list(features) == layers
        assert events == whole[: whole.index(("end", last)) + 1]


def test_the_same_bits_twice_and_after_reopening(kind, backbone, folders):
    names = [tap.name for tap in taps_at(backbone)]
    other = reopen(kind, folders(kind))
    other.to("cpu")
    state = torch.random.get_rng_state()
    first, second, third = (b.forward_to(noisy_for(b), T, names) for b in (backbone, backbone, other))
    assert torch.equal(torch.random.get_rng_state(), state)
    for name in names:
        assert torch.equal(first[name], second[name]) and torch.equal(first[name], third[name])
        assert first[name].dtype == torch.float32 and not first[name].requires_grad
        assert first[name].isfinite().all()


def test_features_of_an_image_do_not_depend_on_its_batch(backbone):
    names = [tap.name for tap in taps_at(backbone)]
    images = images_for(backbone, count=3)
    cells = backbone.encode(images)
    together = backbone.forward_to(cells, T, names)
    for i in range(len(images)):
        one = backbone.encode(images[i : i + 1])
        torch.testing.assert_close(one[0], cells[i], rtol=1e-5, atol=1e-5)
        alone = backbone.forward_to(one, T, names)
        for name in names:
            scale = together[name].abs().max().clamp(min=1e-6)
            assert (alone[name][0] - together[name][i]).abs().max() / scale < 1e-5, name


def test_shapes_of_encodings_and_predictions(backbone):
    images = images_for(backbone, count=2)
    cells = backbone.encode(images)
    rows, cols = (Fraction(side) / backbone.cell_px for side in images.shape[2:])
    assert cells.shape == (2, backbone.denoiser_channels, rows, cols)
    predicted = backbone.predict(cells, T)
    assert predicted.shape == cells.shape and predicted.dtype == torch.float32
    assert not torch.equal(predicted, backbone.predict(cells, T + 400))


def test_the_callers_torch_settings_have_no_effect_and_are_restored(backbone):
    name = taps_at(backbone)[-1].name
    noisy = noisy_for(backbone)
    expected = backbone.forward_to(noisy, T, [name])[name], backbone.predict(noisy, T)

    def settings():
        return (
            torch.get_float32_matmul_precision(),
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.allow_tf32,
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
        )

    usual = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.enable_grad():
            before = settings()
            result = backbone.forward_to(noisy_for(backbone), T, [name])[name], backbone.predict(noisy, T)
            assert settings() == before
            with pytest.raises(BackboneError):
                backbone.forward_to(torch.zeros(1, backbone.denoiser_channels + 1, 8, 8), T, [name])
            assert settings() == before
    finally:
        torch.set_float32_matmul_precision(usual)
    assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))
    assert not any(p.requires_grad for p in backbone.network.parameters())
    assert not any(module.training for module in backbone.network.modules())


def test_identity_is_json_and_follows_content_alone(kind, backbone, folders, tmp_path):
    identity = backbone.identity()
    assert {"weights", "architecture", "schedule", "prediction", "conditioning"} <= set(identity)
    assert json.loads(json.dumps(identity, allow_nan=False)) == identity
    assert reopen(kind, folders(kind)).identity() == identity
    shutil.copytree(folders(kind), tmp_path / "elsewhere")
    assert reopen(kind, tmp_path / "elsewhere").identity() == identity
    backbone.forward_to(noisy_for(backbone), T, [backbone.taps[0].name])
    assert backbone.identity() == identity


def test_every_built_in_plugin_has_a_kind():
    own = {entry.name for entry in entry_points(group=GROUP) if entry.module.startswith("hsifeat.")}
    # `context` and encoders are no denoisers, and `natural32` opens a folder of the package, as their own tests show.
    assert own - {"context", "encoder-folder", "natural32"} <= {kind.plugin for kind in KINDS}


def test_a_changed_weight_changes_the_identity(kind, folders, tmp_path):
    if not kind.weights:
        return
    identity = reopen(kind, folders(kind)).identity()
    files = [f for f in folders(kind).rglob("*") if f.suffix in {".safetensors", ".bin", ".pt"}]
    assert files
    for file in files:
        changed = tmp_path / file.stem / file.parent.name
        shutil.copytree(folders(kind), changed)
        if kind.plugin != "hub":  # whose copy of a commit stays as it is
            keep_description(recall_source(kind.source(changed), **kind.options))
        nudge(changed / file.relative_to(folders(kind)))
        assert reopen(kind, changed).identity() != identity, file
        described = recall_source(kind.source(changed), **kind.options)
        assert described.identity() == reopen(kind, changed).identity(), file


def test_a_backbone_stays_that_of_its_path_in_another_working_directory(kind, folders, tmp_path, monkeypatch):
    if kind.plugin == "hub":
        pytest.skip("a model on the hub has no path")
    for place in ("here", "there"):
        shutil.copytree(folders(kind), tmp_path / place / "m")
    for file in (f for f in (tmp_path / "there").rglob("*") if f.suffix in {".safetensors", ".bin", ".pt"}):
        nudge(file)
    monkeypatch.chdir(tmp_path / "here")
    backbone = reopen(kind, Path("m"))
    monkeypatch.chdir(tmp_path / "there")
    assert backbone.identity() == reopen(kind, folders(kind)).identity()
    backbone.to("cpu")


def test_weights_that_change_after_opening_never_have_the_identity_of_others(kind, folders, tmp_path):
    """Loaded weights keep their identity. Weights that changed after the identity was read are not loaded."""
    for file in (f for f in folders(kind).rglob("*") if f.suffix in {".safetensors", ".bin", ".pt"}):
        folder = tmp_path / file.stem / file.parent.name
        shutil.copytree(folders(kind), folder)
        loaded, described = reopen(kind, folder), reopen(kind, folder)
        loaded.to("cpu")
        predicted, identity = loaded.predict(noisy_for(loaded), T), described.identity()
        nudge(folder / file.relative_to(folders(kind)))
        assert loaded.identity() == identity, file
        try:
            described.to("cpu")
        except BackboneError as error:
            assert "was replaced since the backbone was opened" in str(error), file
        else:  # the former weights were read when it was opened
            assert torch.equal(described.predict(noisy_for(loaded), T), predicted), file


def test_errors_are_one_clear_line(kind, backbone, folders):
    def refused(run):
        with pytest.raises(BackboneError) as error:
            run()
        assert str(error.value) and "\n" not in str(error.value)
        return str(error.value)

    noisy, last = noisy_for(backbone), taps_at(backbone)[-1].name
    wrong = torch.zeros(1, backbone.denoiser_channels + 1, *noisy.shape[2:])
    assert f"(n, {backbone.denoiser_channels}, rows, cols)" in refused(lambda: backbone.forward_to(wrong, T, [last]))
    refused(lambda: backbone.predict(wrong, T))
    assert "unknown layer" in refused(lambda: select_taps(backbone.taps, [last + "x"]))
    assert "out of range" in refused(lambda: backbone.schedule.check((backbone.schedule.timesteps,)))
    for option, value in kind.refused.items():
        said = refused(lambda o=option, v=value: open_backbone(kind.source(folders(kind)), **{**kind.options, o: v}))
        assert str(value) in said


def test_its_description_replaces_it_until_the_network_runs(kind, backbone, folders, monkeypatch):
    source = kind.source(folders(kind))
    command = ["layers", source, "--all", "--json"]
    listed = CliRunner().invoke(app, command)
    assert listed.exit_code == 0, listed.output
    assert [row["name"] for row in json.loads(listed.output)] == [tap.name for tap in backbone.taps]
    keep_description(recall_source(source, **kind.options))

    def call(plugin, *arguments):
        assert plugin.files is None, "the backbone is opened"
        return call_plugin(plugin, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(recall, "call_plugin", call)
        assert CliRunner().invoke(app, command).output == listed.output
        described = recall_source(source, **kind.options)
        for name in ("name", "source", "channels", "denoiser_channels", "cell_px", "projection_file", "taps"):
            assert getattr(described, name) == getattr(backbone, name), name
        assert described.identity() == backbone.identity()
        assert described.schedule.digest == backbone.schedule.digest
        assert described.schedule.prediction == backbone.schedule.prediction
    described = recall_source(source, **kind.options)
    described.to("cpu")
    layer = [tap.name for tap in backbone.taps if not tap.intervals or tap.intervals[0][0] <= T < tap.intervals[0][1]][
        -1
    ]
    cells, noisy = described.encode(images_for(backbone)), noisy_for(backbone)
    assert torch.equal(cells, backbone.encode(images_for(backbone)))
    assert torch.equal(described.predict(noisy, T), backbone.predict(noisy, T))
    assert torch.equal(described.forward_to(noisy, T, [layer])[layer], backbone.forward_to(noisy, T, [layer])[layer])
