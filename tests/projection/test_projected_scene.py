"""Channels of a scene that are projected when they are sliced, against the whole array projected by NumPy."""

import pickle

import numpy as np
import pytest

from hsifeat.projection import ProjectedScene, Projection

RNG = np.random.default_rng(3)
CUBE = RNG.normal(size=(9, 11, 5)).astype(np.float32)
CUBE[2, 3, 4] = np.nan
PROJECTION = Projection("test", RNG.normal(size=(5, 2)).astype(np.float32), np.array([1, -1], np.float32), clip=False)
VALID = RNG.random((9, 11)) < 0.8


@pytest.mark.parametrize("valid", [None, VALID], ids=["finite pixels", "mask"])
def test_slices_are_those_of_the_whole_projected_array(valid):
    kept = np.isfinite(CUBE).all(axis=2) if valid is None else valid
    whole = np.where(kept[..., None], CUBE @ PROJECTION.weights + PROJECTION.offset, 0)
    channels = pickle.loads(pickle.dumps(ProjectedScene(CUBE, PROJECTION, valid)))  # noqa: S301  # workers get it so
    assert (channels.shape, channels.dtype) == ((9, 11, 2), np.float32)
    for key in (np.s_[:], np.s_[2:5, 3:9], np.s_[1, 2:, 1], np.s_[::2, -1], np.s_[4, 4, 0], np.s_[3:3]):
        np.testing.assert_allclose(channels[key], whole[key], rtol=1e-5, atol=1e-6)


def test_only_the_slice_is_read():
    class Recorder:
        shape, dtype, keys = CUBE.shape, CUBE.dtype, []

        def __getitem__(self, key):
            self.keys.append(key)
            return CUBE[key]

    cube = Recorder()
    _ = ProjectedScene(cube, PROJECTION, VALID)[2:4, 5:9]
    assert cube.keys == [np.s_[2:4:1, 5:9:1]]
