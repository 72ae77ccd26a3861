"""The grammar of projections: canonical text and wrong options."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsifeat.errors import ProjectionError
from hsifeat.projection import fit_projection
from hsifeat.projection.spec import ProjectionSpec, parse_projection


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rgb:gamma=0", "gamma is an exponent above 0"),
        (f"rgb:gamma={'9' * 400}", "gamma is an exponent above 0"),
        ("rgb:percentiles=98-2", "percentiles is LOW-HIGH"),
        ("rgb:stretch=both", r"stretch is band .* or joint"),
        ("pca:3:clip=0", "clip is the number of standard deviations"),
        ("rgb:clip=2", "the option 'clip' is unknown"),
        ("pca:3:gamma=2", "the option 'gamma' is unknown"),
        ("rgb:gamma=2:gamma=3", "the option 'gamma' is repeated"),
        ("rgb:bright", "the option 'bright' is unknown"),
        ("rgb:mask=", "mask is the FILE of a label map"),
        ("rgb:mask=a.mat:gt:clip=2", "the option 'clip' is unknown"),
        ("rgb:mask=a.mat:mask=b.mat", "the option 'mask' is repeated"),
        ("rgbx", "unknown projection 'rgbx'"),
        (None, "a projection is a text such as pca:3; found None"),
        (b"rgb", "a projection is a text"),
        (["rgb"], "a projection is a text"),
    ],
)
def test_wrong_options_are_refused(scene, spec, message):
    with pytest.raises(ProjectionError, match=message):
        fit_projection(spec, scene)


@given(
    st.sampled_from(["rgb", "bands"]),
    st.lists(st.integers(0, 400), min_size=1, max_size=4),
    st.booleans(),
    st.lists(st.decimals(0, 100, places=2), min_size=2, max_size=2, unique=True),
    st.floats(0, exclude_min=True, allow_infinity=False),
)
def test_a_spec_reads_back_from_its_text(kind, bands, joint, ends, gamma):
    low, high = sorted(map(float, ends))
    spec = ProjectionSpec(kind, tuple(bands) if kind == "bands" else (), joint, (low, high), gamma)
    assert parse_projection(spec.to_text()) == spec


@given(st.sampled_from(["pca", "all"]), st.integers(1, 99), st.decimals("0.01", 99, places=2))
def test_a_clip_reads_back_from_its_text(kind, count, clip):
    spec = ProjectionSpec(kind, (count,) if kind == "pca" else (), clip=float(clip))
    assert parse_projection(spec.to_text()) == spec
    assert parse_projection("pca:3:clip=none").to_text() == "pca:3"


@given(st.permutations(["percentiles=0-100", "gamma=0.4", "mask=C:/maps/a.gpkg:layer:column"]))
def test_options_have_any_order(options):
    spec = parse_projection(":".join(["rgb", *options]))
    assert spec == ProjectionSpec("rgb", percentiles=(0, 100), gamma=0.4, mask="C:/maps/a.gpkg:layer:column")
