"""The account's checks, on made homes; a full home and a read-only one for an unprivileged user."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest
from kernelwright.config.model import SiteConfig
from kernelwright.doctor.account import check_account, quota_findings, start_file_findings
from kernelwright.doctor.subject import Around

MOUNTS = "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n40 22 0:9 / {home} rw - {kind} server:/home rw,{options}\n"


def around(home: Path, **environ: str) -> Around:
    return Around(home, {"HOME": str(home), "PATH": "/usr/bin:/bin", **environ}, SiteConfig(), home)


def codes(where: Around) -> set[str]:
    return {p.code for p in check_account(where)} - {"login-shell", "home-nearly-full"}


def test_a_clean_account(tmp_path: Path) -> None:
    assert codes(around(tmp_path)) == set()
    assert not list(tmp_path.iterdir())


def test_variables(tmp_path: Path) -> None:
    assert codes(around(tmp_path, XDG_RUNTIME_DIR="/run/user/99999", HOME="/elsewhere")) == {
        "runtime-folder-missing",
        "home-differs",
    }


def test_home_missing(tmp_path: Path) -> None:
    assert "home-missing" in codes(around(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("kind", "options", "found"),
    [
        ("nfs4", "", True),
        ("lustre", "", True),
        ("lustre", "flock", False),
        ("lustre", "localflock", True),
        ("ext4", "", False),
        ("gpfs", "", True),
    ],
)
def test_history_on_a_network_disk(tmp_path: Path, kind: str, options: str, found: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(home=tmp_path, kind=kind, options=options))
    where = Around(tmp_path, {"HOME": str(tmp_path)}, SiteConfig(), tmp_path, mountinfo=str(mounts))
    assert ("history-on-network-disk" in codes(where)) == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exec zsh\n", {"start-file-exec"}),
        ("exit 0\n", {"start-file-exit"}),
        ("read -p 'project? ' P\n", {"start-file-read"}),
        ("set -eu\n", {"start-file-set"}),
        ("# exec zsh\nexport A=1\n", set()),
        ("exec 2>/dev/null\n", set()),
        ("read A < /etc/hostname\n", set()),
        ('case $- in\n *i*) ;;\n *) return;;\nesac\nexec zsh\n', set()),
        ('[ -z "$PS1" ] && return\nexec zsh\n', set()),
        ("[[ $- == *i* ]] || return\nexec zsh\n", set()),
        ("if [ -t 1 ]; then\n exec zsh\nfi\n", set()),
        ("f() {\n exit 1\n}\n", set()),
        ("# >>> conda initialize >>>\neval x\n# <<< conda initialize <<<\n", {"start-file-conda-init"}),
        ("if true; then\n:\nfi\nexit\n", {"start-file-exit"}),
    ],
)  # fmt: skip
def test_start_files(text: str, expected: set[str]) -> None:
    assert {p.code for p in start_file_findings("~/.bashrc", text)} == expected


def test_start_files_say_the_line(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("export A=1\n\nexec fish\n")
    found = [p for p in check_account(around(tmp_path)) if p.code == "start-file-exec"]
    assert found[0].evidence == "line 3: exec fish"
    assert (tmp_path / ".bashrc").read_text() == "export A=1\n\nexec fish\n"


def test_stale_locks(tmp_path: Path) -> None:
    folder = tmp_path / ".local/share/kernelwright/locks"
    folder.mkdir(parents=True)
    (folder / "old.lock").write_text(
        json.dumps({"host": "n1", "pid": 3, "command": "kernelwright update x", "since": 1})
    )
    os.utime(folder / "old.lock", (1, 1))
    (folder / "fresh.lock").write_text("{}")
    found = [p for p in check_account(around(tmp_path)) if p.code == "stale-lock"]
    assert len(found) == 1
    assert "kernelwright update x" in found[0].message


def test_quota_output() -> None:
    text = (
        "Disk quotas for user a (uid 1):\n"
        "     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace\n"
        "server:/home    980000* 1000000 1100000       0      20       0       0       0\n"
        "server:/scratch      1 1000000 1100000       0   96000  100000  110000       0\n"
    )
    found = [p.message for p in quota_findings(text)]
    assert len(found) == 2
    assert "98 %" in found[0]
    assert "files" in found[1]


@pytest.mark.parametrize("junk", ["", "none", "a b c", "x " * 50, "1 2 3 4 5 6 7 8 9"])
def test_quota_junk(junk: str) -> None:
    list(quota_findings(junk))


def test_a_full_home(tmp_path: Path) -> None:
    home = tmp_path / "full"
    home.mkdir()
    if (
        os.getuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "none", home], check=False
        ).returncode
    ):
        pytest.skip("needs root and the right to mount a small file system")
    try:
        handle = os.open(home / "big", os.O_WRONLY | os.O_CREAT)
        try:
            while os.write(handle, b"x" * 4096):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC
        finally:
            os.close(handle)
        assert "home-full" in codes(around(home))
        assert sorted(os.listdir(home)) == ["big"]
    finally:
        subprocess.run(["umount", "-l", home], check=True)
