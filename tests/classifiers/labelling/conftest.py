"""A context store of the small scene, and the reduced columns of its pixels."""

import numpy as np
import pytest

from classifiers.labelling.scene_columns import open_scene_columns
from hsifeat import open_features
from hsifeat.features.features import Features
from hsifeat.features.stack import open_stack
from tests.helpers.context_stores import write_context_store


@pytest.fixture(scope="session")
def context(store_path, tmp_path_factory) -> Features:
    """A context store of the small scene."""
    return write_context_store(tmp_path_factory.mktemp("context") / "context.zarr", open_features(store_path))


@pytest.fixture(scope="session")
def columns(context, tmp_path_factory):
    """The columns of the small scene, in a cache folder that no other fixture uses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HSIFEAT_CACHE", str(tmp_path_factory.mktemp("columns")))
        return open_scene_columns(context)


@pytest.fixture(scope="session")
def clicks(context):
    """A label map (75, 53) with about sixty labelled pixels of the four classes."""
    drawn = np.random.default_rng(0).random((75, 53)) < 0.02
    return np.where(drawn, context.labels().classes, 0)


@pytest.fixture(scope="session")
def stack(context, store_path):
    """Features of the context store and of the store of planes together."""
    return open_stack([context, open_features(store_path)])
