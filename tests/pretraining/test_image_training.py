"""Training on natural images: a reference loop, held-out loss, resuming, float16 files, refusals."""

import io
import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMScheduler, UNet2DModel
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

import hsifeat
from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.commands.app import app
from hsifeat.errors import PretrainingError
from hsifeat.pretraining.evaluation import draw_samples, held_out_losses
from hsifeat.pretraining.image_sampler import ImageSampler
from hsifeat.pretraining.model_writer import as_stored
from hsifeat.pretraining.network_arguments import unet_arguments
from hsifeat.pretraining.network_spec import ImageOptions
from hsifeat.pretraining.network_specs import NETWORK_SPECS
from hsifeat.pretraining.timestep_sampling import TimestepSampling
from hsifeat.pretraining.training import Trainer, count_parameters, make_scheduler
from hsifeat.runtime.events import Advanced
from hsifeat.scenes import Scene
from tests.helpers.small import small_cube
from tests.helpers.tiny_training import remembered_plot

TINY = replace(
    NETWORK_SPECS["natural32"]["small"],
    arguments=partial(
        unet_arguments, side_px=32, widths=(8, 16), blocks=1, head_channels=8, norm_groups=4, attention=(1,)
    ),
    batch=4,
    evaluation_steps=2,
    images=ImageOptions(max_held_out=3, sample_count=2),
)
ANY = TimestepSampling()


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORK_SPECS["natural32"], "small", TINY)
        patch.setattr("hsifeat.pretraining.evaluation._SAMPLING_STEPS", 5)
        patch.setattr("hsifeat.pretraining.model_writer.plot_losses", lambda *_: remembered_plot())
        yield


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "model"
    hsifeat.pretrain(folder, network="natural32", out=out, steps=5, attribution="noise, made here; no licence")
    return out


def weights(model):
    return load_file(model / "unet" / "diffusion_pytorch_model.safetensors")


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


def test_the_shipped_network_fits_into_the_package():
    with torch.device("meta"):
        count = count_parameters(NETWORK_SPECS["natural32"]["paper"].build(3))
    assert 5e6 < count < 7e6
    assert 2 * count < 15e6


def test_steps_equal_those_of_a_plain_loop(pictures):
    sampler = ImageSampler([pictures], 3, ANY, 0)
    trainer = Trainer(TINY, sampler, "cpu")
    torch.manual_seed(0)
    network = TINY.build(3).train()
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters())
    abar = DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod
    for step, progress in enumerate(trainer.train(3)):
        batch = sampler.draw(step, 4)
        x, eps, t = map(torch.from_numpy, (batch.clean, batch.noise, batch.t))
        a = abar[t][:, None, None, None]
        loss = ((network(a.sqrt() * x + (1 - a).sqrt() * eps, t).sample - eps) ** 2).mean()
        assert progress.loss == pytest.approx(loss.item(), rel=1e-5)
        optimizer.param_groups[0]["lr"] = 1e-3 * (step + 1) / 50
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1)
        optimizer.step()
        keep = 0.99 if step else 0.0  # The first average is the network itself.
        average = {n: keep * average[n] + (1 - keep) * v.detach() for n, v in network.state_dict().items()}
    assert trainer.step == 3
    for name, value in trainer.averaged.state_dict().items():
        torch.testing.assert_close(value, average[name], rtol=1e-4, atol=1e-5)


def test_held_out_loss_is_that_of_each_band(pictures):
    """A network that predicts a tenth of t has a loss of 1 + t² / 100, which differs between the bands."""

    class Tells(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x, t, return_dict):
            return (torch.zeros_like(x) + t[:, None, None, None] / 10,)

    losses = held_out_losses(Tells(), ImageSampler([pictures], 3, ANY, 0).held_out, make_scheduler(TINY), ANY)
    # E (t / 10 - eps)^2 = t^2 / 100 + 1, with one image at the first timestep of each band
    np.testing.assert_allclose(losses, [1 + (10 * band) ** 2 for band in range(10)], rtol=0.1)


def test_samples_are_those_of_diffusers_own_pipeline(trained):
    network = UNet2DModel.from_pretrained(trained / "unet", low_cpu_mem_usage=False).eval()
    ours = np.asarray(Image.open(io.BytesIO(draw_samples(network, make_scheduler(TINY), 1))))[::3, ::3]
    ddim = DDIMScheduler.from_config(make_scheduler(TINY).config, clip_sample=True)

    pipeline = DDIMPipeline(network, ddim)
    pipeline.set_progress_bar_config(disable=True)
    from hsifeat.pretraining.batches import Stream, make_generator

    start = torch.from_numpy(make_generator(0, Stream.SAMPLE_NOISE).standard_normal((1, 3, 32, 32), dtype=np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("diffusers.pipelines.ddim.pipeline_ddim.randn_tensor", lambda *_, **__: start.clone())
        theirs = np.asarray(pipeline(eta=0.0, num_inference_steps=5, output_type="np").images[0])
    assert np.abs(ours / 255 - theirs).max() < 0.01


def test_record_card_and_samples_are_complete(trained):
    record = json.loads((trained / "training.json").read_text())
    assert record["images"]["sources"][0]["count"] == 60 and record["images"]["held_out"] == 1
    assert list(record["held_out"]) == ["2", "4", "5"]
    assert {len(losses) for losses in record["held_out"].values()} == {10}
    card = (trained / "README.md").read_text()
    for said in (
        "noise, made here; no licence",
        "--network natural32 --size small",
        "--steps 5 --out DIR",
        "FID is not computed",
        "torch 2",
    ):
        assert said in card
    with Image.open(trained / "samples.png") as samples:
        assert samples.size == (192, 96)
    backbone = open_backbone(trained)
    assert backbone.channels == 3 and backbone.projection_file is None


def test_an_archive_trains_the_same_weights(trained, archive, tmp_path):
    hsifeat.pretrain(archive, network="natural32", out=tmp_path / "m", steps=5)
    assert same(weights(trained), weights(tmp_path / "m"))


def test_an_interrupted_training_continues_to_the_same_bits(trained, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("hsifeat.pretraining.session._CHECKPOINT_SECONDS", 0.0)
    plain = Trainer.save

    def dying(self, path):
        plain(self, path)
        if self.step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", dying)
        with pytest.raises(KeyboardInterrupt):
            hsifeat.pretrain(folder, network="natural32", out=tmp_path / "m", steps=5)
    events = []
    hsifeat.pretrain(folder, network="natural32", out=tmp_path / "m", steps=5, listen=events.append)
    # The interrupt came before the third checkpoint had its seal, so the training continues from the second.
    assert next(e.done for e in events if isinstance(e, Advanced)) == 3
    assert same(weights(trained), weights(tmp_path / "m"))
    records = [json.loads((m / "training.json").read_text()) for m in (trained, tmp_path / "m")]
    assert records[0]["losses"] == records[1]["losses"] and records[0]["held_out"] == records[1]["held_out"]


def test_minutes_stop_a_training_early_and_the_same_call_continues(trained, folder, tmp_path):
    def go(minutes):
        hsifeat.pretrain(folder, network="natural32", out=tmp_path / "m", steps=5, minutes=minutes)
        return json.loads((tmp_path / "m" / "training.json").read_text())["steps"]

    assert go(1e-9) == 1
    assert go(1e-9) == 2
    assert go(5) == 5
    assert same(weights(trained), weights(tmp_path / "m"))


def test_float16_files_are_half_and_open_as_float32(trained, folder, tmp_path):
    model = tmp_path / "m"
    shutil.copytree(trained, model)
    hsifeat.pretrain(folder, network="natural32", out=model, steps=5, dtype="float16")
    stored, full = weights(model), weights(trained)
    assert {t.dtype for t in stored.values()} == {torch.float16}
    backbone = open_backbone(model)
    for name, value in backbone.network.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, full[name].half().float())
    taps = backbone.forward_to(torch.zeros(1, 3, 32, 32), 10, ["mid_block"])
    assert taps["mid_block"].dtype == torch.float32
    assert json.loads((model / "training.json").read_text())["dtype"] == "float16"


def test_weights_with_channels_last_as_on_a_gpu_are_written_plain(tmp_path):
    network = TINY.build(3)
    values = {name: value.clone() for name, value in network.state_dict().items()}
    as_stored(network.to(memory_format=torch.channels_last), "float32").save_pretrained(tmp_path / "unet")
    assert same(values, weights(tmp_path))
    assert not network.conv_in.weight.is_contiguous()  # The network itself trains on as it was.


def test_a_run_starts_from_another_models_weights(trained, folder, tmp_path, monkeypatch):
    start = Trainer(TINY, ImageSampler([np.zeros((3, 32, 32, 3), np.uint8)], 1, ANY, 0), "cpu", weights(trained))
    assert same(weights(trained), start.network.state_dict())
    hsifeat.pretrain(folder, network="natural32", out=tmp_path / "m", steps=1, start=trained)
    moved = [
        (a - b).abs().max() for a, b in zip(weights(trained).values(), weights(tmp_path / "m").values(), strict=True)
    ]
    assert 0 < max(moved) < 1e-3
    with pytest.raises(PretrainingError, match="another start"):
        hsifeat.pretrain(folder, network="natural32", out=tmp_path / "m", steps=2)
    monkeypatch.setitem(
        NETWORK_SPECS["natural32"], "small", replace(TINY, arguments=partial(TINY.arguments, widths=(8, 8)))
    )
    with pytest.raises(PretrainingError, match="are those of another network: .*Unexpected key"):
        hsifeat.pretrain(folder, network="natural32", out=tmp_path / "n", steps=1, start=trained)
    assert not (tmp_path / "n").exists()


def damaged(archive, tmp_path):
    file = tmp_path / "cut.tar.gz"
    file.write_bytes(archive.read_bytes()[:60_000])
    return file


def text(_archive, tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("no archive")
    return file


def empty(_archive, tmp_path):
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (damaged, "can't be read to its end"),
        (text, "is not a tar archive"),
        (empty, "holds no readable image of at least 32 x 32 px"),
        (lambda _, tmp_path: tmp_path / "none", "none does not exist"),
        (lambda *_: Scene("small", small_cube()), "learns from natural images"),
    ],
    ids=["damaged", "text", "empty", "none", "scene"],
)
def test_sources_without_images_are_refused_in_one_line(source, message, archive, tmp_path):
    data = source(archive, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PretrainingError, match=message) as refusal:
        hsifeat.pretrain(data, network="natural32", out=tmp_path / "m", steps=1)
    assert "\n" not in str(refusal.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_command_trains_and_refuses_options_of_scenes(folder, tmp_path):
    command = ["pretrain", str(folder), "--network", "natural32", "--steps", "1", "--out", str(tmp_path / "m")]
    ended = CliRunner().invoke(app, command)
    assert ended.exit_code == 0, ended.output
    assert (tmp_path / "m" / "training.json").exists()
    refusal = CliRunner().invoke(app, [*command, "--variable", "x"])
    assert refusal.exit_code == 2 and "applies to scenes" in refusal.output
