"""Shared fixtures of splits."""

import pytest

from hsifeat import open_scene


@pytest.fixture(scope="session")
def pines():
    return open_scene("indian-pines").labels["ground-truth"]
