"""The extraction pipeline with a backbone of a few lines, against NumPy; and its estimates of time and memory."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from hsifeat.backbones.schedule import schedule_from_config
from hsifeat.errors import StoreError
from hsifeat.extraction.diffusion_extractor import DiffusionExtractor
from hsifeat.extraction.model_input import ModelInput
from hsifeat.extraction.noise.noise_field import noise_field
from hsifeat.extraction.noise.policy import parse_noise
from hsifeat.extraction.tiling.scene_tiling import tile_scene
from hsifeat.projection import Projection
from hsifeat.runtime.events import Advanced, Finished, Started
from hsifeat.scenes import Scene
from hsifeat.store.plane_layout import PlaneSpec, SceneLayout
from hsifeat.types import PlaneId, Window

SCHEDULE = schedule_from_config({"beta_schedule": "linear", "num_train_timesteps": 1000})
IDENTITY = Projection("identity", np.eye(2, dtype=np.float32), np.zeros(2, np.float32), clip=False)
CUBE = np.random.default_rng(0).normal(size=(24, 16, 2)).astype(np.float32)
LAYOUT = SceneLayout(24, 16, 8)
STRIDES = {"fine": 1, "coarse": 2}


class PoolingBackbone:
    """A backbone whose layers are means over cells of its input: taps of a tile equal those of the scene."""

    name, channels, denoiser_channels, cell_px, schedule = "pooling", 2, 2, Fraction(1), SCHEDULE

    def __init__(self):
        self.batches = []

    def to(self, device):
        assert device == "cpu"

    def encode(self, images):
        return images

    def forward_to(self, x, t, layers):
        self.batches.append((t, len(x)))
        return {layer: torch.nn.functional.avg_pool2d(x, STRIDES[layer]) for layer in layers}


class MemoryStore:
    """Keeps written blocks in arrays."""

    def __init__(self):
        self.planes, self.timings = {}, []

    def add_planes(self, planes):
        self.planes |= {plane.id: np.full(plane.cells(24, 16), np.nan, plane.dtype) for plane in planes}

    def write(self, plane, unit, values):
        stride = STRIDES[plane.layer]
        self.planes[plane][unit.window.coarsen(stride).slices] = values

    def add_timings(self, timings):
        self.timings.extend(timings)


def extractor_of(noise="none", cube=CUBE, draws=1, stitch="core", pooled=None, **options):
    scene = Scene("random", cube)
    return DiffusionExtractor(
        scene=scene,
        model_input=ModelInput(scene.cube, IDENTITY, scene.valid),
        backbone=PoolingBackbone(),
        tiling=tile_scene((24, 16), tile_px=8, halo_px=2, multiple=2, stitch=stitch),
        noise=parse_noise(noise, SCHEDULE, draws=draws),
        tiles_per_batch=3,
        requested_device="cpu",
        pooled=pooled or {},
        **options,
    )


def planes_of(*timesteps, dtype="float32", strides=STRIDES):
    return [PlaneSpec(PlaneId(t, layer), stride, 2, dtype) for t in timesteps for layer, stride in strides.items()]


def run(extractor, planes, events=None):
    plan = extractor.plan(planes, LAYOUT, None)
    store = MemoryStore()
    extractor.run(plan, store, (lambda _event: None) if events is None else events.append)
    return store, plan


def means(image, stride):
    """Means over stride x stride cells of (rows, cols, channels)."""
    rows, cols, channels = image.shape
    return image.reshape(rows // stride, stride, cols // stride, stride, channels).mean(axis=(1, 3))


@pytest.mark.parametrize("stitch", ["core", "mean", "hann"])
def test_planes_are_the_taps_of_the_scene(stitch):
    store, _ = run(extractor_of(stitch=stitch), planes_of(0, 500))
    for plane, values in store.planes.items():
        np.testing.assert_allclose(values, means(CUBE, STRIDES[plane.layer]), atol=1e-6)


def test_taps_are_averaged_over_draws_of_the_noise():
    store, _ = run(extractor_of("field", draws=3), planes_of(700))
    abar = SCHEDULE.alphas_cumprod[700].astype(float)
    noise = np.mean([noise_field(Window(0, 0, 24, 16), 2, 0, draw) for draw in range(3)], axis=0).transpose(1, 2, 0)
    expected = np.sqrt(abar) * CUBE + np.sqrt(1 - abar) * noise
    for plane, values in store.planes.items():
        np.testing.assert_allclose(values, means(expected, STRIDES[plane.layer]), atol=1e-5)


def test_layers_finer_than_the_scene_are_averaged_over_its_pixels():
    """Each scene pixel has 2 x 2 pixels of the model's input."""
    fine = np.random.default_rng(1).normal(size=(48, 32, 2)).astype(np.float32)
    extractor = replace(extractor_of(pooled={"fine": 2}), model_input=ModelInput(fine, IDENTITY, None, factor=2))
    store, _ = run(extractor, planes_of(0, strides={"fine": 1}))
    np.testing.assert_allclose(store.planes[PlaneId(0, "fine")], means(fine, 2), atol=1e-6)


def test_a_batch_holds_tiles_of_one_unit_at_one_timestep():
    extractor = extractor_of()
    run(extractor, planes_of(0, 500))
    # Units of 8 px hold 2 x 2 cores of 4 px: a batch of 3 and one of 1.
    assert extractor.backbone.batches == [(0, 3), (0, 1), (500, 3), (500, 1)] * 6


def test_events_count_passes_and_timings_are_stored():
    events = []
    store, plan = run(extractor_of("field", draws=2), planes_of(0, 500), events=events)
    assert events[0] == Started("extract", plan.total_passes, "tiles", 0)
    assert [e.done for e in events if isinstance(e, Advanced)] == [8 * (n + 1) for n in range(12)]
    assert events[-1] == Finished("extract") and plan.total_passes == 96
    assert [(timing.t, timing.tiles) for timing in store.timings] == [(None, 4), (0, 8), (500, 8)] * 6


def test_tiles_without_valid_pixels_are_zero():
    cube = CUBE.copy()
    cube[:12, :12] = 0  # with a margin of half of a stride
    store, _ = run(extractor_of("field", cube=cube), planes_of(900))
    assert all(not values[: 8 // STRIDES[p.layer], : 8 // STRIDES[p.layer]].any() for p, values in store.planes.items())


@pytest.mark.parametrize(
    ("dtype", "advice"),
    [("float16", "store float32 with `dtype='float32'`, in another `out`"), ("float32", "the weights may be damaged")],
)
def test_values_beyond_the_dtype_are_refused(dtype, advice):
    cube = CUBE.copy()
    cube[20, 3, 1] = 1e6 if dtype == "float16" else 1e38

    class Growing(PoolingBackbone):
        def forward_to(self, x, t, layers):
            return {layer: maps * 100 for layer, maps in super().forward_to(x, t, layers).items()}

    extractor = replace(extractor_of(cube=cube), backbone=Growing())
    with pytest.raises(StoreError, match=f"1 of 128 values of t0/fine are not finite in {dtype}: {advice}"):
        run(extractor, planes_of(0, dtype=dtype, strides={"fine": 1}))


def test_estimates():
    extractor = extractor_of("field", draws=2)
    plan = extractor.plan(planes_of(0), LAYOUT, None)
    assert extractor.seconds_per_pass(plan) > 0
    # 4 tiles of 8 x 8 px and 2 channels, clean and twice noised; a fine and a coarse block of four steps.
    assert extractor.peak_bytes(plan) == 3 * 4 * (8 * 8 * 2 * 4) + 4 * (8 * 8 + 4 * 4) * 2 * 4
    complete = extractor.plan(planes_of(0), LAYOUT, lambda _: np.ones((3, 2), bool))
    assert (extractor.seconds_per_pass(complete), extractor.peak_bytes(complete)) == (0, 0)
