"""Settings and random generators of torch, which threads share: overlapping blocks against values that torch gives a single thread."""

import threading

import pytest
import torch

from hsifeat.torch_state import cudnn_settings, full_precision, one_torch_thread, own_random_state
from tests.helpers.two_threads import Meeting, run_together


def in_another_thread(function):
    (result,) = run_together(function)
    return result


def test_a_seed_gives_the_same_numbers_in_several_threads():
    expected = [torch.rand(2, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    before, meeting = torch.get_rng_state(), Meeting()

    def draw(seed):
        with own_random_state(seed):
            meeting.wait()
            first = torch.rand(3)
            with own_random_state(5):
                torch.rand(7)
            return torch.stack([first, torch.rand(3)])

    drawn = run_together(lambda: draw(0), lambda: draw(1))
    assert all(torch.equal(a, b) for a, b in zip(drawn, expected, strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_full_precision_lasts_until_the_last_block_ends():
    usual = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    first_ended = threading.Event()
    try:

        def second():
            with full_precision():
                entered.set()
                assert first_ended.wait(10)
                return torch.get_float32_matmul_precision()

        entered, results = threading.Event(), []
        thread = threading.Thread(target=lambda: results.append(second()))
        with full_precision():
            thread.start()
            assert entered.wait(10)
        first_ended.set()
        thread.join()
        assert results == ["highest"]
        assert torch.get_float32_matmul_precision() == "medium"
        with pytest.raises(ZeroDivisionError), full_precision():
            raise ZeroDivisionError
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(usual)


def test_cudnn_has_the_settings_of_one_block_at_a_time():
    before, meeting = torch.backends.cudnn.deterministic, Meeting()

    def setting(deterministic):
        with cudnn_settings(deterministic=deterministic):
            meeting.wait()
            flags = torch.backends.cudnn.deterministic, torch.backends.cudnn.enabled
            meeting.wait()  # before the first block restores the settings
            return flags

    assert run_together(lambda: setting(True), lambda: setting(False)) == [(True, True), (False, True)]
    assert torch.backends.cudnn.deterministic == before


def test_one_thread_of_torch_is_a_limit_of_the_calling_thread_alone():
    usual = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with one_torch_thread():
            assert torch.get_num_threads() == 1
            assert in_another_thread(torch.get_num_threads) == 3
            with one_torch_thread():
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == in_another_thread(torch.get_num_threads) == 3
    finally:
        torch.set_num_threads(usual)
