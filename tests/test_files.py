"""Files that hsifeat writes: their modes follow the umask, and a denied permission is said."""

import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from hsifeat.errors import StoreError
from hsifeat.files import atomic_write, disk_errors, write_file
from hsifeat.projection import Projection


def write_private(path):
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
        file.write(b"x")


def write_safetensors(path):
    with atomic_write(path) as part:
        save_file({"a": np.zeros(3)}, part)


def write_atomically(path):
    with atomic_write(path) as part:
        write_private(part)


def save_projection(path):
    Projection("bands:1", np.ones((1, 1), np.float32), np.zeros(1, np.float32), clip=False).save(path)


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077, 0o027])
@pytest.mark.parametrize(
    "write", [write_safetensors, write_atomically, lambda path: write_file(path, "x"), save_projection]
)
def test_modes_follow_the_umask(tmp_path, mask, write):
    before = os.umask(mask)
    try:
        (tmp_path / "plain").write_text("x")
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert {file.name for file in tmp_path.iterdir()} == {"file", "plain"}


def test_a_denied_permission_is_said():
    with (
        pytest.raises(StoreError, match="permission denied: /secret/file: ask its owner for access"),
        disk_errors(Path("/x")),
    ):
        raise PermissionError(13, "Permission denied", "/secret/file")
