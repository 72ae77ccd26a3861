"""Ignored and recorded warnings: overlapping blocks in two threads, which `warnings.catch_warnings` mixes up."""

import threading
import warnings

import pytest
from sklearn.exceptions import ConvergenceWarning

from hsifeat.quiet_warnings import ignored_warnings, recorded_warnings
from tests.helpers.two_threads import Meeting, run_together


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


def test_threads_record_their_own_warnings_and_the_others_are_shown():
    filters, show, shown, meeting = list(warnings.filters), warnings.showwarning, [], Meeting(3)

    def record(text):
        with recorded_warnings() as messages:
            meeting.wait()
            warnings.warn(text, UserWarning, stacklevel=1)
            warnings.warn(text, UserWarning, stacklevel=1)
            meeting.wait()
        return messages

    def warn():
        meeting.wait()
        warnings.warn("elsewhere", UserWarning, stacklevel=1)
        meeting.wait()

    warnings.showwarning = lambda message, *_: shown.append(str(message))
    try:
        own = warnings.showwarning
        assert run_together(lambda: record("one"), lambda: record("two"), warn) == [["one"] * 2, ["two"] * 2, None]
        assert shown == ["elsewhere"]
        assert warnings.showwarning is own and warnings.filters == filters
    finally:
        warnings.showwarning = show


def test_a_recording_may_end_after_ignored_warnings_of_another_thread():
    filters, entered, left = list(warnings.filters), threading.Event(), threading.Event()

    def record():
        with recorded_warnings() as messages:
            entered.set()
            assert left.wait(10)
            warnings.warn("a field is empty", RuntimeWarning, stacklevel=1)
        return messages

    def ignore():
        with ignored_warnings(ConvergenceWarning):
            assert entered.wait(10)
        left.set()

    assert run_together(record, ignore)[0] == ["a field is empty"]
    assert warnings.filters == filters
