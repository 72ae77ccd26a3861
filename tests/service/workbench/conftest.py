"""Fixtures of the workbench."""

import pytest

from tests.helpers.labelled_scene import (
    add_labels,
    author,  # noqa: F401  # a fixture
    open_label_set,
)


@pytest.fixture
def base(author, service, request):  # noqa: F811  # the fixture above
    """The path of a new label set with five labels of each of four classes."""
    path = open_label_set(author, service.key, request.node.name[:90])
    add_labels(author, path)
    return path
