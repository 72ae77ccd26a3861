"""Checks of label maps on the grid of a scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from classifiers.labelling.label_set import LARGEST_LABEL_CLASS
from hsifeat.errors import HeadError
from hsifeat.types import has_labelled_axes


def checked_labels(classes: NDArray[np.integer], shape: tuple[int, int]) -> NDArray[np.integer]:
    """Check a label map of a scene, and return it as a (rows, cols) integer array.

    `shape` is the number of rows and columns of the scene.

    Raises
    ------
    HeadError
        If `classes` is a masked array, an `xarray.DataArray` or a `pandas.DataFrame`. If its shape is not `shape`. If a
        value is not a whole number from 0 to 65535.
    """
    if isinstance(classes, np.ma.MaskedArray):
        raise HeadError(
            "labels are an array without a mask, because masked labels would count as classes; found a masked array: give "
            "classes.filled(0), in which 0 is unlabelled"
        )
    if has_labelled_axes(classes):
        raise HeadError(
            f"labels are a NumPy array; found {type(classes).__name__}, whose coordinates would be ignored: give its values in the order "
            "of the rows and columns of the scene, for example array.reindex_like(scene_array).values"
        )
    classes = np.asarray(classes)
    if classes.shape != shape or classes.dtype.kind not in "iu":
        raise HeadError(
            f"labels are whole numbers for the {shape[0]} x {shape[1]} pixels of the scene; found an array of {classes.dtype} and "
            f"shape {classes.shape}"
        )
    lowest, highest = int(classes.min(initial=0)), int(classes.max(initial=0))
    if lowest < 0 or highest > LARGEST_LABEL_CLASS:
        raise HeadError(
            f"classes have numbers from 1 to {LARGEST_LABEL_CLASS}, and 0 is unlabelled; found {lowest if lowest < 0 else highest}: "
            "renumber the classes"
        )
    return classes
