"""The two module systems, for real: Lmod as the machine has it, Environment Modules unpacked beside it.

Debian does not install both at once, so that the package is unpacked into a folder of its own and the
paths in its files are changed to that folder; a site's `modules: {init: ...}` then names its init file.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from parts import missing

SHARED = Path("/var/tmp/kernelwright-tests")
LMOD = Path("/etc/profile.d/lmod.sh")
PACKAGE = "environment-modules"
# what the package's files name and the unpacked copy has elsewhere
MOVED = re.compile(
    r"/usr/share/modules|/etc/environment-modules|/usr/lib/[\w-]+/modulecmd\.tcl|/usr/lib/[\w-]+-linux-gnu\b"
)

LUA = {
    "{core}/gcc/12.2": 'prepend_path("MODULEPATH", "{compiler}")\n'
    'prepend_path("LD_LIBRARY_PATH", "/opt/gcc12/lib")\n',
    "{core}/gcc/13.1": 'prepend_path("LD_LIBRARY_PATH", "/opt/gcc13/lib")\n',
    "{core}/gcc/.modulerc": 'module_version("gcc/12.2", "default")\n',
    "{core}/broken/1.0": 'LmodError("this one never loads")\n',
    "{compiler}/openmpi/4.1": 'prepend_path("PATH", "/opt/mpi/bin")\n',
}
TCL = {
    "{core}/gcc/12.2": "#%Module1.0\nprepend-path MODULEPATH {compiler}\n"
    "prepend-path LD_LIBRARY_PATH /opt/gcc12/lib\n",
    "{core}/gcc/13.1": "#%Module1.0\nprepend-path LD_LIBRARY_PATH /opt/gcc13/lib\n",
    "{core}/gcc/.modulerc": "#%Module1.0\nmodule-version gcc/12.2 default\n",
    "{core}/broken/1.0": '#%Module1.0\nputs stderr "this one never loads"\nbreak\n',
    "{compiler}/openmpi/4.1": "#%Module1.0\nprepend-path PATH /opt/mpi/bin\n",
}
BOTH = {
    "{core}/needs/1": "#%Module1.0\nprereq gcc\n",
    "{core}/rival/1": "#%Module1.0\nconflict gcc\n",
    "{core}/leaky/1.0": "#%Module1.0\nprepend-path PYTHONPATH /opt/leaky/py\n"
    "prepend-path LD_LIBRARY_PATH /opt/leaky/lib\n",
}


@dataclass(frozen=True)
class System:
    """A module system: `init` is what a site names, `shell` defines `module` in a shell of the session."""

    name: str
    init: str | None
    shell: Path
    suffix: str

    def modulefiles(self, core: Path, compiler: Path) -> dict[Path, str]:
        """Files of a hierarchy, in the language of this system."""
        own = LUA if self.suffix else TCL
        files = {name + self.suffix: text for name, text in own.items()} | BOTH
        place = {"core": core, "compiler": compiler}
        return {Path(name.format(**place)): text.format(**place) for name, text in files.items()}


def lmod() -> System:
    """Lmod, which is found without the site's help."""
    if not LMOD.exists():
        missing("Lmod is not installed")
    return System("Lmod", None, LMOD, ".lua")


def environment_modules() -> System:
    """Environment Modules: Debian's package, unpacked once a version."""
    folder = _unpacked()
    init = folder / "usr/share/modules/init/bash"
    return System("Environment Modules", str(init), init, "")


def _unpacked() -> Path:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        pytest.skip(
            "NOT TESTED: Environment Modules come as Debian's package, and this is no Debian"
        )
    if not shutil.which("tclsh8.6"):
        missing("tclsh8.6 (package tcl8.6)")
    SHARED.mkdir(mode=0o755, exist_ok=True)
    mark = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    with open(SHARED / f"{PACKAGE}.gate", "w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        ready = sorted(SHARED.glob(f"{PACKAGE}_*_{mark}/ready"))
        if ready:
            return ready[-1].parent
        archive = _download()
        folder = SHARED / f"{PACKAGE}_{archive.name.split('_')[1]}_{mark}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o755)
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True, timeout=60)
        archive.unlink()
        _relocate(folder)
        (folder / "ready").touch()
        return folder


def _download() -> Path:
    """The package's file; a second try comes after a fresh list of packages."""
    for _ in range(2):
        words = ["apt-get", "-qq", "download", PACKAGE]
        done = subprocess.run(words, cwd=SHARED, capture_output=True, text=True, timeout=120)
        found = list(SHARED.glob(f"{PACKAGE}_*.deb"))
        if done.returncode == 0 and found:
            return found[0]
        subprocess.run(["apt-get", "-qq", "update"], capture_output=True, timeout=300)
    missing(f"{PACKAGE} could not be fetched: {done.stderr.strip()[-500:]}")


def _relocate(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.suffix not in (".gz", ".so"):
            text = path.read_text()
            path.write_text(MOVED.sub(lambda found: f"{folder}{found[0]}", text))
