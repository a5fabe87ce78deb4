"""Central kernels: aliases, notices, resolution on a node."""

from datetime import date
from pathlib import Path

import pytest

from kernelwright import catalog
from kernelwright.config.model import SiteConfig
from kernelwright.errors import UserError

KERNELS = (
    {
        "name": "py39",
        "label": "Python 3.9",
        "path": "/k/py39",
        "deprecated": "2026-06-30",
        "successor": "py311",
    },
    {
        "name": "py311",
        "label": "Python 3.11",
        "path": "/k/py311",
        "deprecated": "2027-06-30",
        "successor": "py313",
    },
    {
        "name": "py313",
        "label": "Python 3.13",
        "recipe": {"environment": {"venv": {}}},
        "default": True,
        "gpu": "optional",
    },
    {"name": "retired", "label": "Old", "successor": "py39"},
    {"name": "ending", "label": "Ending", "path": "/k/ending", "deprecated": "2026-06-30"},
)
SITE = SiteConfig(runtime="/shared/kw", kernels=KERNELS)


def by_name(day):
    return {k.name: k for k in catalog.central(SITE, environ={}, today=date.fromisoformat(day))}


def test_before_the_day_the_old_kernel_starts_with_a_note():
    found = by_name("2026-06-29")
    assert (found["py39"].folder, found["py39"].alias) == (Path("/k/py39"), False)
    assert found["py39"].notice == "Python 3.9 ends on 2026-06-30; change to py311"
    assert found["py313"].notice is None


def test_from_the_day_on_its_successor_starts_and_says_so():
    found = by_name("2026-06-30")
    assert (
        found["py39"].folder,
        found["py39"].target,
        found["py39"].alias,
        found["py39"].hidden,
    ) == (Path("/k/py311"), "py311", True, True)
    assert found["py39"].notice == "Python 3.9 was replaced: this is Python 3.11"
    assert found["ending"].notice == "Ending ended on 2026-06-30"
    assert not found["ending"].alias


def test_chains_are_followed_to_their_end():
    found = by_name("2028-01-01")
    for name in ("py39", "py311", "retired"):
        assert found[name].target == "py313"
        assert found[name].folder == Path("/shared/kw/site/.local/share/jupyter/kernels/py313")
        assert found[name].gpu == "optional"


def test_an_entry_without_software_is_an_alias_at_once():
    found = by_name("2026-01-01")
    assert (found["retired"].target, found["retired"].alias) == ("py39", True)


def test_a_circle_of_successors_ends():
    kernels = (
        {"name": "a", "successor": "b"},
        {"name": "b", "successor": "a"},
        {"name": "c", "successor": "nowhere"},
    )
    assert [k.folder for k in catalog.central(SiteConfig(kernels=kernels), environ={})] == [
        None,
        None,
        None,
    ]


def test_resolution_reads_the_kernel_json_of_this_node(folder):
    good, broken = folder.kernel("good"), folder.kernel("broken", argv=[])
    site = SiteConfig(
        kernels=(
            {"name": "good", "path": str(good)},
            {"name": "broken", "path": str(broken)},
            {"name": "gone", "path": "/nowhere", "hint": "ask"},
        )
    )
    found = {k.name: catalog.resolve(k) for k in catalog.central(site)}
    assert found["good"].spec["display_name"] == "Good"
    assert found["good"].problem is None
    for name in ("broken", "gone"):
        assert found[name].problem.code == "central-unavailable"
        assert found[name].problem.severity == "error"
    assert found["gone"].problem.hint == "ask"


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff\xfe{}", b"{" * 10_000], ids=["empty", "list", "utf-16", "deep"]
)
def test_a_broken_kernel_json_is_a_problem_and_no_exception(folder, content):
    path = folder.kernel("bad")
    (path / "kernel.json").write_bytes(content)
    kernel = catalog.central(SiteConfig(kernels=({"name": "bad", "path": str(path)},)))[0]
    assert catalog.resolve(kernel).problem is not None


def test_an_unknown_name_gets_the_nearest_one():
    assert catalog.find(SITE, "site:py311").name == "py311"
    with pytest.raises(UserError) as raised:
        catalog.find(SITE, "py31")
    assert raised.value.code == "no-such-central-kernel"
    assert "py31" in raised.value.hint
