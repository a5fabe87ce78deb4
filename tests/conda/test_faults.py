"""Channels that fail: what passes is tried again, the rest has a code of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from conda.asking import code_of
from kernelwright.config.model import Build, Network
from kernelwright.environments import conda
from kernelwright.environments.conda.explain import explain
from kernelwright.environments.conda.values import EngineError

from .conftest import Log


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status"}, {"kind": "truncate"}, *({"kind": "corrupt", "at": at} for at in (0.01, 0.5, 0.98))],
    ids=lambda fault: "-".join(map(str, fault.values())),
)  # fmt: skip
@pytest.mark.parametrize("what", ["*activator-*.conda", "*repodata*"])
def test_what_passes_is_tried_again(cold, fault, what):
    """A garbled byte has another name by its place: in the head, in the compressed part, in what it says."""
    cold.server.fail(what, times=2, **fault)
    made = cold.make("activator", language="r")
    assert Path(made.prefix, "share/activator/data.txt").is_file()


@pytest.mark.parametrize(
    ("pattern", "kind", "code"),
    [
        ("*activator-*.conda", "status", "channel-broken"),
        ("*activator-*.conda", "truncate", "channel-broken"),
        ("*activator-*.conda", "corrupt", "channel-broken|hash-mismatch"),
        ("*activator-*.conda", "swap", "hash-mismatch"),
        ("*repodata*", "status", "channel-broken"),
        ("*activator-*.conda", "hang", "channel-unreachable"),
        ("*repodata*", "hang", "channel-unreachable"),
    ],
)
def test_what_stays_is_told_with_its_own_code(cold, pattern, kind, code):
    cold.patience(3 if kind == "hang" else None)
    cold.server.fail(pattern, kind)
    found, error = code_of(cold.make, "activator", language="r")
    assert found in code.split("|"), (error.message, error.context)
    assert error.hint
    cold.server.calm()
    cold.patience(None)
    cold.make("activator", language="r")  # what was downloaded serves the next call
    assert not [r for r in cold.server.requests if "/r-base-" in r] or pattern == "*repodata*"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("status server error (503 Service Unavailable) for url ({})", "channel-broken"),
        ("status client error (401 Unauthorized) for url ({})", "channel-denied"),
        ("status client error (404 Not Found) for url ({})", "channel-not-found"),
    ],
)
def test_digits_of_an_address_are_no_answer(said, code, tmp_path):
    """A port or a file name may well hold 404."""
    url = "http://127.0.0.1:40437/channel/noarch/a404b-4.0.40404-0.conda"
    found = SimpleNamespace(channels=(url,), cache=tmp_path)
    assert explain(EngineError("solve", said.format(url)), found, None, list).code == code


@pytest.mark.soak
def test_a_slow_channel_is_waited_for(cold):
    """More than the patience for one answer in all, but never a pause as long as that."""
    cold.patience(4)
    cold.server.fail("*/bulky-*.conda", "slow")
    made = cold.make("bulky", language="r")
    assert Path(made.prefix, "share/bulky/0000.bin").is_file()


def test_no_such_channel(workshop):
    code, error = code_of(
        workshop.make, channels=(workshop.server.url.replace("/channel", "/nothing-here"),)
    )
    assert code == "channel-not-found"
    assert "nothing-here" in error.message


def test_without_network_the_error_says_what_this_site_wants(workshop):
    gone = ("http://127.0.0.1:9/channel",)
    code, error = code_of(
        workshop.make, channels=gone, place=workshop.place(build=Build(partition="short"))
    )
    assert code == "channel-unreachable"
    assert "partition short" in error.hint
    assert "kernelwright create" in error.hint
    code, error = code_of(
        workshop.make,
        channels=gone,
        place=workshop.place(build=Build(partition="short"), command=None),
    )
    assert "in a shell" not in error.hint


def test_what_was_downloaded_is_used_without_asking_the_network(cold):
    cold.make("activator", language="r")
    cold.environ["SLURM_JOB_ID"] = "7"
    cold.server.requests.clear()
    cold.make("activator", language="r", place=cold.place(network=Network(compute_nodes=False)))
    assert cold.server.requests == []
    code, error = code_of(
        cold.make, "oldformat", language="r", place=cold.place(network=Network(compute_nodes=False))
    )
    assert code == "channel-unreachable"
    assert cold.server.requests == []


def test_lists_of_an_earlier_call_serve_when_the_channel_is_gone(cold, log):
    recipe = cold.recipe("activator", language="r")
    conda.make(recipe, cold.place(), Log())
    cold.patience(3)
    cold.server.fail("*", "hang")
    made = conda.make(recipe, cold.place(), log)
    assert any("lists of an earlier call" in note for note in log.notes)
    assert Path(made.prefix, "bin/R").is_file()


def test_a_panic_of_the_engine_is_an_error_like_others(workshop, monkeypatch):
    from kernelwright.environments.conda import engine

    class PanicException(BaseException):
        """As pyo3's: no Exception."""

    async def panic(*_, **__):
        raise PanicException("index out of bounds")

    monkeypatch.setattr(engine.rattler, "solve", panic)
    code, error = code_of(workshop.make, "greetings")
    assert code == "conda-engine-failed"
    assert "index out of bounds" in error.message


def test_a_place_that_cannot_be_written(workshop):
    place = replace(workshop.place(), prefix=Path("/proc/self/env"))
    assert code_of(workshop.make, "activator", language="r", place=place)[0] == "not-writable"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "failed to link\nCaused by: failed to create `/scratch/u/x`: No space left on device (os error 28)",
            "disk-full",
        ),
        ("failed to write /scratch/u/x: Disk quota exceeded (os error 122)", "quota-exceeded"),
        ("failed to create directory `/x`: Permission denied (os error 13)", "not-writable"),
        ("something that nobody has seen before", "conda-install-failed"),
        ("", "conda-install-failed"),
    ],
)
def test_words_of_the_system_get_their_codes(workshop, text, code):
    from kernelwright.environments.conda.explain import explain
    from kernelwright.environments.conda.values import EngineError, Settings

    found = explain(
        EngineError("install", text), Settings(("c",), workshop.base), workshop.place(), list
    )
    assert found.code == code
    assert found.message
