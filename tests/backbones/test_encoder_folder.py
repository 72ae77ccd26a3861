"""Folders of image encoders, against the encoder as transformers runs it."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate

import hsifeat
from hsifeat import open_backbone
from hsifeat.errors import BackboneError

SEED = 3
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A vision transformer with patches of 6 px, for images of 48 px."""
    from transformers import ViTConfig, ViTModel

    path = tmp_path_factory.mktemp("encoders") / "vit"
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        ViTModel(ViTConfig(**sizes, image_size=48, patch_size=6)).save_pretrained(path)
    (path / "preprocessor_config.json").write_text(json.dumps({"image_mean": MEAN, "image_std": STD}))
    return path


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "vit")


def output(backbone, images):
    return backbone.forward_to(backbone.encode(images), 0, ["output"])["output"]


def images():
    return torch.rand(2, 3, 16, 12, generator=torch.Generator().manual_seed(2)) * 2 - 1


@pytest.mark.parametrize(("upsample", "factor"), [(8, 6), (4, 3), (2, 2)])
def test_it_computes_what_transformers_computes(folder, upsample, factor):
    from transformers import ViTModel

    backbone = open_backbone(folder, upsample=upsample)
    assert (backbone.name, backbone.source, backbone.channels) == ("vit", str(folder), 3)
    assert {tap.name: tap.stride for tap in backbone.taps}["output"] == 6 // factor
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    pixels = interpolate((images() + 1) / 2, scale_factor=factor, mode="bilinear")
    with torch.no_grad():
        tokens = ViTModel.from_pretrained(folder)(
            (pixels - mean) / std, interpolate_pos_encoding=True
        ).last_hidden_state
    rows, cols = 16 * factor // 6, 12 * factor // 6
    expected = tokens[:, 1:].transpose(1, 2).reshape(2, 8, rows, cols)
    torch.testing.assert_close(output(backbone, images()), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [{"rescale_factor": 1 / 255}, {"rescale_factor": 1 / 127.5}, {"rescale_factor": 1 / 127.5, "rescale_offset": True}],
)
def test_images_have_the_scale_of_the_preprocessor(copy, settings):
    """The image processors of transformers are the oracle. Other factors than 1/255 were ignored."""
    from transformers import EfficientNetImageProcessor, ViTImageProcessor

    normalisation = {"image_mean": MEAN, "image_std": STD, **settings}
    (copy / "preprocessor_config.json").write_text(json.dumps(normalisation))
    values = np.random.default_rng(1).integers(0, 256, (12, 18, 3), dtype=np.uint8)
    kind = EfficientNetImageProcessor if "rescale_offset" in settings else ViTImageProcessor
    options = {"do_resize": False, "do_normalize": True, "do_rescale": True, **normalisation}
    options |= {"include_top": False} if "rescale_offset" in settings else {}
    expected = kind(**options)(values, return_tensors="np")["pixel_values"]
    images = torch.tensor(values / 127.5 - 1, dtype=torch.float32).permute(2, 0, 1)[None]
    np.testing.assert_allclose(open_backbone(copy, upsample=1).encode(images).numpy(), expected, atol=1e-4)


def test_an_encoder_that_draws_random_numbers_is_refused(folder, tmp_path):
    """Without a mask, the masked autoencoder shuffles its patches anew in each pass: cells had the features of other places."""
    from transformers import ViTMAEConfig, ViTMAEModel

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    with torch.random.fork_rng(devices=[]):
        network = ViTMAEModel(ViTMAEConfig(**sizes, image_size=48, patch_size=6, mask_ratio=0.0))
    network.save_pretrained(tmp_path / "mae")
    shutil.copy(folder / "preprocessor_config.json", tmp_path / "mae")
    state = torch.get_rng_state()
    with pytest.raises(BackboneError, match="mae draws random numbers in each pass, so that its features differ"):
        _ = open_backbone(tmp_path / "mae").taps
    assert torch.equal(torch.get_rng_state(), state)


def test_an_encoder_whose_last_tokens_are_no_patches_is_refused(folder, tmp_path):
    from transformers import YolosConfig, YolosModel

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    network = YolosModel(YolosConfig(**sizes, image_size=[48, 48], patch_size=6, num_detection_tokens=7))
    network.save_pretrained(tmp_path / "yolos")
    shutil.copy(folder / "preprocessor_config.json", tmp_path / "yolos")
    with pytest.raises(BackboneError, match="last tokens are detection tokens, not patches"):
        open_backbone(tmp_path / "yolos")


def test_a_layer_without_weights_is_left_out_if_it_is_the_pooler(copy):
    expected = output(open_backbone(copy), images())
    file = copy / "model.safetensors"
    tensors = load_file(file)
    without = {name: tensor for name, tensor in tensors.items() if not name.startswith("pooler.")}
    assert len(without) < len(tensors)
    save_file({**without, "classifier.weight": torch.zeros(2, 8)}, file, {"format": "pt"})
    backbone = open_backbone(copy)
    assert torch.equal(output(backbone, images()), expected)
    assert backbone.identity() == open_backbone(copy).identity(), "no random weights are digested"
    without.pop("layernorm.weight")
    save_file(without, file, {"format": "pt"})
    with pytest.raises(BackboneError, match=r"lacks the weights layernorm\.weight: copy the whole folder"):
        open_backbone(copy)


def test_random_weights_are_those_of_the_seed(folder):
    backbones = [open_backbone(f"untrained:{folder}", seed=seed) for seed in (SEED, SEED, 0)]
    assert (backbones[0].name, backbones[0].source) == ("vit-untrained", f"untrained:{folder}")
    first, again, other = (backbone.identity()["weights"] for backbone in backbones)
    # The weights in the folder are those that transformers draws with this seed.
    assert first == again == open_backbone(folder).identity()["weights"] != other


def test_an_extraction_like_another_one_enlarges_tiles_as_much(folder, tmp_path):
    scene = hsifeat.Scene("photograph", np.random.default_rng(1).random((12, 18, 3), np.float32))
    options = {"upsample": 3, "tile": 6, "halo": 0, "projection": "bands:0,1,2"}
    first = hsifeat.extract(scene, backbone=folder, out=tmp_path / "a.zarr", **options)
    again = hsifeat.extract(scene, like=tmp_path / "a.zarr", out=tmp_path / "b.zarr")
    assert [plane.stride for plane in again.planes] == [2]
    assert again.manifest.key == first.manifest.key


def test_the_key_follows_the_normalisation_and_the_enlargement(copy):
    identities = [open_backbone(copy, upsample=upsample).identity() for upsample in (6, 8, 2)]
    assert identities[0] == identities[1] != identities[2]
    (copy / "preprocessor_config.json").write_text(json.dumps({"image_mean": MEAN, "image_std": MEAN}))
    assert open_backbone(copy, upsample=6).identity() != identities[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"has no preprocessor_config\.json: the encoder needs image_mean and image_std"),
        ({"image_mean": MEAN}, "normalised .* by image_mean and image_std"),
        ({"image_mean": MEAN, "image_std": STD, "do_rescale": False}, "images from 0 to 1"),
        ({"image_mean": [0.5], "image_std": [0.5]}, "for each of its 3 channels"),
        ({"image_mean": MEAN, "image_std": STD, "do_flip_channel_order": True}, "in the order red, green, blue"),
        ({"image_mean": MEAN, "image_std": STD, "rescale_factor": 0}, "rescale_factor is a positive number; found 0"),
        (
            {"image_mean": MEAN, "image_std": STD, "rescale_factor": "1"},
            "rescale_factor is a positive number; found '1'",
        ),
        ({"image_mean": ["a"] * 3, "image_std": STD, "rescale_factor": 1}, "image_mean and image_std are numbers"),
    ],
)
def test_an_unknown_normalisation_is_refused(copy, content, message):
    (copy / "preprocessor_config.json").unlink()
    if content is not None:
        (copy / "preprocessor_config.json").write_text(json.dumps(content))
    with pytest.raises(BackboneError, match=message):
        open_backbone(copy)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_hidden_layers", 10**6, "num_hidden_layers is .*; allowed are numbers to 256"),
        ("hidden_size", 16, "can't be opened by transformers"),
        ("patch_size", [6, 4], "can't be opened by transformers"),
        ("model_type", "no-such-type", "can't be opened by transformers"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(copy, name, value, message):
    file = copy / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))
    with pytest.raises(BackboneError, match=message) as error:
        open_backbone(copy)
    assert "\n" not in str(error.value)


def test_damaged_folders_and_options_are_refused(copy):
    with pytest.raises(BackboneError, match="divisor of the patch size 6; found 0"):
        open_backbone(copy, upsample=0)
    with pytest.raises(BackboneError, match="takes no class label"):
        open_backbone(copy, class_label=1)
    (copy / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(BackboneError, match="can't be opened by transformers"):
        open_backbone(copy)
