"""Encoders as backbones, against plain forward passes of the module."""

import numpy as np
import pytest
import torch
from torch import nn

import hsifeat
from hsifeat import EncoderBackbone
from hsifeat.errors import BackboneError, HsifeatError
from hsifeat.extraction.config import ExtractionConfig
from hsifeat.extraction.prepare import prepare
from hsifeat.scenes import Scene

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


class Tokens(nn.Module):
    """A vision transformer with one block. Its tokens are a class token, a register, and the patches."""

    def __init__(self, patch=4, width=12):
        super().__init__()
        self.embed = nn.Conv2d(3, width, patch, stride=patch)
        self.first = nn.Parameter(torch.randn(1, 2, width))
        self.block = nn.TransformerEncoderLayer(width, 2, 16, batch_first=True)

    def forward(self, image):
        tokens = self.embed(image).flatten(2).transpose(1, 2)
        return {"hidden": self.block(torch.cat([self.first.expand(len(image), -1, -1), tokens], 1)), "loss": None}


def seeded(make, *arguments):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return make(*arguments)


def dense():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 5, 4, stride=4))


@pytest.fixture(scope="module")
def photograph():
    return Scene("photograph", np.random.default_rng(1).uniform(-1, 1, (32, 48, 3)).astype(np.float32))


def channels_of(scene):
    """Return a projection that copies the three bands to the channels."""
    return hsifeat.Projection("as is", np.eye(3, dtype=np.float32), np.zeros(3, np.float32), clip=False)


def image_of(scene):
    return torch.from_numpy(np.asarray(scene.cube).transpose(2, 0, 1)[None].copy())


def extract(scene, backbone, out, **options):
    return hsifeat.extract(scene, backbone=backbone, projection=channels_of(scene), dtype="float32", out=out, **options)


def stored(store, layer):
    (plane,) = [one for one in store.planes if one.id.layer == layer]
    assert plane.id.t == 0
    return np.asarray(store.plane(plane.id)[:])


def test_maps_of_a_dense_encoder_with_its_own_normalisation(photograph, tmp_path):
    module = seeded(dense)
    encoder = EncoderBackbone(module, 3, name="dense", mean=MEAN, std=STD)
    store = extract(photograph, encoder, tmp_path / "d.zarr", layers=["encoder.0", "output"], tile=24, halo=4)
    mean, std = (torch.tensor(values)[None, :, None, None] for values in (MEAN, STD))
    with torch.no_grad():
        image = ((image_of(photograph) + 1) / 2 - mean) / std
        fine, coarse = module[0](image), module(image)
    # At the edge of the scene, tiles are reflected, whereas the module pads zeros.
    inner = slice(4, -4), slice(4, -4)
    np.testing.assert_allclose(stored(store, "encoder.0")[inner], fine[0].permute(1, 2, 0)[inner], rtol=1e-4, atol=1e-5)
    inner = slice(1, -1), slice(1, -1)
    np.testing.assert_allclose(stored(store, "output")[inner], coarse[0].permute(1, 2, 0)[inner], rtol=1e-4, atol=1e-5)
    assert store.manifest.recipe["noise"]["policy"] == "none"


@pytest.mark.parametrize("upsample", [1, 2])
def test_tokens_of_a_patch_encoder_are_maps_of_its_patches(photograph, upsample, tmp_path):
    module = seeded(Tokens).eval()
    encoder = EncoderBackbone(module, 3, name="tokens", patch=4, upsample=upsample)
    taps = {tap.name: (tap.channels, tap.stride) for tap in encoder.taps}
    assert taps["output"] == taps["encoder.block"] == taps["encoder.embed"] == (12, 4 // upsample)
    store = extract(photograph, encoder, tmp_path / "t.zarr", stitch="whole")
    image = (
        nn.functional.interpolate(image_of(photograph), scale_factor=upsample, mode="bilinear")
        if upsample > 1
        else image_of(photograph)
    )
    with torch.no_grad():
        tokens = module(image)["hidden"][0, 2:]
    expected = tokens.reshape(32 * upsample // 4, 48 * upsample // 4, 12)
    np.testing.assert_allclose(stored(store, "output"), expected, rtol=1e-4, atol=1e-5)
    assert [plane.id.layer for plane in store.planes] == ["output"]


def test_the_identity_covers_weights_and_preprocessing_and_further_training_changes_nothing():
    def identity(**options):
        return EncoderBackbone(options.pop("module", module), 3, name="e", **options).identity()

    module = seeded(Tokens)
    first = EncoderBackbone(module, 3, name="e", patch=4)
    before = first.identity()
    others = [
        identity(patch=4, mean=MEAN, std=STD),
        identity(patch=4, upsample=2),
        identity(patch=4, call=lambda network, image: network(image)),
        identity(patch=4, module=Tokens()),
        identity(),
    ]
    assert identity(patch=4) == before
    assert len({str(one) for one in [before, *others]}) == 6
    module.embed.weight.data += 1
    assert first.identity() == before
    with torch.no_grad():
        assert not torch.equal(first.network(torch.zeros(1, 3, 8, 8)), module(torch.zeros(1, 3, 8, 8))["hidden"])


def test_noise_of_a_preset_without_effect_on_an_encoder_is_noted_or_refused(photograph):
    encoder, preset = EncoderBackbone(seeded(dense), 3, name="dense"), {"noise": "shared", "draws": 8}
    said = "no effect with the encoder dense: `noise`, `draws`"
    base = ExtractionConfig.from_options({**preset, "projection": channels_of(photograph), "timesteps": [0]})
    events = []
    overridden = ExtractionConfig.merged(base, {"backbone": encoder}, inherited_from="the preset p")
    job = prepare(photograph, overridden, listen=events.append)
    assert job.recipe.noise["policy"] == "none" and events[0].message == f"{said} of the preset p"
    own = ExtractionConfig.merged(base.with_values(backbone=encoder), {}, inherited_from="the preset p")
    with pytest.raises(HsifeatError, match=f"^the preset p: {said}"):
        prepare(photograph, own)


def test_what_does_not_suit_an_encoder_is_refused(photograph, tmp_path):
    module = seeded(dense)
    encoder = EncoderBackbone(module, 3, name="dense")
    for options, message in [
        ({"noise": "field"}, "dense is an encoder of clean images; found the noise field: leave out `noise`"),
        ({"draws": 2}, "no effect with the encoder dense: `draws`"),
        ({"timesteps": "auto:3"}, "whose only timestep is 0: leave out `timesteps`"),
        ({"timesteps": [50]}, "timestep 50 is out of range: this backbone has the training timesteps 0 to 0"),
    ]:
        with pytest.raises(HsifeatError, match=message):
            extract(photograph, encoder, tmp_path / "x.zarr", **options)
    with pytest.raises(BackboneError, match="dense is an encoder, which predicts no noise"):
        encoder.predict(image_of(photograph), 0)
    with pytest.raises(
        HsifeatError, match="dense is an encoder of clean images, whose only timestep is 0: name a denoiser"
    ):
        hsifeat.rank_timesteps(photograph, backbone=encoder, projection=channels_of(photograph))
    with pytest.raises(BackboneError, match="enlarges tiles by a divisor of the patch size 4; found 3"):
        EncoderBackbone(module, 3, name="dense", patch=4, upsample=3)
    for mean, std in ((MEAN, [1, 0, 1]), ("x", "y"), (0.5, 0.2)):
        with pytest.raises(BackboneError, match=r"a mean and a positive standard deviation for each of its 3 channels"):
            EncoderBackbone(module, 3, name="dense", mean=mean, std=std)
    assert not (tmp_path / "x.zarr").exists()


def test_means_may_be_arrays_and_tensors():
    module = seeded(dense)
    lists, arrays, tensors = (
        EncoderBackbone(module, 3, name="dense", mean=kind([0.5, 0.25, 1]), std=kind([1, 0.5, 2])).identity()
        for kind in (list, np.array, torch.tensor)
    )
    assert lists == arrays == tensors
