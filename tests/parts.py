"""Parts of the system that tests need and a machine may lack."""

from __future__ import annotations

import os

import pytest


def missing(what):
    """Say loudly which part is missing; where CI installs it, that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI lacks a part that it installs: {what}", pytrace=False)
    pytest.skip(f"NOT TESTED: {what}")
