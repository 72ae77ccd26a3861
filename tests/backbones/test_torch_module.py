"""A network of one's own before the cache: the documented code as it stands, entry points, and schedules."""

import sys

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from hsifeat import ModuleBackbone, NoiseSchedule, extract, open_backbone, open_features
from hsifeat.backbones.open_backbone import list_backbones
from hsifeat.errors import BackboneError
from tests.helpers.backbone_kinds import documented_code, install_lab, save_denoiser
from tests.helpers.small import small_cube


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """The documented package installed, its weights and a scene in the working folder."""
    site = tmp_path / "site"
    site.mkdir()
    install_lab(site)
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(tmp_path)
    save_denoiser(tmp_path)
    np.save("scene.npy", small_cube(rows=40, cols=50))
    yield site
    sys.modules.pop("lab", None)


def enter(site, name, code, function="make"):
    """Register one more entry point, whose function is in `code`."""
    (site / f"{name}.py").write_text(code)
    file = site / "lab-1.0.dist-info" / "entry_points.txt"
    file.write_text(f"{file.read_text()}{name} = {name}:{function}\n")


@pytest.mark.usefixtures("lab")
def test_the_documented_code_runs_as_it_stands(capsys):
    network, use = documented_code()
    assert len([line for line in network.splitlines() if line.strip()]) <= 30
    assert "diffusers" not in network + use
    exec(use, {})  # noqa: S102  # the code that the page tells people to run
    assert capsys.readouterr().out.strip() == "['enter', 'down', 'up', 'leave']"
    planes = open_features("own.zarr").planes
    assert [(plane.id.t, plane.id.layer, plane.stride, plane.channels) for plane in planes] == [
        (0, "up", 1, 16),
        (50, "up", 1, 16),
    ]
    # The oracle: the documented network itself, called as PyTorch calls it.
    room = {}
    exec(network, room)  # noqa: S102
    own = room["Denoiser"]()
    own.load_state_dict(torch.load("denoiser.pt", weights_only=True))
    image = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    backbone = room["open_denoiser"]("denoiser.pt")
    with torch.no_grad():
        assert torch.equal(backbone.predict(image, 9), own(image, torch.tensor([9])))


@pytest.mark.usefixtures("lab")
def test_an_entry_point_is_the_object_by_name_and_can_be_found_again():
    backbone = open_backbone("denoiser:denoiser.pt")
    assert backbone.source == "denoiser:denoiser.pt"
    listed = {row["name"]: row for row in list_backbones()}["denoiser"]
    assert listed == {
        "name": "denoiser",
        "what": "The lab's denoiser, NAME:FILE with its weights",
        "weights": "package lab",
    }


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        pytest.param("denoiser:nowhere.pt", {}, "denoiser:nowhere.pt can't be opened: .*nowhere.pt", id="no-file"),
        pytest.param("denoiser:denoiser.pt", {"prompt": "maize"}, "denoiser takes no prompt; leave out 'maize'", id="prompt"),
        pytest.param("denoiser:denoiser.pt", {"class_label": 3}, "takes no class label; leave out 3", id="label"),
        pytest.param("denoiser:denoiser.pt", {"upsample": 4}, "takes no upsampling; leave out 4", id="upsample"),
        pytest.param("untrained:denoiser:denoiser.pt", {}, "takes no fresh weights; leave out untrained:", id="untrained"),
        pytest.param("broken", {}, "the backbone broken can't be opened: No module named 'nowhere'", id="import"),
        pytest.param("plain", {}, "plain is a Linear without name, channels, .* wrap a plain network into a ModuleBackbone", id="no-backbone"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_entry_point_is_one_clear_line(lab, source, options, message):
    enter(lab, "broken", "import nowhere\n")
    enter(lab, "plain", "import torch\n\ndef make(text):\n    return torch.nn.Linear(2, 2)\n")
    with pytest.raises(BackboneError, match=message) as refused:
        open_backbone(source, **options)
    assert "\n" not in str(refused.value)
    assert {"broken": "can't be loaded: No module named 'nowhere'", "plain": "says nothing of itself"}.items() <= {
        row["name"]: row["what"] for row in list_backbones()
    }.items()
    for name in ("broken", "plain"):
        sys.modules.pop(name, None)


def test_an_entry_point_is_told_what_it_has_a_parameter_for(lab):
    code = "from lab import open_denoiser\n\ndef make(text, *, untrained_seed=None, class_label=None):\n"
    code += "    found = open_denoiser('denoiser.pt')\n    found.told = text, untrained_seed, class_label\n    return found\n"
    enter(lab, "told", code)
    assert open_backbone("told").told == ("", None, None)
    assert open_backbone("untrained:told:a:b", seed=5, class_label="7").told == ("a:b", 5, 7)
    assert open_backbone("untrained:told").source == "untrained:told"
    sys.modules.pop("told", None)


def denoiser(module, **options):
    return ModuleBackbone(module, NoiseSchedule.from_betas([0.1, 0.2]), 3, name="mine", **options)


class Scaled(torch.nn.Module):
    """A plain tensor among its attributes, a scalar timestep, and an output in a dict-like tuple."""

    def __init__(self, side=1):
        super().__init__()
        self.scale = torch.tensor([2.0])
        self.inner = torch.nn.Conv2d(3, 4, 3, stride=side, padding=1)

    def forward(self, image, t):
        return self.inner(image * self.scale + t), "more"


def by_number(network, noised, t):
    return network(noised, t / 2)


def test_a_network_that_is_called_otherwise_and_holds_plain_tensors():
    module = Scaled()
    backbone = denoiser(module, call=by_number)
    assert [(tap.name, tap.channels, tap.stride) for tap in backbone.taps] == [("inner", 4, 1)]
    image = torch.ones(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(backbone.forward_to(image, 1, ["inner"])["inner"], module(image, 0.5)[0])
        assert torch.equal(backbone.predict(image, 1), module(image, 0.5)[0][:, :3])


def test_training_the_module_further_changes_nothing():
    module = Scaled()
    backbone = denoiser(module, call=by_number)
    module.inner.weight.data += 1
    assert module.inner.weight.requires_grad and module.training
    assert denoiser(module, call=by_number).identity() != backbone.identity()
    found = backbone.predict(torch.ones(1, 3, 8, 8), 0)
    with torch.no_grad():
        assert not torch.equal(found, module(torch.ones(1, 3, 8, 8), 0)[0][:, :3])


def test_identity_tells_architectures_and_configurations_apart():
    class Other(Scaled):
        pass

    same = Scaled().state_dict()

    def identity(module, **options):
        module.load_state_dict(same)
        return str(denoiser(module, call=by_number, **options).identity())

    found = [
        identity(Scaled()), identity(Scaled(side=2)), identity(Other()), identity(Scaled(), config={"told": "t / 2"}),
        identity(Scaled(), config={"told": "t"}),
    ]  # fmt: skip
    assert len(set(found)) == len(found)
    assert identity(Scaled()) == found[0]


def test_modules_that_are_no_denoisers_are_refused():
    class Addressed(Scaled):
        def extra_repr(self):
            return str(object())

    with pytest.raises(BackboneError, match="prints with addresses.* give its config"):
        denoiser(Addressed())
    assert denoiser(Addressed(), config={}).identity()
    with pytest.raises(BackboneError, match=r"mine can't be run on an image of shape \(1, 3, 64, 64\): "):
        _ = denoiser(torch.nn.Linear(2, 2)).taps
    with pytest.raises(BackboneError, match="mine has no layer that gives a map .* whose side divides 64"):
        _ = denoiser(Scaled(side=3), call=by_number).taps
    assert denoiser(Scaled(side=3), call=by_number, side=48).taps[0].stride == 3


def test_a_plain_network_is_no_backbone_yet(scene, tmp_path):
    with pytest.raises(
        BackboneError, match="the backbone is a Scaled without name, .* wrap a plain network into a Mod"
    ):
        extract(scene, backbone=Scaled(), out=tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


@pytest.mark.parametrize("count", [1, 4, 1000])
def test_schedule_from_betas_is_that_of_diffusers(count):
    betas = np.linspace(1e-4, 0.02, count)
    wanted = DDPMScheduler(trained_betas=betas.tolist(), num_train_timesteps=count).alphas_cumprod.numpy()
    found = NoiseSchedule.from_betas(torch.from_numpy(betas), "v_prediction")
    assert found.alphas_cumprod.dtype == np.float32 and found.prediction == "v_prediction"
    np.testing.assert_allclose(found.alphas_cumprod, wanted, rtol=1e-5)
    assert NoiseSchedule(found.alphas_cumprod.tolist(), "v_prediction").digest == found.digest


@pytest.mark.parametrize("numbers", [[], [0.1, 0.2], [1.5, 0.5], [0.9, np.nan], [[0.9, 0.1]], [0.5, -0.1]], ids=str)
def test_schedules_that_are_none_are_refused(numbers):
    with pytest.raises(BackboneError, match=r"descend from 1 to 0; found an array of shape .*from_betas takes betas"):
        NoiseSchedule(numbers)


def test_predictions_have_names():
    with pytest.raises(BackboneError, match="a model predicts epsilon, sample, v_prediction; found 'noise'"):
        NoiseSchedule([0.9, 0.5], "noise")
