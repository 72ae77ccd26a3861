"""Noise policies against torch and diffusers: add_noise, one generator, and DDIMInverseScheduler."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDIMInverseScheduler, DDPMScheduler, UNet2DModel

import hsifeat
from hsifeat.backbones.schedule import schedule_from_config
from hsifeat.backbones.unet2d import UNet2DBackbone
from hsifeat.errors import HsifeatError
from hsifeat.extraction.noise.noise_field import noise_field
from hsifeat.extraction.noise.policies import invert_step, parse_noising
from hsifeat.extraction.prepare import prepare
from hsifeat.projection import fit_projection
from hsifeat.scenes import Scene
from hsifeat.store.store import Store
from hsifeat.types import PlaneId, Window
from tests.helpers.small import small_cube

LAYER, STRIDE = "up_blocks.0", 2
# One tile of 32 px at the corner of a scene of 16: the least that a unit can be.
OPTIONS = {"tile": 32, "halo": 8, "layers": [LAYER], "dtype": "float32"}


@pytest.fixture(scope="module")
def little():
    return Scene("little", small_cube(16, 16), np.linspace(450, 900, 12))


@pytest.fixture(scope="module")
def plain(little, backbone_folder):
    """The oracle's parts: the padded tile, the network with a hook, the scheduler."""
    network = UNet2DModel.from_pretrained(backbone_folder / "unet", low_cpu_mem_usage=False).eval()
    taken = {}
    network.get_submodule(LAYER).register_forward_hook(lambda _m, _i, out: taken.update(out=out))
    image = np.pad(fit_projection("rgb", little).apply(little.cube), ((8, 8), (8, 8), (0, 0)), mode="reflect")
    clean = torch.tensor(image.transpose(2, 0, 1)[None].copy())

    def features(x, t):
        with torch.no_grad():
            output = network(x, t).sample
        kept = taken["out"][0].permute(1, 2, 0).numpy()[4:12, 4:12]
        return kept, output

    return SimpleNamespace(
        clean=clean, features=features, scheduler=DDPMScheduler.from_pretrained(backbone_folder / "scheduler")
    )


def extracted(scene, folder, out, t, **options):
    store = hsifeat.extract(scene, backbone=folder, timesteps=[t], out=out, **OPTIONS, **options)
    return np.asarray(store.plane(PlaneId(t, LAYER))[:])


def test_without_noise_the_image_is_what_the_network_sees(little, backbone_folder, plain, tmp_path):
    found = extracted(little, backbone_folder, tmp_path / "s.zarr", 261, noise="none")
    np.testing.assert_allclose(found, plain.features(plain.clean, 261)[0], rtol=1e-4, atol=1e-5)


def test_the_mean_over_draws_of_fields(little, backbone_folder, plain, tmp_path):
    found = extracted(little, backbone_folder, tmp_path / "s.zarr", 300, draws=3, seed=5)
    noises = [torch.tensor(noise_field(Window(-8, -8, 32, 32), 3, 5, draw))[None] for draw in range(3)]
    assert abs(np.corrcoef(torch.stack(noises).reshape(3, -1))[np.triu_indices(3, 1)]).max() < 0.1
    steps = torch.tensor([300])
    wanted = [plain.features(plain.scheduler.add_noise(plain.clean, noise, steps), 300)[0] for noise in noises]
    np.testing.assert_allclose(found, np.mean(wanted, axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("draws", [1, 2])
def test_one_tensor_is_torchs(little, backbone_folder, plain, tmp_path, draws):
    found = extracted(little, backbone_folder, tmp_path / "s.zarr", 50, noise="shared", seed=3, draws=draws)
    generator = torch.manual_seed(3)
    noises = [torch.randn(1, 3, 32, 32, generator=generator) for _ in range(draws)]
    steps = torch.tensor([50])
    wanted = [plain.features(plain.scheduler.add_noise(plain.clean, noise, steps), 50)[0] for noise in noises]
    np.testing.assert_allclose(found, np.mean(wanted, axis=0), rtol=1e-4, atol=1e-5)


def test_one_tensor_serves_all_tiles_and_timesteps(scene, backbone_folder, tmp_path, monkeypatch):
    """With it, tiles of a constant scene are all the same; with the field they are not."""
    flat = Scene("flat", np.full((64, 48, 12), 7, np.uint16) + np.arange(12, dtype=np.uint16))
    seen = []
    plainly = UNet2DBackbone.forward_to
    monkeypatch.setattr(
        UNet2DBackbone,
        "forward_to",
        lambda self, x, t, layers: (seen.append(x.clone()), plainly(self, x, t, layers))[1],
    )
    hsifeat.extract(flat, backbone=backbone_folder, timesteps=[100], noise="shared", out=tmp_path / "s.zarr", **OPTIONS)
    assert all(torch.equal(x, seen[0][:1].expand_as(x)) for x in seen)
    seen.clear()
    hsifeat.extract(flat, backbone=backbone_folder, timesteps=[100], out=tmp_path / "f.zarr", **OPTIONS)
    assert not torch.equal(seen[0][0], seen[0][1])


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("count", [50, 7])
def test_a_step_of_inversion_is_diffusers(prediction, betas, count):
    inverse = DDIMInverseScheduler(beta_schedule=betas, prediction_type=prediction, clip_sample=False)
    inverse.set_timesteps(count)
    schedule = schedule_from_config({"beta_schedule": betas, "prediction_type": prediction, "_class_name": "x"})
    steps = parse_noising(f"inversion:{count}", 0, 1, schedule, []).steps
    assert list(steps) == inverse.timesteps.tolist()
    x, output = torch.randn(2, 1, 3, 8, 8, generator=torch.manual_seed(0))
    for t, after in pairwise(steps):
        wanted = inverse.step(output, after, x).prev_sample
        torch.testing.assert_close(invert_step(schedule, output, x, t, after), wanted, rtol=1e-4, atol=1e-4)


def test_features_on_the_way_of_an_inversion(little, backbone_folder, plain, tmp_path):
    inverse = DDIMInverseScheduler.from_config(plain.scheduler.config, clip_sample=False)
    inverse.set_timesteps(5)
    x, wanted = plain.clean, {}
    for t in (0, 200, 400, 600):
        wanted[t], output = plain.features(x, t)
        x = inverse.step(output, t + 200, x).prev_sample
    for t in (0, 200, 600):
        found = extracted(little, backbone_folder, tmp_path / f"{t}.zarr", t, noise="inversion:5")
        np.testing.assert_allclose(found, wanted[t], rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("noise", ["inversion:10", "field", "shared"])
def test_what_was_interrupted_has_the_same_bits(scene, backbone_folder, tmp_path, noise):
    """Timesteps one after the other, from the last to the first, and all at once."""
    options = {**OPTIONS, "backbone": backbone_folder, "noise": noise, "batch": 3}
    if noise == "field":
        options["draws"] = 2
    at_once = hsifeat.extract(scene, timesteps=[100, 200, 400], out=tmp_path / "once.zarr", **options)
    for t in ([400], [100], [100, 200]):
        after = hsifeat.extract(scene, timesteps=t, out=tmp_path / "parts.zarr", **options)
    assert after.key == at_once.key and after.planes == at_once.planes
    for plane in at_once.planes:
        np.testing.assert_array_equal(after.plane(plane.id)[:], at_once.plane(plane.id)[:])


def test_passes_are_counted(scene, backbone_folder, tmp_path, monkeypatch):
    done = []
    for name in ("forward_to", "predict"):
        plainly = getattr(UNet2DBackbone, name)

        def counting(self, x, t, *rest, plainly=plainly):
            done.append(len(x))
            return plainly(self, x, t, *rest)

        monkeypatch.setattr(UNet2DBackbone, name, counting)
    options = {**OPTIONS, "backbone": backbone_folder}
    # 5 x 4 tiles; up to step 4 there are 4 predictions, and 2 forwards to the taps.
    job = prepare(scene, timesteps=[200, 400], noise="inversion:10", out=tmp_path / "i.zarr", **options)
    assert job.plan.passes == job.plan.all_passes == 20 * (4 + 2)
    hsifeat.extract(scene, timesteps=[200, 400], noise="inversion:10", out=tmp_path / "i.zarr", **options)
    assert sum(done) == 120
    again = prepare(scene, timesteps=[200, 400, 500], noise="inversion:10", out=tmp_path / "i.zarr", **options)
    assert (again.plan.passes, again.plan.all_passes) == (20 * 6, 20 * (5 + 3))
    assert prepare(scene, timesteps=[0, 9], draws=4, out=tmp_path / "d.zarr", **options).plan.passes == 20 * 2 * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": "fresh"}, "unknown noise 'fresh'; allowed: field, shared, none or inversion:N"),
        ({"noise": "inversion"}, "unknown noise 'inversion'"),
        ({"noise": "inversion:0"}, "unknown noise"),
        ({"noise": "inversion:1001"}, "at most 1000 steps"),
        (
            {"noise": "inversion:4", "timesteps": [0, 90]},
            "90 is no step of inversion:4; its steps are 0, 250, 500, 750",
        ),
        ({"noise": "none", "draws": 2}, "2 draws with the noise none"),
        ({"draws": 0}, "0 draws"),
    ],
)
def test_wrong_noise(scene, backbone_folder, options, message):
    with pytest.raises(HsifeatError, match=message):
        prepare(scene, backbone=backbone_folder, **{"timesteps": [0], **OPTIONS, **options})


def test_like_takes_the_noise_over(scene, backbone_folder, tmp_path):
    options = {**OPTIONS, "backbone": backbone_folder, "timesteps": [100]}
    for name, noise in {
        "i": {"noise": "inversion:10"},
        "d": {"noise": "shared", "draws": 2},
        "n": {"noise": "none"},
    }.items():
        store = hsifeat.extract(scene, out=tmp_path / f"{name}.zarr", **options, **noise)
        assert prepare(scene, like=Store.open(store.location), out=tmp_path / "new.zarr").recipe.key == store.key
