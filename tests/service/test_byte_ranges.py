"""Ranges, against slices of bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsifeat.service.byte_ranges import UnsatisfiableRangeError, matches, parse_range

CONTENT = bytes(range(100))
NUMBER = st.integers(0, 150)


def read(header):
    part = parse_range(header, len(CONTENT))
    return CONTENT if part is None else CONTENT[part.start : part.stop]


@given(first=NUMBER, last=NUMBER)
def test_a_range_is_a_slice(first, last):
    expected = CONTENT[first : last + 1]
    if expected:
        assert read(f"bytes={first}-{last}") == expected
    else:
        with pytest.raises(UnsatisfiableRangeError):
            read(f"bytes={first}-{last}")


@given(NUMBER)
def test_a_suffix_is_a_slice_from_the_end(length):
    if length:
        assert read(f"bytes=-{length}") == CONTENT[-length:]
    else:
        with pytest.raises(UnsatisfiableRangeError):
            read("bytes=-0")


@pytest.mark.parametrize("header", [None, "items=0-3", "Bytes 3"])
def test_other_units_are_ignored(header):
    assert read(header) == CONTENT


@pytest.mark.parametrize(
    "header", ["bytes=", "bytes=-", "bytes=0-1,3-4", "bytes=a-b", "bytes=0-" + "9" * 10**5, "bytes=0-٣", "bytes=100-"]
)
def test_what_is_no_single_range_is_refused(header):
    with pytest.raises(UnsatisfiableRangeError):
        read(header)


def test_entity_tags():
    assert matches('"x", "y"', '"y"') and matches("*", '"y"')
    assert not matches('"x"', '"y"') and not matches(None, '"y"')
