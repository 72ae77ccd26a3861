"""Class labels of class-conditional U-Nets, against diffusers' own network; labels that are refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel

from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import BackboneError
from tests.helpers.small import save_unet


def test_class_labels_are_fixed_and_fit(tmp_path):
    save_unet(tmp_path / "c", num_class_embeds=5)
    with pytest.raises(
        BackboneError,
        match=r"class-conditional: give one label, 0 to 4, or 'mean' for the mean of all label embeddings; found None",
    ):
        open_backbone(tmp_path / "c")
    with pytest.raises(BackboneError, match="found 5"):
        open_backbone(tmp_path / "c", class_label=5)
    images = torch.ones(1, 3, 16, 16)
    two, three = (open_backbone(tmp_path / "c", class_label=n) for n in (2, 3))
    assert not torch.equal(*(b.forward_to(images, 9, ["mid_block"])["mid_block"] for b in (two, three)))
    assert two.identity()["conditioning"] == {"class_label": 2}
    assert open_backbone(tmp_path / "c", any_label=True).taps


def test_the_mean_label_is_the_mean_of_all_label_embeddings(tmp_path):
    save_unet(tmp_path / "c", num_class_embeds=5)
    mean = open_backbone(tmp_path / "c", class_label="mean")
    # The oracle: the same network, each of whose labels has the mean embedding.
    network = UNet2DModel.from_pretrained(tmp_path / "c" / "unet", low_cpu_mem_usage=False).eval()
    table = network.class_embedding.weight
    table.data[:] = table.data.mean(0)
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network(images, 9, class_labels=torch.tensor([4, 4])).sample
    torch.testing.assert_close(mean.predict(images, 9), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(mean.predict(images, 9), open_backbone(tmp_path / "c", class_label="mean").predict(images, 9))
    assert mean.identity()["conditioning"] == {"class_label": "mean"}
    two = open_backbone(tmp_path / "c", class_label="2")
    assert two.identity()["conditioning"] == {"class_label": 2}
    assert two.identity()["weights"] == mean.identity()["weights"]
    fresh = [open_backbone(f"untrained:{tmp_path / 'c'}", class_label=label).identity() for label in (2, "mean")]
    assert fresh[0]["weights"] == fresh[1]["weights"]
    with pytest.raises(BackboneError, match="0 to 4, or 'mean' .*; found 'maize'"):
        open_backbone(tmp_path / "c", class_label="maize")


def test_labels_without_a_table_have_no_mean(tmp_path):
    save_unet(tmp_path / "c", class_embed_type="timestep")
    with pytest.raises(BackboneError, match="give one label, 0 to 16777215; found 'mean'"):
        open_backbone(tmp_path / "c", class_label="mean")
    with pytest.raises(BackboneError, match="give one label, 0 to 16777215; found 16777216"):
        open_backbone(tmp_path / "c", class_label=2**24)
    assert open_backbone(tmp_path / "c", class_label=3).predict(torch.ones(1, 3, 8, 8), 1).isfinite().all()


@pytest.mark.parametrize(
    "label",
    [
        "²",
        "٣",
        "③",
        "-1",
        " 1",
        "1_0",
        pytest.param("9" * 5000, id="5000-digits"),
        -1,
        5,
        10**30,
        True,
        1.0,
        np.float32(1),
        [1],
    ],
)
def test_invalid_labels_are_refused(tmp_path, label):
    save_unet(tmp_path / "c", num_class_embeds=5)
    with pytest.raises(BackboneError, match="give one label, 0 to 4, or 'mean'") as refusal:
        open_backbone(tmp_path / "c", class_label=label)
    assert "\n" not in str(refusal.value)


def test_a_label_of_numpy_is_the_number(tmp_path):
    save_unet(tmp_path / "c", num_class_embeds=5)
    result = open_backbone(tmp_path / "c", class_label=np.int64(2)).identity()
    assert json.dumps(result) == json.dumps(open_backbone(tmp_path / "c", class_label=2).identity())


@pytest.mark.parametrize(
    "changed",
    [{"class_embed_type": "identity"}, {"class_embed_type": "maize"}, {"class_embed_type": ["timestep"]}],
    ids=str,
)
@pytest.mark.parametrize("label", [None, 1, "mean"])
def test_classes_that_are_no_labels_are_refused(backbone_folder, tmp_path, changed, label):
    shutil.copytree(backbone_folder, tmp_path / "c")
    file = tmp_path / "c" / "unet" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
    with pytest.raises(BackboneError, match="class_embed_type .*, which does not take whole numbers as labels"):
        open_backbone(tmp_path / "c", class_label=label)


def test_unconditional_models_take_no_label(backbone_folder):
    with pytest.raises(BackboneError, match="takes no class label; leave out 1"):
        open_backbone(backbone_folder, class_label=1)
