"""Guided-diffusion checkpoints against an independent ADM forward and the published sizes of the real networks."""

import hashlib
import json
import math
import os

import numpy as np
import pytest
import torch

from hsifeat.backbones.adm import checkpoint_flags as adm_facts
from hsifeat.backbones.adm.tensors import read_checkpoint
from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import BackboneError
from tests.helpers.adm_oracle import Plan

FACTS = {"attention_order": "legacy", "noise_schedule": "linear", "timesteps": 1000}
T = 37


def save(folder, plan, tensors=None, *, name="adm.pt", facts=None, **options):
    """Write a checkpoint, and a file with the facts that its tensors do not determine."""
    file = folder / name
    torch.save(plan.draw() if tensors is None else tensors, file, **options)
    heads = {"heads": plan.heads} if plan.heads else {"head_channels": plan.head_channels}
    order = "new" if plan.new_order else "legacy"
    write_facts(file, {**FACTS, **heads, "attention_order": order, **(facts or {})})
    return file


def write_facts(file, facts):
    lines = (f"{name} = {json.dumps(value)}" for name, value in facts.items() if value is not None)
    file.with_name(f"{file.name}.toml").write_text("\n".join(lines))


def images(n=2, side=16, channels=3):
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(5))


def compare(backbone, plan, tensors, label_row=None, network_t=T):
    """Compare all output blocks and the prediction with the independent forward pass."""
    output, blocks = plan.forward(tensors, images(channels=plan.channels), network_t, label_row)
    layers = {alias: name for name, alias in backbone.aliases(backbone.network).items()}
    assert list(layers) == [f"output_blocks.{i}" for i in range(len(blocks))]
    result = backbone.forward_to(images(channels=plan.channels), T, list(layers.values()))
    for alias, wanted in zip(layers.values(), blocks, strict=True):
        assert torch.allclose(result[alias], wanted, rtol=1e-4, atol=1e-4), alias
    assert torch.allclose(
        backbone.predict(images(channels=plan.channels), T), output[:, : plan.channels], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(Plan(heads=4), id="legacy-order"),
        pytest.param(Plan(heads=4, new_order=True), id="new-order"),
        pytest.param(Plan(head_channels=8), id="head-channels-legacy"),
        pytest.param(Plan(head_channels=16, new_order=True), id="head-channels-new"),
        pytest.param(Plan(heads=1), id="one-head"),
        pytest.param(Plan(heads=2, scale_shift=False), id="added-timestep"),
        pytest.param(Plan(heads=2, resblock_updown=False), id="convolutions-resample"),
        pytest.param(
            Plan(heads=2, scale_shift=False, resblock_updown=False, learn_sigma=False), id="improved-diffusion"
        ),
        pytest.param(Plan(head_channels=16, attention_at=(1, 4)), id="attention-at-the-finest-level"),
        pytest.param(Plan(head_channels=16, attention_at=()), id="attention-in-the-middle-only"),
        pytest.param(Plan(head_channels=8, mult=(1, 2, 3, 4), residual_blocks=3, attention_at=(2, 4, 8)), id="ADM-64"),
        pytest.param(Plan(head_channels=8, mult=(1, 1, 2, 2), residual_blocks=2, attention_at=(4, 8)), id="ADM-256"),
        pytest.param(Plan(head_channels=8, model_channels=64, mult=(0.5, 1, 2)), id="ADM-512"),
        pytest.param(Plan(head_channels=8, mult=(1,), attention_at=(1,)), id="one-level"),
        pytest.param(Plan(heads=2, channels=1), id="one-channel"),
    ],
)
def test_every_output_block_equals_our_own_forward(tmp_path, plan):
    tensors = plan.draw()
    compare(open_backbone(save(tmp_path, plan, tensors)), plan, tensors)


def test_the_attention_order_matters_although_both_load(tmp_path):
    plan = Plan(heads=4)
    file = save(tmp_path, plan)
    right = open_backbone(file)
    write_facts(file, {**FACTS, "heads": 4, "attention_order": "new"})
    wrong = open_backbone(file)
    right_map, wrong_map = (b.forward_to(images(), T, ["up_blocks.2"])["up_blocks.2"] for b in (right, wrong))
    assert (right_map - wrong_map).abs().max() > 0.01
    assert right.identity()["weights"] == wrong.identity()["weights"]
    assert right.identity() != wrong.identity()


@pytest.mark.parametrize("scale_shift", [True, False])
def test_labels_and_their_mean(tmp_path, scale_shift):
    plan = Plan(head_channels=8, classes=7, scale_shift=scale_shift)
    tensors = plan.draw()
    file, rows = save(tmp_path, plan, tensors), tensors["label_emb.weight"]
    compare(open_backbone(file, class_label=3), plan, tensors, rows[3])
    compare(open_backbone(file, class_label="mean"), plan, tensors, rows.mean(0))
    conditionings = [open_backbone(file, class_label=label).identity()["conditioning"] for label in (0, 3, "mean")]
    assert conditionings == [{"class_label": 0}, {"class_label": 3}, {"class_label": "mean"}]
    assert open_backbone(file, any_label=True).taps


@pytest.mark.parametrize("label", [None, 7, -1, "other"])
def test_labels_that_do_not_fit_are_refused(tmp_path, label):
    file = save(tmp_path, Plan(heads=1, classes=7))
    with pytest.raises(BackboneError, match="class-conditional: give one label, 0 to 6, or 'mean'"):
        open_backbone(file, class_label=label)


def test_unconditional_networks_take_no_label_and_no_prompt(tmp_path):
    file = save(tmp_path, Plan(heads=1))
    with pytest.raises(BackboneError, match="takes no class label; leave out 1"):
        open_backbone(file, class_label=1)
    with pytest.raises(BackboneError, match="takes no prompt; leave out 'a town'"):
        open_backbone(file, prompt="a town")


def test_untrained_is_the_same_architecture_with_fresh_weights(tmp_path):
    file = save(tmp_path, Plan(heads=2))
    fresh, again = (open_backbone(f"untrained:{file}", seed=3) for _ in range(2))
    assert fresh.identity() == again.identity()
    assert torch.equal(*(b.predict(images(), T) for b in (fresh, again)))
    trained = open_backbone(file).identity()
    other = open_backbone(f"untrained:{file}", seed=4).identity()
    assert len({identity["weights"] for identity in (trained, fresh.identity(), other)}) == 3
    assert fresh.identity()["architecture"] == trained["architecture"]
    assert open_backbone(fresh.source, seed=3).identity() == fresh.identity()


@pytest.mark.parametrize("rescale", [True, False])
def test_rescaled_timesteps(tmp_path, rescale):
    plan = Plan(heads=2)
    tensors = plan.draw()
    file = save(tmp_path, plan, tensors, facts={"timesteps": 4000, "rescale_timesteps": rescale})
    compare(open_backbone(file), plan, tensors, network_t=T / 4 if rescale else T)


def test_float16_weights_are_computed_in_float32(tmp_path):
    plan = Plan(heads=2)
    tensors = {name: tensor.half() for name, tensor in plan.draw().items()}
    backbone = open_backbone(save(tmp_path, plan, tensors))
    compare(backbone, plan, {name: tensor.float() for name, tensor in tensors.items()})


def test_files_of_torch_before_1_6_open(tmp_path):
    plan = Plan(heads=2)
    file = save(tmp_path, plan, _use_new_zipfile_serialization=False)
    compare(open_backbone(file), plan, plan.draw())


def test_schedules_equal_their_formulas(tmp_path):
    file = save(tmp_path, Plan(heads=1))
    linear = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    assert np.allclose(open_backbone(file).schedule.alphas_cumprod, linear, rtol=1e-4)
    write_facts(file, {**FACTS, "heads": 1, "timesteps": 500, "rescale_timesteps": False})
    halved = np.cumprod(1 - np.linspace(2e-4, 0.04, 500))
    assert np.allclose(open_backbone(file).schedule.alphas_cumprod, halved, rtol=1e-4)
    write_facts(file, {**FACTS, "heads": 1, "noise_schedule": "cosine"})

    def kept(u):
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - kept((t + 1) / 1000) / kept(t / 1000), 0.999) for t in range(1000)]
    schedule = open_backbone(file).schedule
    assert np.allclose(schedule.alphas_cumprod, np.cumprod(1 - np.array(betas)), rtol=1e-4, atol=1e-9)
    assert schedule.prediction == "epsilon"


def test_identity_is_plain_json_and_follows_content_alone(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plan = Plan(heads=2)
    one, other = (open_backbone(save(tmp_path / n, plan, name=f"{n}.pt")).identity() for n in "ab")
    assert one == other == json.loads(json.dumps(one))
    changed = plan.draw(seed=1)
    assert open_backbone(save(tmp_path / "b", plan, changed)).identity()["weights"] != one["weights"]


FULL_SIZE = {
    "ADM-64": (
        Plan(192, (1, 2, 3, 4), 3, (2, 4, 8), head_channels=64, new_order=True, classes=1000),
        64,
        295.9e6,
        "0-2: 768@8; 3: 768@16; 4-6: 576@16; 7: 576@32; 8-10: 384@32; 11: 384@64; 12-15: 192@64",
    ),
    "ADM-256": (
        Plan(256, (1, 1, 2, 2, 4, 4), 2, (8, 16, 32), head_channels=64),
        256,
        552.8e6,
        "0-1: 1024@8; 2-4: 1024@16; 5: 1024@32; 6-7: 512@32; 8-10: 512@64; 11: 512@128; 12-13: 256@128; 14-17: 256@256",
    ),
    # MTMSD's, which is trained on 48 px: attention in the middle only.
    "MTMSD": (Plan(128, (1, 2, 2), 2, (), heads=4), 48, None, "0-1: 256@12; 2-4: 256@24; 5: 256@48; 6-8: 128@48"),
}


@pytest.mark.parametrize("name", FULL_SIZE)
def test_the_published_networks_have_their_sizes(tmp_path, name):
    plan, side, parameters, table = FULL_SIZE[name]
    # Tensors of one number each, seen in full size: nothing of that size is stored or computed.
    tensors = {key: torch.zeros(()).expand(shape) for key, shape in plan.shapes().items()}
    backbone = open_backbone(save(tmp_path, plan, tensors), class_label=0 if plan.classes else None)
    with torch.device("meta"):
        count = sum(p.numel() for p in backbone.build().parameters())
    assert count == sum(math.prod(shape) for shape in plan.shapes().values())
    assert parameters is None or abs(count - parameters) < 0.05e6
    blocks = {}
    for entry in table.split("; "):
        numbers, size = entry.split(": ")
        first, _, last = numbers.partition("-")
        blocks |= {f"output_blocks.{i}": size for i in range(int(first), int(last or first) + 1)}
    result = {tap.alias: tap for tap in backbone.taps if tap.alias}
    assert {alias: f"{tap.channels}@{side // tap.stride}" for alias, tap in result.items()} == blocks
    if name == "ADM-64":
        assert (result["output_blocks.10"].name, result["output_blocks.11"].name) == (
            "up_blocks.2.attentions.2",
            "up_blocks.2",
        )
        assert [round(result[f"output_blocks.{i}"].share, 2) for i in (10, 11)] == [0.68, 0.83]
    if name == "ADM-256":
        assert count == 552_814_086
        assert [round(result[f"output_blocks.{i}"].share, 2) for i in (8, 12)] == [0.36, 0.54]


def test_a_file_known_by_its_sha256_needs_no_flags_file(tmp_path, monkeypatch):
    plan = Plan(heads=2)
    file = save(tmp_path, plan)
    beside = open_backbone(file).identity()
    (tmp_path / "adm.pt.toml").unlink()
    known = adm_facts.CheckpointFlags(**FACTS, heads=2)
    monkeypatch.setitem(adm_facts.KNOWN_BY_SHA256, hashlib.sha256(file.read_bytes()).hexdigest(), known)
    assert open_backbone(file).identity() == beside


def test_an_unknown_file_is_refused_with_what_to_write(tmp_path):
    file = save(tmp_path, Plan(heads=2), name="64x64_diffusion.pt")
    (tmp_path / "64x64_diffusion.pt.toml").unlink()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(BackboneError) as refusal:
        open_backbone(file)
    text = str(refusal.value)
    assert "\n" not in text
    assert digest in text and "write " + str(file) + ".toml with the lines heads = N or head_channels = N; " in text
    documented = 'head_channels = 64; attention_order = "new"; noise_schedule = "cosine"; timesteps = 1000'
    assert f"documented to have {documented}" in text
    # What it proposes can be written as it stands.
    file.with_name(f"{file.name}.toml").write_text(documented.replace("64;", "16;").replace("; ", "\n"))
    assert open_backbone(file).identity()["architecture"]["attention_order"] == "new"
    file.rename(tmp_path / "other.pt")
    with pytest.raises(BackboneError, match="has an unknown sha256") as refusal:
        open_backbone(tmp_path / "other.pt")
    assert "documented" not in str(refusal.value)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        pytest.param({"heads": None}, "head_channels: set exactly one of heads and head_channels", id="no-heads"),
        pytest.param(
            {"head_channels": 8}, "head_channels: set exactly one of heads and head_channels", id="both-heads"
        ),
        pytest.param(
            {"heads": 5}, "heads = 5 must divide the 64 channels of an attention layer", id="heads-that-do-not-divide"
        ),
        pytest.param({"attention_order": None}, "attention_order: Field required", id="no-order"),
        pytest.param(
            {"attention_order": "old"}, "attention_order: Input should be 'legacy' or 'new'", id="other-order"
        ),
        pytest.param({"noise_schedule": None, "timesteps": None}, "noise_schedule: .*; timesteps: Field", id="two"),
        pytest.param({"timesteps": 4000}, "rescale_timesteps: set it to true or false", id="no-rescale"),
        pytest.param({"timesteps": 1.5}, "timesteps: Input should be a valid integer", id="half-timesteps"),
        pytest.param({"head": 2}, "head: Extra inputs are not permitted", id="mistyped"),
    ],
)
def test_the_flags_file_is_validated(tmp_path, facts, message):
    file = save(tmp_path, Plan(heads=2), facts=facts)
    if facts.get("heads", 2) is None:
        write_facts(file, FACTS)
    with pytest.raises(BackboneError, match=message):
        open_backbone(file)


def test_a_flags_file_that_is_not_toml_is_refused(tmp_path):
    file = save(tmp_path, Plan(heads=2))
    (tmp_path / "adm.pt.toml").write_text("heads: 2")
    with pytest.raises(BackboneError, match=r"adm\.pt\.toml: Expected '='.* Required: heads = N or"):
        open_backbone(file)


class Evil:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "evil"),)


def _without(name):
    return lambda tensors: {key: tensor for key, tensor in tensors.items() if key != name}


def _with(name, tensor):
    return lambda tensors: {**tensors, name: tensor}


def _decoderless(tensors):
    return {key: tensor for key, tensor in tensors.items() if not key.startswith("output_blocks.")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(_without("out.0.bias"), "lacks the tensor out.0.bias; nearest", id="missing"),
        pytest.param(
            _without("time_embed.0.weight"), "the tensor time_embed.0.weight is missing", id="missing-telling"
        ),
        pytest.param(
            _without("input_blocks.2.0.in_layers.0.weight"), "lacks the tensor input_blocks.2.0", id="encoder"
        ),
        pytest.param(_decoderless, "the 0 output blocks can't form a decoder", id="classifier"),
        pytest.param(_with("extra.weight", torch.ones(1)), "does not have, extra.weight", id="extra"),
        pytest.param(
            _with("out.0.bias", torch.ones(31)), r"out.0.bias has the shape \(31,\); expected \(32,\)", id="shape"
        ),
        pytest.param(
            _with("out.2.weight", torch.ones(4, 32, 3, 3)), "3 input channels and 4 output channels", id="channels"
        ),
        pytest.param(_with("step", 3), "holds more than tensors, 'step' for one", id="number"),
        pytest.param(lambda tensors: {"state_dict": tensors}, "holds more than tensors, 'state_dict'", id="nested"),
        pytest.param(lambda tensors: list(tensors.values()), "holds a list; allowed is a state dict", id="list"),
        pytest.param(lambda _: {}, "the 0 output blocks can't form a decoder", id="empty"),
    ],
)
def test_other_tensors_are_refused(tmp_path, change, message):
    plan = Plan(heads=2)
    file = save(tmp_path, plan, change(plan.draw()))
    with pytest.raises(BackboneError, match=message) as refusal:
        open_backbone(file)
    assert "\n" not in str(refusal.value) and str(file) in str(refusal.value)


def test_pickles_of_more_than_tensors_are_not_unpickled(tmp_path):
    file = save(tmp_path, Plan(heads=2), {"a": Evil(tmp_path)})
    with pytest.raises(
        BackboneError, match=r"adm.pt can't be read: it may be truncated, or contain objects other than tensors"
    ) as error:
        open_backbone(file)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.999])
def test_truncated_files_are_refused(tmp_path, kept, zipped):
    file = save(tmp_path, Plan(heads=2), _use_new_zipfile_serialization=zipped)
    content = file.read_bytes()
    file.write_bytes(content[: kept if isinstance(kept, int) else int(len(content) * kept)])
    with pytest.raises(BackboneError, match="can't be read and may be truncated") as error:
        open_backbone(file)
    assert "\n" not in str(error.value)


def test_a_missing_file_or_a_folder_is_refused(tmp_path):
    with pytest.raises(BackboneError, match="no such file or folder: .*adm.pt"):
        open_backbone(tmp_path / "adm.pt")
    with pytest.raises(BackboneError, match="adm.pt does not exist; .* is a file"):
        read_checkpoint(tmp_path / "adm.pt", "cpu")
    (tmp_path / "adm.pt").mkdir()
    with pytest.raises(BackboneError, match="adm.pt is a folder; .* is a file"):
        open_backbone(tmp_path / "adm.pt")
