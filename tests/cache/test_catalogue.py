"""The catalogue: the store completed last, by name, by key prefix, and nothing that is gone."""

import shutil

import pytest

from hsifeat.cache import catalogue
from hsifeat.errors import StoreError
from hsifeat.files import cache_folder


@pytest.fixture
def three(tmp_path):
    paths = [tmp_path / f"{name}.zarr" for name in ("pines", "pavia", "salinas")]
    for path, key in zip(paths, ("aaaa11", "aaaa22", "bbbb33"), strict=True):
        path.mkdir()
        catalogue.add_entry(key * 10, path)
    return paths


def test_the_last_completed_is_the_default(three):
    assert catalogue.find_store(None).path == three[2]
    catalogue.add_entry("aaaa11" * 10, three[0])
    assert catalogue.find_store(None).path == three[0]
    assert len(catalogue.entries()) == 3


def test_by_path_name_and_prefix(three):
    assert catalogue.find_store(three[1]).path == three[1]
    assert catalogue.find_store("pavia").path == three[1]
    assert catalogue.find_store("aaaa22").path == three[1]
    with pytest.raises(StoreError, match=r"'aaaa' matches 2 stores: .*pines.*|'aaaa' matches 2 stores: .*pavia.*"):
        catalogue.find_store("aaaa")
    with pytest.raises(StoreError, match="no store at or named 'paviaa'; nearest: pavia"):
        catalogue.find_store("paviaa")


def test_what_is_gone_is_forgotten(three):
    shutil.rmtree(three[2])
    assert catalogue.find_store(None).path == three[1]
    for path in three[:2]:
        shutil.rmtree(path)
    with pytest.raises(StoreError, match="no complete store on this machine"):
        catalogue.find_store(None)


def test_a_damaged_entry_does_no_harm(three):
    for file in (cache_folder() / "catalogue").glob("*.json"):
        file.write_text("{")
        break
    assert len(catalogue.entries()) == 2


def test_a_store_made_anew_at_a_place_takes_the_old_entry(three):
    catalogue.add_entry("cccc44" * 10, three[0])
    assert catalogue.find_store("cccc44").path == three[0]
    with pytest.raises(StoreError, match="no store at or named 'aaaa11'"):
        catalogue.find_store("aaaa11")
