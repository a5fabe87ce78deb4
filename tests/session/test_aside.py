"""Work beside the rest of `session prepare`: it goes on meanwhile, and its failure is not lost."""

import threading

import pytest

from kernelwright.errors import UserError
from kernelwright.session.aside import Aside


def test_it_goes_on_beside_and_gives_its_result():
    started, go = threading.Event(), threading.Event()
    aside = Aside(lambda: (started.set(), go.wait(60), 42)[2])
    assert started.wait(60)
    go.set()
    assert aside.result() == 42
    assert aside.result() == 42


def test_its_failure_is_raised_where_the_result_is_wanted():
    def fail():
        raise UserError("disk-full", "no room")

    with pytest.raises(UserError, match="no room"):
        Aside(fail).result()
