"""Unset options come from a preset, a store or the defaults; explicit ones stay apart."""

import pytest

from hsifeat.errors import HsifeatError
from hsifeat.extraction.config import ExtractionConfig
from hsifeat.extraction.resolve import resolve_config


def test_without_a_source_the_defaults_are_taken():
    config = resolve_config({"backbone": "folder", "tile": 32, "halo": None})
    assert config == ExtractionConfig(backbone="folder", tile=32) and config.inherited_from == ""
    assert config.model_fields_set == {"backbone", "tile"}


@pytest.mark.parametrize("options", [{}, {"backbone": None}, {"backbone": "natural32"}])
def test_the_backbone_of_the_package_has_the_options_of_its_preset(options):
    config = resolve_config({**options, "seed": 4})
    assert (config.backbone, config.projection, config.seed) == ("natural32", "pca:3", 4)
    assert config.inherited_from == "the preset natural32"


def test_a_preset_fills_in_what_is_unset():
    config = resolve_config({"tile": 32}, preset="dift")
    assert (config.tile, config.draws, config.prompt, config.padding) == (32, 8, "", "reflect")
    assert config.model_fields_set == {"tile"} and config.inherited_from == "the preset dift"


def test_a_store_fills_in_what_is_unset(store_path):
    config = resolve_config({"seed": 4}, like=store_path)
    assert (config.tile, config.halo, config.timesteps, config.seed, config.batch) == (32, 8, (0, 300), 4, 16)
    assert config.projection.channels == 3 and config.model_fields_set == {"seed"}
    assert config.inherited_from == f"the store {store_path}"


def test_two_sources_are_refused(store_path):
    with pytest.raises(HsifeatError, match="`preset` and `like` both say where unset options come from"):
        resolve_config({}, preset="dift", like=store_path)
