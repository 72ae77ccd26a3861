"""MATLAB files: version 4, and the axis order of version 7 and 7.3 on real scenes."""

import numpy as np
import scipy.io

from hsifeat import open_scene
from hsifeat.scenes.readers import read_raster


def test_houston_labels_are_not_transposed(data_folder):
    """A linear classifier learns the labels of cells of one class better than the same labels transposed."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    path = data_folder / "houston2018_subset" / "houston_dataset.mat"
    scene = open_scene(path, variable="hyprImg")
    fine = np.asarray(read_raster(path, 2, "clasLabs").array)
    cells = fine.reshape(128, 4, 128, 4).transpose(0, 2, 1, 3).reshape(128, 128, 16)
    labels = np.where((cells == cells[..., :1]).all(axis=2), cells[..., 0], 0)
    assert (labels > 0).sum() == 4185
    cube = np.asarray(scene.cube).astype(np.float64)
    train = (np.add.outer(np.arange(128) // 8, np.arange(128) // 8) % 2).astype(bool)

    def accuracy(classes):
        known = classes > 0
        model = LinearDiscriminantAnalysis().fit(cube[known & train], classes[known & train])
        return model.score(cube[known & ~train], classes[known & ~train])

    assert accuracy(labels) > accuracy(labels.T) + 0.2


def test_matlab_version_4(tmp_path):
    scipy.io.savemat(tmp_path / "x.mat", {"gt": np.eye(3, 4)}, format="4")
    np.testing.assert_array_equal(np.asarray(read_raster(tmp_path / "x.mat", 2).array), np.eye(3, 4))
