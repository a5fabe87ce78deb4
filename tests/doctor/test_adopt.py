"""Adoption: what is kept, what is put back when it fails, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from kernelwright.config.model import SiteConfig
from kernelwright.discovery import discover
from kernelwright.doctor.adopt import adopt, candidates
from kernelwright.doctor.shape import Wish
from kernelwright.doctor.subject import Around
from kernelwright.errors import UserError
from kernelwright.progress import Silent
from kernelwright.store import Store

ARGV = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]


@pytest.fixture
def place(tmp_path: Path) -> Around:
    home = tmp_path / "home"
    (home / ".local/share/jupyter/kernels").mkdir(parents=True)
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    (runtime / "venv").symlink_to(sys.prefix)
    return Around(home, {"HOME": str(home), "PATH": "/usr/bin:/bin"}, SiteConfig(), runtime)


def put(
    place: Around, name: str = "mine", folder: str = ".local/share/jupyter/kernels", **keys: object
) -> Path:
    target = place.home / folder / name
    target.mkdir(parents=True)
    spec = {"argv": ARGV, "display_name": "Zoë", "language": "python", **keys}
    (target / "kernel.json").write_text(json.dumps(spec, ensure_ascii=False))
    return target


def take(place: Around, target: str = "mine", **options: object):
    return adopt(target, place, progress=Silent(), test=False, **options)


def spec_of(place: Around, name: str = "mine") -> dict:
    return json.loads(
        (place.home / ".local/share/jupyter/kernels" / name / "kernel.json").read_text()
    )


def test_what_is_kept(place: Around) -> None:
    before = {
        "env": {"A": "$HOME/x"},
        "codemirror_mode": "q",
        "metadata": {"debugger": False, "x": 1},
        "path": "/y",
    }
    folder = put(place, **before)
    (folder / "logo-64x64.png").write_bytes(b"png")
    done = take(place)
    after = spec_of(place)
    assert list(after)[:7] == [
        "argv",
        "display_name",
        "language",
        "env",
        "codemirror_mode",
        "metadata",
        "path",
    ]
    assert (after["display_name"], after["env"], after["codemirror_mode"]) == (
        "Zoë",
        {"A": "$HOME/x"},
        "q",
    )
    assert after["metadata"]["x"] == 1
    assert after["argv"][0].endswith("/1/launch.sh")
    assert (folder / "logo-64x64.png").read_bytes() == b"png"
    backup = Path(done.backups[0]) / "mine/kernel.json"
    assert json.loads(backup.read_text())["env"] == {"A": "$HOME/x"}
    owned = Store(place.home, SiteConfig(), {}).find("mine")
    recipe = Store(place.home, SiteConfig(), {}).generation(owned.id).recipe
    assert (
        recipe.isolation.user_site,
        recipe.isolation.pythonpath,
        recipe.isolation.ld_library_path,
    ) == (True, True, True)


def test_what_was_kept_survives_an_edit(place: Around) -> None:
    from kernelwright.doctor.environment import builder_for

    put(place, env={"A": "$HOME/x"}, codemirror_mode="q")
    take(place)
    builder = builder_for(place, Silent(), test=False)
    owned = builder.store.find("mine")
    builder.rerender(owned, builder.store.generation(owned.id).recipe)
    after = spec_of(place)
    assert after["argv"][0].endswith("/2/launch.sh")
    assert (after["env"], after["codemirror_mode"]) == ({"A": "$HOME/x"}, "q")


def test_scripts_beside_kernel_json_come_along(place: Around) -> None:
    folder = put(place, argv=["{resource_dir}/start.sh", *ARGV])
    (folder / "start.sh").write_text('#!/bin/bash\nexec "$@"\n')
    (folder / "start.sh").chmod(0o755)
    take(place)
    kept = place.home / ".local/share/kernelwright/kernels"
    assert [p.relative_to(kept).parts[1:] for p in kept.rglob("resources/start.sh")] == [
        ("resources", "start.sh")
    ]
    launch = next(kept.rglob("1/launch.sh")).read_text()
    assert "resources/start.sh" in launch


def test_a_failure_puts_everything_back(place: Around, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(place, env={"A": "1"})
    before = (folder / "kernel.json").read_bytes()
    from kernelwright.builder import Builder

    def fail(*_: object, **__: object) -> None:
        assert b"launch.sh" not in (folder / "kernel.json").read_bytes()
        raise UserError("start-test-failed", "no")

    monkeypatch.setattr(Builder, "create", fail)
    with pytest.raises(UserError):
        take(place)
    assert (folder / "kernel.json").read_bytes() == before
    assert not list((place.home / ".local/share/kernelwright/kernels").iterdir())
    assert [k.state for k in candidates(place)] == ["ok"]


def test_legacy_kernels_move(place: Around) -> None:
    put(place, "old", ".ipython/kernels")
    done = take(place, "old")
    assert spec_of(place, "old")["metadata"]["kernelwright"]["generation"] == 1
    assert not (place.home / ".ipython/kernels/old").exists()
    assert any((Path(path) / "kernel.json").exists() for path in done.backups)


def test_a_link_is_taken_away_and_its_target_left_alone(place: Around, tmp_path: Path) -> None:
    target = put(place, "shared", "elsewhere")
    link = place.home / ".local/share/jupyter/kernels/shared"
    link.symlink_to(target)
    before = (target / "kernel.json").read_bytes()
    take(place, "shared")
    assert not link.is_symlink()
    assert (target / "kernel.json").read_bytes() == before
    assert spec_of(place, "shared")["argv"][0].endswith("launch.sh")


def test_by_path_and_with_another_name(place: Around) -> None:
    folder = put(place, "My Kernel", "elsewhere")
    take(place, str(folder / "kernel.json"))
    assert spec_of(place, "my-kernel")["display_name"] == "Zoë"
    assert (folder / "kernel.json").exists()


def test_all(place: Around) -> None:
    put(place, "a")
    put(place, "b")
    put(place, "theirs", "opt/share/jupyter/kernels")
    take(place, "a")
    assert [k.name for k in candidates(place)] == ["b"]


def test_dry_run_changes_nothing(place: Around) -> None:
    put(place)
    before = {p: p.stat().st_mtime_ns for p in place.home.rglob("*")}
    done = take(place, dry_run=True)
    assert "launch.sh" in done.steps[0].diff
    assert "prefix:" in done.facts["recipe"]
    assert {p: p.stat().st_mtime_ns for p in place.home.rglob("*")} == before


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"argv": []}, "argv-empty"),
        ({"argv": ["python", "{connection_file}"]}, "bare-python"),
        ({"argv": ["C:/python.exe", "{connection_file}"]}, "made-on-another-machine"),
        ({"argv": ["/path/to/python", "{connection_file}"]}, "placeholder-not-filled"),
        ({"argv": ["x", "{kernel_id}", "{response_address}"]}, "kernelspec-for-gateway"),
        ({"metadata": {"kernel_provisioner": {"provisioner_name": "k8s"}}}, "uses-provisioner"),
        ({"shell_port": 1, "iopub_port": 2, "hb_port": 3, "key": "k"}, "kernelspec-is-connection-file"),
        ({"metadata": {"kernelwright": {"id": "ab"}}}, "already-owned"),
    ],
)  # fmt: skip
def test_refusals(place: Around, keys: dict, code: str) -> None:
    folder = put(place, **keys)
    before = (folder / "kernel.json").read_bytes()
    with pytest.raises(UserError) as caught:
        take(place)
    assert caught.value.code == code
    assert (folder / "kernel.json").read_bytes() == before
    assert not (place.home / ".local/share/kernelwright/kernels").exists()


@pytest.mark.parametrize(
    "target", ["nobody", "/nowhere", "/nowhere/kernel.json", "", "..", "a/b", "\x00"]
)
def test_what_is_not_there(place: Around, target: str) -> None:
    with pytest.raises(UserError):
        take(place, target)


@pytest.mark.parametrize(
    "argv",
    [
        ["bash", "-lc", "exec python -f '{connection_file}'"],
        ["env", "A=1", "/usr/bin/python3", "-m", "ipykernel", "-f", "{connection_file}"],
        ["shifter", "--image=a:b", "python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    ],
)  # fmt: skip
def test_what_we_do_not_understand_is_kept_word_for_word(place: Around, argv: list[str]) -> None:
    put(place, argv=argv)
    take(place)
    store = Store(place.home, SiteConfig(), {})
    recipe = store.generation(store.find("mine").id).recipe
    assert recipe.kind == "script"
    assert list(recipe.command) == argv


def test_a_prefix_for_a_bare_python(place: Around) -> None:
    put(place, argv=["python", *ARGV[1:]])
    take(place, wish=Wish(prefix=sys.prefix))
    store = Store(place.home, SiteConfig(), {})
    recipe = store.generation(store.find("mine").id).recipe
    assert (recipe.kind, recipe.environment.path, recipe.command) == ("prefix", sys.prefix, ())


def test_an_unprivileged_user_adopts_a_kernel_that_others_can_read_only(
    alice, runtime, tmp_path: Path
) -> None:
    """A shared kernelspec in a folder of root's becomes alice's own; root's stays as it is."""
    shared = Path("/var/tmp/kernelwright-tests") / f"shared-{os.getpid()}"
    try:
        (shared / "k").mkdir(parents=True)
        python = next((runtime / "current/venv/bin").glob("python"))
        (shared / "k/kernel.json").write_text(
            json.dumps(
                {"argv": [str(python), *ARGV[1:]], "display_name": "K", "language": "python"}
            )
        )
        command = str(runtime / "bin/kernelwright")
        done = alice.run([command, "adopt", str(shared / "k"), "--json"], timeout=300)
        assert done.status == 0, done.stdout + done.stderr
        listed = alice.run([command, "list", "--json"], timeout=120)
        row = next(k for k in json.loads(listed.stdout)["kernels"] if k["name"] == "k")
        assert (row["owned"], row["state"], row["origin"]) == (True, "ok", "user")
        assert (alice.home / ".local/share/kernelwright/index.json").stat().st_mode & 0o777 == 0o600
        (shared / "k").chmod(0o700)
        refused = alice.run([command, "adopt", str(shared / "k"), "--json"], timeout=120)
        assert json.loads(refused.stdout)["error"]["code"] in {
            "no-such-kernel",
            "kernelspec-unreadable",
        }
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def test_discovery_calls_it_ours(place: Around) -> None:
    put(place)
    take(place)
    kernel = next(
        k
        for k in discover(home=place.home, environ=place.environ, site=SiteConfig())
        if k.name == "mine"
    )
    assert (kernel.owned, kernel.kind, kernel.state) == (True, "prefix", "ok")


def test_values_that_no_kernel_json_can_hold(place: Around) -> None:
    """Jupyter must be able to read what is written: UTF-8, and texts alone in env."""
    folder = put(place, "odd", env={"A": None, "B": [1], "C": 2})
    text = (folder / "kernel.json").read_text()
    argv = json.loads(text)["argv"]
    text = text.replace("Zoë", "\\ud800odd")
    text = text.replace(json.dumps(argv[0]), json.dumps(f'"{argv[0]}"'))
    (folder / "kernel.json").write_text(text)
    take(place, "odd")
    spec = json.loads((folder / "kernel.json").read_bytes().decode())
    assert spec["env"] == {"C": "2"} and spec["display_name"] == "\ufffdodd"
    script = Path(spec["argv"][0]).read_text()
    assert f"{argv[0]} " in script and f'"{argv[0]}"' not in script
