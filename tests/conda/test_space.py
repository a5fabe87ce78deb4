"""What disks and quotas leave, from the words of the programs that say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelwright.config.model import SiteConfig, Storage
from kernelwright.environments import caches, quota
from kernelwright.environments.conda import space
from kernelwright.errors import UserError


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("/scratch 900 1000 1200 - 5 10 20 -", "/scratch", (300 << 10, 15)),
        ("/scratch 900 1000 0 - 5 0 0 -", "/scratch", (100 << 10, None)),
        ("/scratch 900* 0 0 - 5 0 0 -", "/scratch", (None, None)),
        ("/scratch 1.5G 2G 3G - 5 10 20 -", "/scratch", (int(1.5 * (1 << 30)), 15)),
        ("/scratch\n   1300 1000 1200 6d 25 10 20 -", "/scratch", (0, 0)),
    ],
)
def test_quota_lines(text, name, expected):
    left = quota._left("x", *quota._columns(text, name))
    assert (left.bytes, left.files) == expected


@pytest.mark.parametrize(
    "text",
    ["", "none", "/scratch none", "/scratch a b c d e f g", "quota: error while getting quota"],
)
def test_lines_that_say_nothing(text):
    assert quota._columns(text, "/scratch") is None


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 bytes"),
        (1500, "2 kB"),
        (8e8, "800 MB"),
        (1.23e9, "1.2 GB"),
        (31e9, "31 GB"),
        (2e12, "2.0 TB"),
    ],
)
def test_sizes_for_people(number, words):
    assert space.size(number) == words


def test_the_sentence_names_need_and_rest(tmp_path):
    need = space.Need(0, int(1.2e9), 31_000, 0, 0)
    assert space.check(need, {"x": tmp_path}, {"PATH": ""}).startswith(
        "needs about 1.2 GB in 31,000 files, "
    )


def test_a_small_need_fits_into_little_room(monkeypatch):
    left = [quota.Left("the file system", 30 << 20, None)]
    monkeypatch.setattr(space, "limits", lambda *_: left)
    folders = {"cache": Path("/x")}
    assert "31 MB left" in space.check(space.Need(7000, 7000, 10, 0, 0), folders, {})
    with pytest.raises(UserError, match="31 MB left"):
        space.check(space.Need(0, 29 << 20, 10, 0, 0), folders, {})


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        (Storage(), "{home}/.local/share/kernelwright/cache"),
        (Storage(root="{tmp}/root"), "{tmp}/root/cache"),
        (Storage(root="{tmp}/root", package_cache="{tmp}/packages"), "{tmp}/packages"),
    ],
)
def test_where_packages_are_kept(storage, expected, home, tmp_path):
    def filled(text):
        return text and text.replace("{tmp}", str(tmp_path)).replace("{home}", str(home))

    site = SiteConfig(
        storage=Storage(root=filled(storage.root), package_cache=filled(storage.package_cache))
    )
    assert str(caches.base(site, home, {})) == filled(expected)
