"""Commands that messages advise: typed as they stand, they do what the message says, for any path."""

import re
import shlex
import shutil

import numpy as np
import pytest

import hsifeat
from hsifeat.errors import StoreError
from tests.helpers.command_line import run_main


@pytest.fixture
def store(store_path, tmp_path):
    """A copy of a store in a folder whose name means something to a shell."""
    return shutil.copytree(store_path, tmp_path / "Bob's store; $HOME & (more).zarr")


def values(store):
    rows, cols = (index.ravel() for index in np.indices((75, 53)))
    return hsifeat.open_features(store).sample(rows, cols, planes=["t300/mid_block"])


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def advised(message):
    """Return the words of the command that a message advises."""
    (command,) = re.findall(r"(hsifeat cache verify .*?(?: --repair)?)(?= (?:computes|restores|shows)|$)", message)
    return shlex.split(command)[1:]


@pytest.mark.parametrize("file", ["planes/t0300/mid_block/c/0/0/0", "planes/t0300/mid_block/zarr.json"])
def test_a_damaged_store_is_whole_after_the_advised_command(store, store_path, file, cli):
    damage(store / file) if "/c/" in file else (store / file).unlink()
    message = cli("cache", "verify", store, status=1)
    with pytest.raises(StoreError) as error:
        values(store)
    for text in (message, str(error.value)):
        assert advised(text)[:3] == ["cache", "verify", str(store)], text
    assert run_main(*advised(message)) == 0
    np.testing.assert_array_equal(values(store), values(store_path))
