"""Which interpreter a virtual environment is made over: what was asked for, or a refusal that names what there is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kernelwright.config.model import Python, SiteConfig
from kernelwright.environments import venv
from kernelwright.environments.base import Place
from kernelwright.errors import UserError

SYSTEM = Path("/usr/bin/python3")
CODE = "import platform; print(platform.python_version())"
FULL = subprocess.run(
    [SYSTEM, "-c", CODE], capture_output=True, text=True, timeout=60
).stdout.strip()
MAJOR, MINOR, PATCH = FULL.split(".")
SHORT = f"{MAJOR}.{MINOR}"


@pytest.fixture
def place(tmp_path):
    """A site with one interpreter, the system's, so that nothing else of the machine is found."""
    real = Path(os.path.realpath(SYSTEM))
    site = SiteConfig(python=Python(interpreters=(str(real),)))
    return Place(tmp_path / "env", tmp_path, tmp_path, {"PATH": "/usr/bin"}, site, tmp_path)


@pytest.mark.parametrize(
    "asked",
    [
        None,
        MAJOR,
        SHORT,
        FULL,
        f"python{SHORT}",
        f"={SHORT}",
        f"=={SHORT}",
        f"{SHORT}.*",
        f"=={SHORT}.*",
        f"={FULL}",
        f"=={FULL}",
        f">={SHORT}",
        f">={SHORT},<{MAJOR}.{int(MINOR) + 1}",
        f">= {FULL}",
        f"~={SHORT}.0",
        "{path}",
    ],
)
def test_what_is_there_is_taken(place, asked):
    path = os.path.realpath(SYSTEM)
    found = venv.find_python(asked and asked.format(path=path), place)
    assert os.path.realpath(found) == path


@pytest.mark.parametrize(
    "asked",
    [
        f"{SHORT}.{int(PATCH) + 1}",
        f"=={SHORT}.{int(PATCH) + 1}",
        f"{SHORT}.{PATCH}0",
        f"{FULL}.1",
        f"{MAJOR}.{MINOR}0",
        "2",
        f">{FULL}",
        f"<{FULL}",
        f"~={SHORT}.{int(PATCH) + 1}",
        "banana",
        f"{FULL}; rm",
        ">=",
    ],
)
def test_what_is_not_there_is_refused_with_what_is(place, asked):
    with pytest.raises(UserError) as caught:
        venv.find_python(asked, place)
    assert caught.value.code == "python-not-found"
    assert asked in caught.value.message
    assert caught.value.context["there are"] in (SHORT, FULL)


def test_a_program_that_only_has_the_name_of_a_python_is_not_taken(place, tmp_path):
    fake = tmp_path / "bin" / f"python{SHORT}"
    fake.parent.mkdir()
    shutil.copy("/bin/true", fake)
    site = SiteConfig(python=Python(interpreters=(str(fake),)))
    place = Place(tmp_path / "env", tmp_path, tmp_path, {"PATH": "/usr/bin"}, site, tmp_path)
    assert venv.find_python(FULL, place) != fake


def test_the_command_says_which_versions_there_are(home, runtime):
    asked = f"{SHORT}.{int(PATCH) + 1}"
    done = subprocess.run(
        [runtime / "bin/kernelwright", "create", "venv", "exact", "--python", asked, "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        env={"HOME": str(home), "KERNELWRIGHT_HOME": str(home), "PATH": "/usr/bin:/bin"},
    )
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["message"]) == (
        "python-not-found",
        f"there is no Python {asked} on this node",
    )
    assert FULL in error["context"]["there are"]
    assert not (home / ".local/share/jupyter/kernels").exists(), sys.version
