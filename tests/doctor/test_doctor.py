"""doctor as a command: states, exit status, JSON, time limits; kernels of ours and the Python checks."""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path

import pytest

from doctor.kit import F, put
from kernelwright.config.model import SiteConfig
from kernelwright.discovery import discover
from kernelwright.doctor import diagnose, examine_kernel, quick
from kernelwright.doctor.pythons import elf_machine, remembered_prefix
from kernelwright.doctor.subject import Around


def around(home: Path, **environ: str) -> Around:
    return Around(home, {"HOME": str(home), "PATH": "/usr/bin:/bin", **environ}, SiteConfig(), home)


def environment(prefix: Path, *packages: str, version: str = "3.11") -> Path:
    """A folder that looks like an installation of its own: no virtual environment."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/python").symlink_to(sys.executable)
    for package in packages:
        (prefix / f"lib/python{version}/site-packages/{package}").mkdir(parents=True)
    return prefix


def codes(home: Path, name: str, where: Around | None = None) -> dict[str, str]:
    where = where or around(home)
    kernel = next(
        k for k in discover(home=home, environ=where.environ, site=SiteConfig()) if k.name == name
    )
    return {p.code: p.severity for p in examine_kernel(kernel, where).problems}


def test_a_sound_kernel(tmp_path: Path) -> None:
    put(tmp_path, "good")
    assert codes(tmp_path, "good") == {}


def test_user_site(tmp_path: Path) -> None:
    prefix = environment(tmp_path / "env", "ipykernel")
    put(tmp_path, "k", [str(prefix / "bin/python"), "-m", "ipykernel_launcher", "-f", F])
    assert codes(tmp_path, "k") == {}
    user = tmp_path / ".local/lib/python3.11/site-packages"
    (user / "seaborn-0.13.dist-info").mkdir(parents=True)
    assert codes(tmp_path, "k") == {"user-site-leaks": "note"}
    (user / "traitlets-4.dist-info").mkdir()
    assert codes(tmp_path, "k") == {"user-site-leaks": "warning"}
    assert codes(tmp_path, "k", around(tmp_path, PYTHONNOUSERSITE="1")) == {}
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\n")
    assert codes(tmp_path, "k") == {}


def test_variables_of_the_session(tmp_path: Path) -> None:
    prefix = environment(tmp_path / "env", "ipykernel")
    put(tmp_path, "k", [str(prefix / "bin/python"), "-m", "ipykernel_launcher", "-f", F])
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/libstdc++.so.6").write_bytes(b"x" * 100)
    assert codes(tmp_path, "k", around(tmp_path, PYTHONPATH="/x")) == {"python-path-leaks": "note"}
    assert codes(tmp_path, "k", around(tmp_path, PYTHONHOME="/x")) == {
        "python-path-leaks": "warning"
    }
    libraries = around(tmp_path, LD_LIBRARY_PATH=f"{tmp_path}/lib")
    assert codes(tmp_path, "k", libraries) == {}
    (prefix / "lib/libstdc++.so.6").write_bytes(b"x" * 100)
    assert codes(tmp_path, "k", libraries) == {"library-path-leaks": "warning"}
    (tmp_path / "lib/libstdc++.so.6").write_bytes(b"")
    assert codes(tmp_path, "k", libraries) == {"library-path-leaks": "error"}


def test_ipykernel_in_other_places(tmp_path: Path) -> None:
    prefix = environment(tmp_path / "env")
    put(tmp_path, "k", [str(prefix / "bin/python"), "-m", "ipykernel", "-f", F])
    assert codes(tmp_path, "k") == {"ipykernel-missing": "error"}
    (tmp_path / "more/ipykernel").mkdir(parents=True)
    assert "ipykernel-missing" not in codes(
        tmp_path, "k", around(tmp_path, PYTHONPATH=f"{tmp_path}/more")
    )
    (prefix / "lib/python3.11/site-packages").mkdir(parents=True)
    (tmp_path / ".local/lib/python3.11/site-packages/ipykernel").mkdir(parents=True)
    assert "ipykernel-missing" not in codes(tmp_path, "k")


def test_other_languages_need_no_ipykernel(tmp_path: Path) -> None:
    prefix = environment(tmp_path / "env")
    put(tmp_path, "k", [str(prefix / "bin/python"), "-m", "bash_kernel", "-f", F], language="bash")
    assert codes(tmp_path, "k") == {}


def test_dead_links_and_lost_bases(tmp_path: Path) -> None:
    prefix = environment(tmp_path / "env", "ipykernel")
    put(tmp_path, "k", [str(prefix / "bin/python"), "-m", "ipykernel_launcher", "-f", F])
    (prefix / "pyvenv.cfg").write_text("home = /opt/gone/bin\n")
    assert codes(tmp_path, "k") == {"base-python-missing": "error"}
    (prefix / "bin/python").unlink()
    (prefix / "bin/python").symlink_to("/opt/gone/bin/python3")
    assert {"base-python-missing", "interpreter-not-found"} <= set(codes(tmp_path, "k"))


def test_what_an_environment_remembers(tmp_path: Path) -> None:
    prefix = environment(tmp_path / "env", "ipykernel")
    assert remembered_prefix(prefix) is None
    (prefix / "bin/pip").write_text("#!/old/place/bin/python3.11\n")
    assert remembered_prefix(prefix) == "/old/place"
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (prefix / "bin/activate").write_text('# x\nVIRTUAL_ENV="/another place"\nexport VIRTUAL_ENV\n')
    assert remembered_prefix(prefix) == "/another place"
    put(tmp_path, "k", [str(prefix / "bin/python"), "-m", "ipykernel_launcher", "-f", F])
    assert codes(tmp_path, "k") == {"environment-moved": "warning"}


def test_elf_headers(tmp_path: Path) -> None:
    assert elf_machine(sys.executable) == platform.machine()
    for data in (b"", b"\x7fELF", b"#!/bin/sh\n", b"\x7fELF" + b"\0" * 10):
        (tmp_path / "x").write_bytes(data)
        assert elf_machine(str(tmp_path / "x")) is None


def test_slow_file_systems(tmp_path: Path) -> None:
    prefix = environment(tmp_path / "env", "ipykernel")
    put(tmp_path, "k", [str(prefix / "bin/python"), "-m", "ipykernel_launcher", "-f", F])
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / {tmp_path}/env rw - lustre b rw\nbroken line\n"
    )
    where = Around(
        tmp_path,
        {"HOME": str(tmp_path), "PATH": "/bin"},
        SiteConfig(),
        tmp_path,
        mountinfo=str(mounts),
    )
    assert codes(tmp_path, "k", where) == {"environment-on-network-disk": "note"}


def test_a_failing_check_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import kernelwright.doctor.diagnose as module

    def bad(_subject: object) -> list:
        raise KeyError("x")

    monkeypatch.setattr(
        sys.modules["kernelwright.doctor.diagnose"],
        "CHECKS",
        (bad, *sys.modules["kernelwright.doctor.diagnose"].CHECKS),
    )
    put(tmp_path, "k", ["/home/gone/python", F])
    assert set(codes(tmp_path, "k")) == {"interpreter-not-found", "check-failed"}
    assert module is not None


@pytest.mark.parametrize(
    "spec",
    [
        b"{}",
        b"[]",
        b"",
        b'{"argv": [1]}',
        b'{"argv": {"a": 1}}',
        b'{"argv": [""]}',
        b'{"env": 3, "argv": ["x", "\\u0000"]}',
        b'{"metadata": {"kernelwright": {"id": "x"}}, "argv": ["/a/b"]}',
        b'{"metadata": {"kernelwright": {"id": "../.."}}, "argv": [7]}',
        b'{"argv": ["bash", "-c"]}',
        b'{"argv": ["apptainer"]}',
        b'{"argv": ["env"]}',
        b'{"language": 3, "argv": ["python"]}',
    ],
)
def test_no_check_stumbles(tmp_path: Path, spec: bytes) -> None:
    folder = tmp_path / ".local/share/jupyter/kernels/k"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_bytes(spec)
    assert "check-failed" not in codes(tmp_path, "k")
    for probe in (False, True):
        kernel = next(
            k for k in discover(home=tmp_path, environ={}, site=SiteConfig()) if k.name == "k"
        )
        examine_kernel(kernel, around(tmp_path), probe=probe)


def test_probe(tmp_path: Path) -> None:
    put(tmp_path, "good")
    prefix = environment(tmp_path / "env", "ipykernel")  # an ipykernel that is an empty folder
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (prefix / "bin/python").unlink()
    (prefix / "bin/python").symlink_to("/usr/bin/python3")
    put(tmp_path, "hollow", [str(prefix / "bin/python"), "-m", "ipykernel_launcher", "-f", F])
    found, _account = diagnose(around(tmp_path), names=["good", "hollow"], probe=True)
    states = {d.kernel.name: d.kernel.state for d in found}
    assert states["good"] in {"ok", "warning"}
    assert states["hollow"] == "broken"


def test_quick_is_bounded(tmp_path: Path) -> None:
    put(tmp_path, "k", ["/home/gone/python", F])
    kernel = next(
        k for k in discover(home=tmp_path, environ={}, site=SiteConfig()) if k.name == "k"
    )
    begun = time.monotonic()
    found = quick(around(tmp_path), kernel)
    assert time.monotonic() - begun < 2
    assert "interpreter-not-found" in {p.code for p in found}
    assert quick(around(tmp_path), kernel, seconds=0) is not None
