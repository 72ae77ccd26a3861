"""Ignored warnings: filters of overlapping blocks in two threads, which `warnings.catch_warnings` mixes up."""

import threading
import warnings

import pytest
from sklearn.exceptions import ConvergenceWarning

from hsifeat.quiet_warnings import ignored_warnings


def test_overlapping_blocks_of_two_threads_keep_their_filters_and_leave_none():
    before = list(warnings.filters)
    other_entered, left, escaped = threading.Event(), threading.Event(), []

    def other():
        with ignored_warnings(ConvergenceWarning):
            other_entered.set()
            left.wait(10)
            try:
                warnings.warn("the limit of iterations", ConvergenceWarning, stacklevel=1)
            except ConvergenceWarning as warning:  # pytest raises warnings
                escaped.append(warning)

    thread = threading.Thread(target=other)
    with ignored_warnings(ConvergenceWarning):
        thread.start()
        assert other_entered.wait(10)
    left.set()
    thread.join()
    assert not escaped
    assert warnings.filters == before


def test_other_warnings_stay_and_an_error_ends_the_block():
    before = list(warnings.filters)
    with (
        pytest.raises(UserWarning, match="of another kind"),
        ignored_warnings(RuntimeWarning, UserWarning, message="Glyph"),
    ):
        warnings.warn("Glyph 7 missing", UserWarning, stacklevel=1)
        warnings.warn("of another kind", UserWarning, stacklevel=1)
    with ignored_warnings():
        warnings.warn("of any kind", FutureWarning, stacklevel=1)
    assert warnings.filters == before
