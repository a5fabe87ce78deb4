"""`kernelwright doctor` and `repair` as commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from doctor.kit import F, put


def call(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {
        "HOME": str(home),
        "KERNELWRIGHT_HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "LANG": "C",
    }
    return subprocess.run(
        [sys.executable, "-m", "kernelwright", *words],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command(tmp_path: Path) -> None:
    put(tmp_path, "good")
    assert call(tmp_path, "doctor", "good").returncode == 0
    put(tmp_path, "bad", ["/home/gone/python", F], display_name="\x1b[31mred\u202e")
    done = call(tmp_path, "doctor")
    assert done.returncode == 1
    assert "interpreter-not-found" in done.stdout
    assert "kernelwright repair bad --prefix NEW" in done.stdout
    assert "\x1b" not in done.stdout
    told = json.loads(call(tmp_path, "doctor", "bad", "--json").stdout)
    assert told["version"] == 1
    assert told["kernels"][0]["state"] == "broken"
    assert {"code", "severity", "message", "hint", "evidence"} == set(
        told["kernels"][0]["problems"][0]
    )
    missing = call(tmp_path, "doctor", "nobody", "--json")
    assert missing.returncode == 1
    assert json.loads(missing.stdout)["error"]["code"] == "no-such-kernel"
    assert call(tmp_path, "doctor", "a.ipynb", "b").returncode == 2


def test_repair_of_what_is_not_ours(alice, runtime) -> None:
    command = str(runtime / "bin/kernelwright")
    done = alice.run([command, "repair", "python3", "--json"], timeout=120)
    assert json.loads(done.stdout)["error"]["code"] == "not-yours"
    assert (
        json.loads(alice.run([command, "repair", "nobody", "--json"], timeout=120).stdout)["error"][
            "code"
        ]
        == "no-such-kernel"
    )


def test_an_unprivileged_user_with_closed_folders(alice, runtime) -> None:
    """Root would read all of this; alice may not, and gets one entry for each."""
    command = str(runtime / "bin/kernelwright")
    script = """
    k=~/.local/share/jupyter/kernels
    for n in closed-folder closed-file good; do
      mkdir -p $k/$n
      echo '{"argv": ["/bin/sh", "{connection_file}"], "display_name": "x", "language": "bash"}' > $k/$n/kernel.json
    done
    chmod 000 $k/closed-folder $k/closed-file/kernel.json
    """
    assert alice.run(["bash", "-ec", script]).ok
    rows = json.loads(alice.run([command, "list", "--json"], timeout=120).stdout)["kernels"]
    found = {r["name"]: [p["code"] for p in r["problems"]] for r in rows if r["origin"] == "user"}
    assert found == {
        "closed-folder": ["kernelspec-folder-unreadable"],
        "closed-file": ["kernelspec-unreadable"],
        "good": [],
    }
    assert alice.run(["bash", "-c", "chmod 000 ~/.local/share/jupyter/kernels"]).ok
    rows = json.loads(alice.run([command, "list", "--json"], timeout=120).stdout)["kernels"]
    assert [r["problems"][0]["code"] for r in rows if r["origin"] == "user"] == [
        "kernels-folder-unreadable"
    ]
    done = alice.run([command, "doctor"], timeout=120)
    assert done.status == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert alice.run(["bash", "-c", "chmod 500 ~ && chmod 700 ~/.local/share/jupyter/kernels"]).ok
    done = alice.run([command, "doctor", "--json"], timeout=120)
    assert "home-unwritable" in {p["code"] for p in json.loads(done.stdout)["account"]}
    assert alice.run([command, "list"], timeout=120).status == 0
    assert alice.run(["chmod", "700", str(alice.home)]).ok
