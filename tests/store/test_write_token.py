"""Write tokens: a replaced or deleted token ends the right to write, and a token that is not renewed keeps nobody waiting."""

import threading
import time

import pytest

from hsifeat.errors import StoreError
from hsifeat.store import write_token
from hsifeat.store.location import as_location
from hsifeat.store.verify import verify


@pytest.fixture
def location(tmp_path):
    return as_location(tmp_path)


def test_a_token_is_valid_until_it_is_replaced_or_deleted(location, tmp_path):
    with write_token.write_token(location) as first:
        write_token.check(location, first)
        with write_token.write_token(location) as second:
            write_token.check(location, second)
            with pytest.raises(StoreError, match=r"no longer writes to .*: nothing was written"):
                write_token.check(location, first)
    with pytest.raises(StoreError, match="no longer writes"):
        write_token.check(location, second)
    assert list(tmp_path.iterdir()) == []


def test_the_token_of_a_killed_run_is_no_damage(small_store):
    small_store.location.put(write_token.FILE, b"0123 4")
    assert verify(small_store.location).damages == ()


def test_a_run_waits_while_the_token_is_renewed_and_not_longer(location, monkeypatch):
    monkeypatch.setattr(write_token, "_RENEWAL_S", 0.05)
    monkeypatch.setattr(write_token, "_EXPIRY_S", 0.5)
    waits, ended = [], threading.Event()

    def hold():
        with write_token.write_token(location, renew=True):
            time.sleep(1.5)  # longer than a token lives without renewal
            ended.set()

    write_token.wait_for_expiry(location, lambda: waits.append("early"))
    holder = threading.Thread(target=hold)
    holder.start()
    while location.get(write_token.FILE) is None:
        time.sleep(0.01)
    write_token.wait_for_expiry(location, lambda: waits.append("late"))
    assert ended.is_set() and waits == ["late"]
    holder.join()
    location.put(write_token.FILE, b"left-by-a-killed-run 3")
    write_token.wait_for_expiry(location, lambda: waits.append("expiry"))
    assert waits == ["late", "expiry"]
