"""Values worked out beside other work."""

from __future__ import annotations

import threading

import pytest

from eels_iontransport.later import Later


def test_the_value_is_made_once_in_another_thread():
    made = []
    later = Later(lambda: made.append(threading.current_thread().name) or 5)
    assert later.result() == later.result() == 5
    assert len(made) == 1 and made[0] != threading.current_thread().name


def test_a_fault_is_raised_where_the_value_is_asked_for():
    later = Later(lambda: 1 / 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            later.result()


def test_a_value_whose_thread_was_lost_is_made_where_it_is_asked_for():
    made = []
    later = Later(lambda: made.append(1) or 3)
    assert later.result() == 3
    later._made.clear()  # as in a process that was forked before the thread was done
    assert later.result() == 3 and len(made) == 2
