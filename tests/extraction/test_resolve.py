"""Unset options come from a preset, a store or the defaults; explicit ones stay apart."""

import re

import numpy as np
import pytest

from hsifeat.errors import HsifeatError
from hsifeat.extraction.config import ExtractionConfig
from hsifeat.extraction.extract import extract
from hsifeat.extraction.resolve import resolve_config
from hsifeat.scenes import Scene


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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("backbone='natural32'\ndtype='float32'\nmantissa_bits=4", "no effect with `dtype='float32'`: `mantissa_bits`"),
        ("backbone='context'\ntile=32\nseed=1", "no effect with `backbone='context'`: `seed`, `tile`"),
        ("backbone='context'\ntimesteps=[50]", "leave out `timesteps`"),
        ("backbone='context'\nlayers=['mid_block']", "mid_block"),
        ("stitch='whole'\nhalo=8", "no effect with `stitch='whole'`: `halo`"),
        ("pixels='fields'\nstitch='hann'", "no effect with `pixels`: `stitch`"),
    ],
)
def test_a_value_that_a_preset_itself_makes_ineffective_is_an_error(values, message, tmp_path):
    preset = tmp_path / "z.toml"
    preset.write_text(f"title='z'\nsource='z'\ndiffers=['z']\n[extract]\n{values}\n")
    with pytest.raises(HsifeatError, match=f"^the preset {re.escape(str(preset))}: .*{re.escape(message)}"):
        resolve_config({}, preset=preset)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"dtype": "float32"}, ["no effect with `dtype='float32'`: `mantissa_bits` of the preset "]),
        ({"dtype": "float32", "stitch": "whole"}, ["`mantissa_bits` of", "no effect with `stitch='whole'`: `tile` of"]),
        ({"backbone": "context"}, ["no effect with `backbone='context'`: `layers`, `tile`, `timesteps` of"]),
        ({"mantissa_bits": 5}, []),
    ],
)
def test_a_note_names_the_values_of_a_preset_that_the_user_makes_ineffective(options, expected, tmp_path):
    preset = tmp_path / "m4.toml"
    values = "backbone='natural32'\nlayers=['up_blocks.1']\ntimesteps=[50]\ntile=32\nmantissa_bits=4\n"
    preset.write_text(f"title='m'\nsource='m'\ndiffers=['m']\n[extract]\n{values}")
    events = []
    config = resolve_config(options, preset=preset, listen=events.append)
    assert len(events) == len(expected)
    assert all(part in note.message for part, note in zip(expected, events, strict=True)), events
    assert config.model_fields_set == options.keys()


def test_a_note_names_the_values_of_a_store_that_the_user_makes_ineffective(store_path, tmp_path):
    scene = Scene("x", np.random.default_rng(0).random((16, 16, 4), np.float32))
    context = extract(scene, backbone="context", layers=["mean-5"], out=tmp_path / "c.zarr")
    events = []
    resolve_config({"stitch": "whole"}, like=store_path, listen=events.append)
    assert [note.message for note in events] == [
        f"no effect with `stitch='whole'`: `halo`, `tile` of the store {store_path}"
    ]
    for options, like in (
        ({"stitch": "whole"}, None),  # the defaults are nobody's choice
        ({"backbone": "context"}, context),  # a store of context states a batch, too
    ):
        resolve_config(options, like=like, listen=events.append)
    assert len(events) == 1
