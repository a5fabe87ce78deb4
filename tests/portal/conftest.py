"""One preview for the tests of a file."""

from types import SimpleNamespace

import pytest

from portal_tools import FIXTURE, portal


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    home = tmp_path_factory.mktemp("portal-home")
    with portal(home, "--poll", "1", app=FIXTURE) as address:
        yield SimpleNamespace(home=home, address=address)
