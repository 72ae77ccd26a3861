"""Planes with fewer bits of the mantissa, against numcodecs."""

import numpy as np
import pytest
from numcodecs import BitRound

import hsifeat
from hsifeat import HsifeatError, Scene
from hsifeat.store.bit_rounding import keep_bits


def oracle(values, bits):
    codec = BitRound(keepbits=bits)
    return np.asarray(codec.decode(codec.encode(values))).view(np.float16).reshape(values.shape)


@pytest.mark.parametrize("bits", [1, 4, 9])
def test_rounding_is_that_of_numcodecs(bits):
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    values = every[np.isfinite(every)]
    expected = oracle(values, bits)
    rounded = keep_bits(values, bits)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(rounded[finite].view(np.uint16), expected[finite].view(np.uint16))
    largest = (2 - 2.0**-bits) * 2**15  # of numbers with so many bits
    assert set(np.abs(rounded[~finite]).tolist()) == {largest}


def test_a_compact_store_has_rounded_planes_and_its_own_key(tmp_path):
    random = np.random.default_rng(0)
    scene = Scene("noise", random.normal(0, 1, (40, 40, 5)).astype(np.float32))
    options = {"backbone": "context", "layers": ["mean-5", "profile-3"]}
    full = hsifeat.extract(scene, **options, out=tmp_path / "full.zarr")
    compact = hsifeat.extract(scene, **options, mantissa_bits=4, out=tmp_path / "compact.zarr")
    assert compact.key != full.key and compact.manifest.recipe["precision"]["mantissa_bits"] == 4
    for plane in full.planes:
        np.testing.assert_array_equal(compact.plane(plane.id)[:], oracle(np.asarray(full.plane(plane.id)[:]), 4))
    sizes = [
        sum(f.stat().st_size for f in (store.location.path / "planes").rglob("*") if f.is_file())
        for store in (compact, full)
    ]
    assert sizes[0] < 0.7 * sizes[1]
    assert hsifeat.extract(scene, like=compact, out=tmp_path / "again.zarr").key == compact.key


def test_float32_has_no_bits_to_drop(tmp_path):
    scene = Scene("zeros", np.ones((8, 8, 3), np.float32))
    with pytest.raises(HsifeatError, match=r"no effect with `dtype='float32'`: `mantissa_bits`; leave out"):
        hsifeat.extract(scene, backbone="context", dtype="float32", mantissa_bits=4, out=tmp_path / "s.zarr")
