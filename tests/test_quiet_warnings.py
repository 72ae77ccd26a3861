"""Ignored and recorded warnings: what a block does to its own thread, and that it does nothing to other threads."""

import pickle
import threading
import warnings

import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.parallel import Parallel, delayed

from hsifeat.quiet_warnings import ignored_warnings, recorded_warnings
from tests.helpers.two_threads import Meeting, run_together


def issue(text, category=UserWarning):
    warnings.warn(text, category, stacklevel=1)


def is_raised(text, category=UserWarning):
    """Whether a warning has the effect that pytest gives it: an error."""
    try:
        issue(text, category)
    except category:
        return True
    return False


@pytest.fixture(autouse=True)
def _unchanged_filters():
    """Each test leaves the filters and the function that shows warnings as they were."""
    filters, show = list(warnings.filters), warnings.showwarning
    yield
    assert warnings.filters == filters and warnings.showwarning is show


def overlap(inner, outer):
    """Enter the block `outer`, then `inner` in another thread; leave `outer`, and then issue a warning within `inner`."""
    entered, left = threading.Event(), threading.Event()

    def first():
        with outer:
            assert entered.wait(10)
        left.set()

    def second():
        with inner as messages:
            entered.set()
            assert left.wait(10)
            return is_raised("the limit of iterations", ConvergenceWarning), messages and list(messages)

    return run_together(first, second)[1]


def test_a_block_lasts_until_its_own_end_also_if_a_block_of_another_thread_ends_first():
    ignored = (False, None)
    assert overlap(ignored_warnings(ConvergenceWarning), ignored_warnings(ConvergenceWarning)) == ignored
    assert overlap(ignored_warnings(ConvergenceWarning), recorded_warnings()) == ignored
    assert overlap(recorded_warnings(), ignored_warnings(ConvergenceWarning)) == (False, ["the limit of iterations"])


def test_other_warnings_stay_and_an_error_ends_the_block():
    with (
        pytest.raises(UserWarning, match="of another kind"),
        ignored_warnings(RuntimeWarning, UserWarning, message="Glyph"),
    ):
        issue("glyph 7 missing")
        issue("of another kind")
    with ignored_warnings():
        issue("of any kind", FutureWarning)


@pytest.mark.parametrize("block", [ignored_warnings, recorded_warnings])
def test_warnings_of_other_threads_are_shown_as_before(block):
    meeting = Meeting()

    def within():
        with block():
            meeting.wait()
            issue("in the block")
            meeting.wait()

    def elsewhere():
        meeting.wait()
        raised = is_raised("elsewhere")
        meeting.wait()
        return raised

    assert run_together(within, elsewhere) == [None, True]


def test_threads_record_their_own_warnings_while_another_ignores_them():
    meeting = Meeting(3)

    def record(text):
        with recorded_warnings() as messages:
            meeting.wait()
            issue(text, RuntimeWarning)
            issue(text, RuntimeWarning)
            issue("last", RuntimeWarning)
            meeting.wait()
        return list(messages)

    def ignore():
        with ignored_warnings(RuntimeWarning):
            meeting.wait()
            meeting.wait()

    assert run_together(lambda: record("one"), lambda: record("two"), ignore) == [
        ["one", "last"],
        ["two", "last"],
        None,
    ]


def test_the_inner_one_of_nested_blocks_applies():
    with ignored_warnings(ConvergenceWarning):
        with recorded_warnings() as messages:
            issue("recorded", ConvergenceWarning)
            with ignored_warnings(ConvergenceWarning):
                issue("ignored", ConvergenceWarning)
        assert list(messages) == ["recorded"]
        assert not is_raised("ignored again", ConvergenceWarning)
        assert is_raised("of another kind")


def test_a_warning_that_was_shown_before_is_recorded():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        for _ in range(2):
            issue("once")
        with recorded_warnings() as messages:
            issue("once")
    assert (len(shown), list(messages)) == (1, ["once"])


def test_a_filter_that_another_block_restores_later_has_no_effect():
    other = warnings.catch_warnings()
    block = ignored_warnings()
    with block:
        other.__enter__()
    other.__exit__()
    try:
        assert is_raised("after the block")
    finally:
        del warnings.filters[0]


def test_scikit_learn_passes_the_filters_to_its_workers():
    with ignored_warnings(UserWarning, message="the limit"):
        raised = Parallel(n_jobs=2, backend="threading")(
            delayed(is_raised)(text) for text in ("the limit of iterations", "of another kind")
        )
        copies = pickle.loads(pickle.dumps(warnings.filters))  # noqa: S301  # of this test
    assert raised == [False, True]
    assert copies[0][1].match("The limit of iterations") and not copies[0][1].match("of another kind")
