"""Windows around pixels against np.pad, one forward pass per window and torch's interpolation; centre and mean."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import DDPMScheduler, UNet2DModel
from hypothesis import given
from hypothesis import strategies as st

import hsifeat
from hsifeat.backbones.unet2d import UNet2DBackbone
from hsifeat.errors import HsifeatError
from hsifeat.extraction.noise.noise_field import noise_field
from hsifeat.extraction.tiling.pixel_list import PixelList
from hsifeat.extraction.tiling.pixel_windows import PixelWindows, centre_and_mean
from hsifeat.projection import fit_projection
from hsifeat.scenes import Labels
from hsifeat.store.store import Store
from hsifeat.types import PlaneId, Window
from tests.helpers.extraction import plan, prepare
from tests.helpers.small import save_latent, small_cube

# Corners, edges, neighbours, and one in the middle, which lies alone.
ROWS = np.array([0, 0, 0, 1, 37, 37, 74, 74, 74])
COLS = np.array([0, 1, 52, 0, 20, 21, 0, 30, 52])
LAYERS = {"mid_block": 4, "up_blocks.0": 2, "up_blocks.2": 1}


def plane_values(store, t, layer):
    return np.asarray(store.plane(PlaneId(t, layer))[:])


def reference_planes(scene, folder, rows, cols, t, side, padding, noise, seed=0, draws=1):
    """The oracle (n, 2, channels) by layer, one window after the other: only the projection and the noise field are ours."""
    network = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False).eval()
    scheduler = DDPMScheduler.from_pretrained(folder / "scheduler")
    taken = {}
    for layer in LAYERS:
        network.get_submodule(layer).register_forward_hook(
            lambda _m, _i, out, layer=layer: taken.update({layer: out[0] if isinstance(out, tuple) else out})
        )
    image = fit_projection("rgb", scene).apply(scene.cube)
    how = {"mode": "reflect"} if padding == "reflect" else {"mode": "constant", "constant_values": -1}
    image = np.pad(image, ((side, side), (side, side), (0, 0)), **how)
    generator = torch.Generator().manual_seed(seed)
    shared = [torch.randn((1, 3, side, side), generator=generator) for _ in range(draws)]
    values = {layer: [] for layer in LAYERS}
    for row, col in zip(rows, cols, strict=True):
        top, left = row - side // 2, col - side // 2
        clean = torch.tensor(image[top + side : top + 2 * side, left + side : left + 2 * side].transpose(2, 0, 1)[None])
        maps = []
        for draw in range(draws):
            noised = clean
            if noise != "none":
                window = Window(int(top), int(left), side, side)
                eps = shared[draw] if noise == "shared" else torch.tensor(noise_field(window, 3, seed, draw)[None])
                noised = scheduler.add_noise(clean, eps, torch.tensor([t]))
            with torch.no_grad():
                network(noised, t)
            maps.append(dict(taken))
        for layer, means in values.items():
            mean = sum(taps[layer] for taps in maps) / draws
            large = F.interpolate(mean, (side, side), mode="bilinear", align_corners=False)[0]
            means.append([large[:, side // 2, side // 2].numpy(), large.mean(dim=(1, 2)).numpy()])
    return {layer: np.array(means) for layer, means in values.items()}


@pytest.mark.parametrize(
    ("side", "padding", "noise", "draws"),
    [
        pytest.param(16, "zero", "shared", 1, id="as-mtmsd"),
        pytest.param(12, "reflect", "field", 1, id="field"),
        pytest.param(16, "zero", "field", 2, id="two-draws"),
        pytest.param(16, "reflect", "none", 1, id="no-noise"),
    ],
)
def test_planes_equal_the_reference(scene, backbone_folder, tmp_path, side, padding, noise, draws):
    store = hsifeat.extract(
        scene, backbone=backbone_folder, timesteps=[0, 300], layers=list(LAYERS), pixels=(ROWS, COLS), tile=side,
        padding=padding, noise=noise, draws=draws, seed=3, dtype="float32", batch=4, out=tmp_path / "s.zarr",
    )  # fmt: skip
    assert [(p.id.layer, p.stride) for p in store.planes[:3]] == list(LAYERS.items())
    for t in (0, 300):
        planes = reference_planes(scene, backbone_folder, ROWS, COLS, t, side, padding, noise, 3, draws)
        for layer, wanted in planes.items():
            # A batch of one and one of four differ by some 6e-6 in float32: convolutions sum in another order.
            np.testing.assert_allclose(plane_values(store, t, layer), wanted, rtol=1e-4, atol=2e-5)


def test_stored_values_are_rounded_once(scene, backbone_folder, tmp_path):
    options = {"backbone": backbone_folder, "timesteps": [300], "pixels": (ROWS, COLS), "tile": 16}
    precise = hsifeat.extract(scene, **options, dtype="float32", out=tmp_path / "f32.zarr")
    half = hsifeat.extract(scene, **options, out=tmp_path / "f16.zarr")
    for plane in precise.planes:
        values = np.asarray(precise.plane(plane.id)[:])
        rounded = np.asarray(half.plane(plane.id)[:])
        assert rounded.dtype == np.float16 and rounded.shape == (9, 2, plane.channels)
        np.testing.assert_array_equal(rounded, values.astype(np.float16))


@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 6), st.integers(0, 99))
def test_centre_and_mean_equal_those_of_the_interpolated_map(count, cells, stride, seed):
    side = cells * stride
    maps = torch.randn((count, 5, cells, cells), generator=torch.Generator().manual_seed(seed))
    large = F.interpolate(maps.double(), (side, side), mode="bilinear", align_corners=False)
    wanted = torch.stack([large[:, :, side // 2, side // 2], large.mean(dim=(2, 3))], dim=1)
    np.testing.assert_allclose(centre_and_mean(maps, side), wanted, atol=1e-6)


@given(st.sets(st.tuples(st.integers(0, 40), st.integers(0, 30)), min_size=1), st.integers(1, 20), st.integers(0, 5))
def test_each_window_has_its_pixel_at_the_centre(places, side, first):
    rows, cols = np.array(sorted(places)).T
    windows = PixelWindows(PixelList(rows, cols), side)
    part = Window(min(first, len(rows) - 1), 0, len(rows) - min(first, len(rows) - 1), 2)
    seen = windows.valid_tiles(part, np.ones((41, 31), bool))
    image = np.pad(np.arange(41 * 31).reshape(41, 31), side, constant_values=-1)
    assert windows.count_tiles(part, np.ones((41, 31), bool)) == len(seen) == part.rows
    for window, row, col in zip(seen, rows[part.row :], cols[part.row :], strict=True):
        cut = image[window.row + side : window.row + 2 * side, window.col + side : window.col + 2 * side]
        assert cut.shape == (side, side) and cut[side // 2, side // 2] == row * 31 + col


def test_units_are_runs_of_the_list(scene, backbone_folder, tmp_path, monkeypatch):
    """Whatever the units, the values are the same up to the rounding of other batches."""
    options = {
        "backbone": backbone_folder,
        "timesteps": [300],
        "layers": ["up_blocks.0"],
        "tile": 16,
        "dtype": "float32",
    }
    one = hsifeat.extract(scene, **options, pixels=(ROWS, COLS), out=tmp_path / "one.zarr")
    monkeypatch.setattr("hsifeat.extraction.tiling.pixel_windows.UNIT_PIXELS", 4)
    many = hsifeat.extract(scene, **options, pixels=(ROWS, COLS), out=tmp_path / "many.zarr")
    assert [(u.index, u.window.rows) for u in many.units] == [((0, 0), 4), ((1, 0), 4), ((2, 0), 1)]
    assert len(one.units) == 1 and one.key == many.key
    np.testing.assert_allclose(
        plane_values(many, 300, "up_blocks.0"), plane_values(one, 300, "up_blocks.0"), rtol=1e-4, atol=1e-5
    )


@pytest.fixture
def forwards(monkeypatch):
    """Count the forwards of this process as (t, windows)."""
    counted = []
    plain = UNet2DBackbone.forward_to

    def counting(self, images, t, layers):
        counted.append((t, len(images)))
        return plain(self, images, t, layers)

    monkeypatch.setattr(UNet2DBackbone, "forward_to", counting)
    return counted


def test_only_missing_planes_are_computed(scene, backbone_folder, tmp_path, forwards):
    options = {"backbone": backbone_folder, "tile": 16, "pixels": (ROWS, COLS), "out": tmp_path / "s.zarr", "batch": 4}
    hsifeat.extract(scene, timesteps=[300], layers=["up_blocks.0"], **options)
    assert forwards == [(300, 4), (300, 4), (300, 1)]
    forwards.clear()
    store = hsifeat.extract(scene, timesteps=[0, 300], layers=["up_blocks.0", "mid_block"], **options)
    assert [t for t, _ in forwards] == [0, 0, 0, 300, 300, 300]
    whole = hsifeat.extract(
        scene, timesteps=[0, 300], layers=["mid_block", "up_blocks.0"], **(options | {"out": tmp_path / "whole.zarr"})
    )
    for plane in whole.planes:
        np.testing.assert_array_equal(np.asarray(store.plane(plane.id)[:]), np.asarray(whole.plane(plane.id)[:]))
    forwards.clear()
    hsifeat.extract(scene, timesteps=[0, 300], layers=["mid_block"], **options)
    assert forwards == []


def test_the_key_follows_the_list_of_pixels(scene, backbone_folder, tmp_path):
    """The key depends on the pixels, and not on the way they are given."""

    def key(pixels):
        job = prepare(scene, backbone=backbone_folder, tile=16, pixels=pixels, out=tmp_path / "none.zarr")
        return job.recipe.key

    classes = np.zeros((75, 53), np.uint8)
    classes[ROWS, COLS] = np.arange(1, 10)
    assert key((ROWS[::-1], COLS[::-1])) == key(Labels("mine", classes)) != key((ROWS[:8], COLS[:8]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"halo": 4}, "no effect with `pixels`: `halo`; leave out"),
        ({"stitch": "hann"}, "no effect with `pixels`: `stitch`"),
        ({"origin": (0, 0)}, "no effect with `pixels`: `origin`"),
        ({"tile": 18}, "a window of 18 px must be a multiple of 4, the coarsest stride"),
        ({"tile": 0}, "tile: expected at least 1; found 0"),
        ({"pixels": "roads"}, "small has no labels 'roads' to take pixels from.*fields"),
        ({"stitch": "window", "pixels": None}, "stitch: expected core"),
    ],
)
def test_a_refused_request_writes_nothing(scene, backbone_folder, tmp_path, options, message):
    wanted = {"tile": 16, "pixels": "fields", **options}
    with pytest.raises(HsifeatError, match=message) as raised:
        hsifeat.extract(scene, backbone=backbone_folder, **wanted, out=tmp_path / "s.zarr")
    assert "\n" not in str(raised.value) and list(tmp_path.iterdir()) == []


def test_a_latent_model_takes_windows_with_noise_that_has_no_positions(scene, tmp_path):
    save_latent(tmp_path / "latent")
    options = {"backbone": tmp_path / "latent", "pixels": (ROWS[:3], COLS[:3]), "timesteps": [100], "upsample": 1}
    options |= {"layers": ["up_blocks.1"], "tile": 64}
    with pytest.raises(
        HsifeatError, match="depends on positions on a grid of 8 px.*`noise='shared'` or `noise='none'`"
    ):
        hsifeat.extract(scene, **options, out=tmp_path / "s.zarr")
    store = hsifeat.extract(scene, **options, noise="shared", out=tmp_path / "s.zarr")
    assert store.planes[0].stride > 1 and np.isfinite(plane_values(store, 100, "up_blocks.1")).all()


def test_like_for_another_scene_needs_its_own_pixels(scene, backbone_folder, tmp_path):
    options = {"backbone": backbone_folder, "timesteps": [5], "layers": ["mid_block"], "noise": "shared"}
    first = hsifeat.extract(scene, **options, pixels=(ROWS, COLS), tile=16, padding="zero", out=tmp_path / "a.zarr")
    again = prepare(scene, like=first, out=tmp_path / "a.zarr")
    assert again.recipe.key == first.key and plan(again).passes == 0
    other = replace(scene, name="other", cube=small_cube(seed=5))
    with pytest.raises(
        HsifeatError, match="lists pixels of another scene than other: set the pixels of other with `pixels`"
    ):
        prepare(other, like=first, out=tmp_path / "b.zarr")
    second = hsifeat.extract(other, like=first, pixels="fields", out=tmp_path / "b.zarr")
    changed = {"scene", "pixels.count", "pixels.digest"}
    assert {
        name for name, _, _ in hsifeat.store.recipe.differences(first.manifest.recipe, second.manifest.recipe)
    } == changed
    assert hsifeat.Features(first).differences(second.manifest.recipe) == []


def test_a_scene_store_and_a_pixel_store_are_never_mixed(scene, backbone_folder, tmp_path):
    options = {"backbone": backbone_folder, "timesteps": [5], "layers": ["mid_block"], "tile": 16}
    hsifeat.extract(scene, **options, halo=4, out=tmp_path / "s.zarr")
    with pytest.raises(HsifeatError, match="holds planes of another recipe"):
        hsifeat.extract(scene, **options, pixels="fields", out=tmp_path / "s.zarr")
    like = hsifeat.extract(scene, like=tmp_path / "s.zarr", pixels=(ROWS, COLS), out=tmp_path / "w.zarr")
    assert like.manifest.recipe["tiling"] == {
        "tile_px": 16, "halo_px": 0, "stitch": "window", "padding": "reflect", "masked": "computed"
    }  # fmt: skip
    assert Store.open(tmp_path / "s.zarr").pixels is None
