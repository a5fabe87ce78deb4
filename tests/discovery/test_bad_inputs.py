"""Every bad input is one entry with its problem; no other entry is lost, nothing hangs or raises."""

from __future__ import annotations

import json
import logging
import time
import warnings
from pathlib import Path

import pytest
from discovery.corpus import BAD, GOOD, Bad
from kernelwright.config.model import SiteConfig
from kernelwright.discovery import discover, write_index
from kernelwright.discovery.kernelspec_file import understand

IDS = [case.name for case in BAD]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with every bad input at once, between two good kernels."""
    home = tmp_path_factory.mktemp("zoo")
    kernels = home / ".local/share/jupyter/kernels"
    kernels.mkdir(parents=True)
    for case in BAD:
        case.make(kernels / case.name)
    for name in ("aaa", "zzz"):
        (kernels / name).mkdir()
        (kernels / name / "kernel.json").write_text(json.dumps(GOOD))
    return home


def found(home: Path, *, quick: bool = False) -> dict[str, object]:
    kernels = discover(home=home, environ={"PATH": "/usr/bin:/bin"}, site=SiteConfig(), quick=quick)
    return {k.path.rsplit("/", 1)[1]: k for k in kernels if k.origin == "user"}


@pytest.mark.parametrize("case", BAD, ids=IDS)
def test_problem(zoo: Path, case: Bad) -> None:
    entries = found(zoo)
    kernel = entries.get(case.name) or entries[case.name + ".json"]
    codes = {problem.code: problem for problem in kernel.problems}
    assert case.code in codes
    assert codes[case.code].severity == case.severity
    if case.severity == "error":
        assert kernel.state == "broken"
    assert "not-to-be-shown" not in repr(kernel.problems)


def test_each_input_is_exactly_one_entry_and_good_ones_stay(zoo: Path) -> None:
    entries = found(zoo)
    assert len(entries) == len(BAD) + 2
    assert entries["aaa"].state == entries["zzz"].state == "ok"


def test_quick_listing_from_the_index_says_the_same(zoo: Path) -> None:
    kernels = discover(home=zoo, environ={"PATH": "/usr/bin:/bin"}, site=SiteConfig(), quick=False)
    write_index(zoo, kernels, "host")
    again = discover(home=zoo, environ={"PATH": "/usr/bin:/bin"}, site=SiteConfig(), quick=True)

    def facts(rows: list) -> list:
        return [(k.name, k.path, k.state, k.visible, [p.code for p in k.problems]) for k in rows]

    assert facts(again) == facts(kernels)


def test_jupyter_agrees(zoo: Path) -> None:
    """The column `jupyter` of the corpus, and our `visible`, are what the real package does."""
    from jupyter_client.kernelspec import KernelSpecManager

    folder = str(zoo / ".local/share/jupyter/kernels")
    manager = KernelSpecManager(kernel_dirs=[folder], ensure_native_kernel=False)
    manager.log.setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = manager.find_kernel_specs()
        listed = manager.get_all_specs()
    logging.getLogger("traitlets").setLevel(logging.NOTSET)
    told = {
        case.name: "listed"
        if case.name in listed
        else "dropped"
        if case.name in names
        else "absent"
        for case in BAD
        if case.name != "hundred-megabytes"  # Jupyter would really read it
    }
    assert told == {case.name: case.jupyter for case in BAD if case.name in told}
    ours = {k.name for k in found(zoo).values() if k.visible}
    assert ours == set(listed) - {"hundred-megabytes"}


def test_it_is_quick(zoo: Path) -> None:
    begun = time.perf_counter()
    found(zoo)
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"{" * 5000,
        b'"' * 9999,
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"'" * 999,
        b"{'a': \xe2\x80\x9c" * 500,
    ],
)
def test_garbage_never_raises(data: bytes) -> None:
    assert understand(data).problems


def test_every_cut_of_a_good_file_is_broken_or_whole() -> None:
    whole = json.dumps(GOOD, indent=1).encode()
    for end in range(len(whole)):
        reading = understand(whole[:end])
        assert not reading.listed
        assert any(p.severity == "error" for p in reading.problems)


@pytest.mark.parametrize(
    "piece", [b'\\"', b'"', b"/*", b"'", b"{{", b'"a" ', b",}", b"\xe2\x80\x9c", b"#"]
)
@pytest.mark.parametrize("head", [b"", b"{", b'{"argv": ["'])
def test_hostile_repetition_is_read_in_bounded_time(piece: bytes, head: bytes) -> None:
    begun = time.process_time()
    understand(head + piece * (60_000 // len(piece)))
    understand(head + piece * (1_000_000 // len(piece)))
    assert time.process_time() - begun < 10
