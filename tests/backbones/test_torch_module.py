"""Plain torch modules as backbones: features of real forwards, identity by content, and refusals."""

import numpy as np
import pytest
import torch
from torch.nn.utils import prune

from hsifeat import ModuleBackbone, NoiseSchedule, extract
from hsifeat.errors import BackboneError, OutOfMemoryError
from hsifeat.types import Tap


def denoiser(module, **options):
    return ModuleBackbone(module, NoiseSchedule.from_betas([0.1, 0.2]), 3, name="denoiser", **options)


class Scaled(torch.nn.Module):
    """A module with a plain tensor as an attribute, a scalar timestep, and a tuple as output."""

    def __init__(self, side=1):
        super().__init__()
        self.scale = torch.tensor([2.0])
        self.inner = torch.nn.Conv2d(3, 4, 3, stride=side, padding=1)

    def forward(self, image, t):
        return self.inner(image * self.scale + t), "more"


def by_number(network, noisy, t):
    return network(noisy, t / 2)


def test_a_network_with_another_call_and_plain_tensors_as_attributes():
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
    prediction = backbone.predict(torch.ones(1, 3, 8, 8), 0)
    with torch.no_grad():
        assert not torch.equal(prediction, module(torch.ones(1, 3, 8, 8), 0)[0][:, :3])


def test_identities_of_architectures_and_configurations_differ():
    class Other(Scaled):
        pass

    same = Scaled().state_dict()

    def identity(module, **options):
        module.load_state_dict(same)
        return str(denoiser(module, call=by_number, **options).identity())

    identities = [
        identity(Scaled()), identity(Scaled(side=2)), identity(Other()), identity(Scaled(), config={"call": "t / 2"}),
        identity(Scaled(), config={"call": "t"}),
    ]  # fmt: skip
    assert len(set(identities)) == len(identities)
    assert identity(Scaled()) == identities[0]


def test_a_configuration_that_changes_later_is_that_of_the_start():
    config = {"input": {"scale": 1.0}}
    backbone = denoiser(Scaled(), call=by_number, config=config)
    before = str(backbone.identity())
    config["input"]["scale"] = 2.0
    assert str(backbone.identity()) == before


def test_a_module_that_is_no_denoiser_is_refused():
    class Addressed(Scaled):
        def extra_repr(self):
            return str(object())

    with pytest.raises(BackboneError, match="contains memory addresses.* pass its sizes as config"):
        denoiser(Addressed())
    assert denoiser(Addressed(), config={}).identity()
    with pytest.raises(BackboneError, match=r"denoiser can't be run on an image of shape \(1, 3, 64, 64\): "):
        _ = denoiser(torch.nn.Linear(2, 2)).taps

    def exhaust(*_):
        raise MemoryError

    with pytest.raises(OutOfMemoryError, match="memory ran out"):
        _ = denoiser(Scaled(), call=exhaust).taps
    without_layers = denoiser(Scaled(side=3), call=by_number)
    for _ in range(2):
        with pytest.raises(BackboneError, match="denoiser has no layer that gives a map .* whose side divides 64"):
            _ = without_layers.taps
    assert denoiser(Scaled(side=3), call=by_number, side=48).taps[0].stride == 3


def test_extraction_refuses_a_plain_network(scene, tmp_path):
    with pytest.raises(
        BackboneError,
        match="the backbone is a Scaled, not a backbone: it lacks name, .* Wrap a plain network into a Mod",
    ):
        extract(scene, backbone=Scaled(), out=tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


def test_averages_over_the_image_are_no_layers():
    class Squeeze(torch.nn.Module):
        """Squeeze and excitation: channels are weighted by their averages over the image."""

        def __init__(self):
            super().__init__()
            self.maps = torch.nn.Conv2d(3, 4, 2, stride=2)
            self.average = torch.nn.AdaptiveAvgPool2d(1)
            self.excite = torch.nn.Conv2d(4, 4, 1)

        def forward(self, noised, _timesteps):
            maps = self.maps(noised)
            return maps * self.excite(self.average(maps))

    # They have the shape of a map of stride 64 in an image of 64 px, but of stride 32 in one of 32 px.
    assert [(tap.name, tap.stride) for tap in denoiser(Squeeze()).taps] == [("maps", 2)]


class _Mixed(torch.nn.Module):
    """Layers with channels last, as in ConvNeXt, and a map of a fixed size, as in pyramid pooling."""

    def __init__(self, width, *, square=False):
        super().__init__()
        self.enter, self.norm = torch.nn.Conv2d(3, width, 3, padding=1), torch.nn.LayerNorm(width)
        self.pool, self.leave = torch.nn.AdaptiveAvgPool2d(8), torch.nn.Conv2d(width, 3, 1)
        self.square = square

    def forward(self, image, _timesteps):
        if self.square and image.shape[2] != image.shape[3]:
            raise ValueError("not square")
        maps = self.enter(image)
        maps = maps + self.norm(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.leave(maps + torch.nn.functional.interpolate(self.pool(maps), size=maps.shape[-2:]))


@pytest.mark.parametrize("square", [False, True], ids=["any-shape", "squares-only"])
@pytest.mark.parametrize("width", [8, 64], ids=["other-width", "width-of-the-side"])
def test_layers_that_do_not_follow_the_size_of_the_image_are_left_out(width, square):
    assert [(tap.name, tap.stride) for tap in denoiser(_Mixed(width, square=square)).taps] == [
        ("enter", 1),
        ("leave", 1),
    ]


def test_a_map_of_a_wrong_size_is_an_error(scene, tmp_path):
    """A module that takes 64 x 64 images only in the search for layers."""
    backbone = denoiser(_Mixed(8), side=64)
    pooled = Tap("pool", "", 8, 8, 1.0, ((0, 2),))
    backbone.__dict__["taps"] = [*backbone.taps, pooled]
    options = {"backbone": backbone, "layers": ["pool"], "timesteps": [0], "projection": "pca:3", "halo": 0}
    with pytest.raises(
        BackboneError, match=r"the layer pool gives maps .*, 8, 8\) .* 32 x 32 pixels, .* do not follow the size"
    ):
        extract(scene, **options, tile=32, out=tmp_path / "s.zarr")


def test_a_module_that_runs_twice_is_no_layer():
    """The first output of a shared activation, of one cell, was stored as the map."""

    class Shared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.maps, self.act = torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU()
            self.average = torch.nn.AdaptiveAvgPool2d(1)

        def forward(self, image, _timesteps):
            maps = self.maps(image)
            return self.act(maps * self.act(self.average(maps)))

    assert [tap.name for tap in denoiser(Shared()).taps] == ["maps"]


@pytest.mark.parametrize("change", ["weight_norm", "prune"])
def test_a_module_that_can_not_be_copied_is_refused(change):
    module = Scaled()
    if change == "prune":
        prune.random_unstructured(module.inner, "weight", 0.5)
    else:
        with pytest.warns(FutureWarning):
            torch.nn.utils.weight_norm(module.inner)
        module(torch.zeros(1, 3, 8, 8), 0)
    with pytest.raises(BackboneError, match="the module of denoiser can't be copied .*remove_weight_norm"):
        denoiser(module)


@pytest.mark.parametrize("config", [{"mean": np.ones(3)}, {"factor": np.float32(2)}, {"x": float("nan")}, ["a"]])
def test_a_configuration_that_is_no_json_is_refused(config):
    """The extraction raised an error of pydantic, and NaN, infinity and None gave one key."""
    with pytest.raises(BackboneError, match=r"config is a mapping of JSON values, .* \.tolist\(\)"):
        denoiser(Scaled(), call=by_number, config=config)


@pytest.mark.parametrize("is_random", [True, False])
def test_a_module_whose_output_is_random_is_refused(is_random):
    """Dropout that stays on, in contrast to a module that draws the same numbers each time, or numbers without an effect."""

    class Drawing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, noisy, _):
            drawn = torch.nn.functional.dropout(noisy, 0.5, training=True)
            return self.convolution(drawn if is_random else noisy + 0 * drawn.nan_to_num())

    backbone = ModuleBackbone(Drawing(), NoiseSchedule.from_betas([0.1, 0.2]), 3, name="drawing")
    if is_random:
        with pytest.raises(BackboneError, match="drawing draws random numbers in each pass"):
            _ = backbone.taps
    else:
        assert [tap.name for tap in backbone.taps] == ["convolution"]


@pytest.mark.parametrize("change", ["view", "in place", "no tensor", "NaN"])
def test_modules_that_are_not_random_are_accepted(change):
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, noisy, _):
            torch.rand(1)
            if change == "in place":
                noisy.sub_(0.5)
            output = self.convolution(noisy.view(len(noisy), -1).view_as(noisy))
            return {"no tensor": None, "NaN": output * torch.nan}.get(change, output)

    backbone = ModuleBackbone(Odd(), NoiseSchedule.from_betas([0.1, 0.2]), 3, name="odd")
    state = torch.get_rng_state()
    assert [tap.name for tap in backbone.taps] == ["convolution"] and torch.equal(torch.get_rng_state(), state)
