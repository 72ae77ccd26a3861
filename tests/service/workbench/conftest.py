"""Fixtures of the workbench."""

from tests.helpers.labelled_scene import author  # noqa: F401  # a fixture
