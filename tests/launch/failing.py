"""Starts that fail, each made for real: CASES maps a set-up to the code and the words of its diagnosis."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from kernelwright.model import Command, Isolation
from launch.kit import PYTHON, script

ENTRY = ("-m", "ipykernel_launcher", "-f", "{connection_file}")


def bare_venv(folder):
    """A venv without any package; returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    return str(folder / "bin/python")


def fake_ipykernel(folder, text):
    """A venv whose ipykernel is `text`; returns its Python."""
    python = bare_venv(folder)
    package = next(folder.glob("lib/python3*")) / "site-packages/ipykernel"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "kernelapp.py").write_text(text)
    return python


def no_interpreter(tmp):
    return ("/nowhere/python", *ENTRY), {}


def no_ipykernel(tmp):
    return (bare_venv(tmp / "env"), *ENTRY), {}


def broken_import(tmp):
    return (fake_ipykernel(tmp / "env", "from traitlets_that_are_gone import Any"), *ENTRY), {}


def missing_library(tmp):
    program = tmp / "program"
    shutil.copy("/bin/true", program)
    subprocess.run(["patchelf", "--add-needed", "libnowhere.so.7", program], check=True, timeout=60)
    return (str(program), "{connection_file}"), {}


def wrong_architecture(tmp):
    program = tmp / "program"
    data = bytearray(Path("/bin/true").read_bytes())
    data[18:20] = b"\x15\x00"  # e_machine: PowerPC64
    program.write_bytes(data)
    program.chmod(0o755)
    return (str(program), "{connection_file}"), {}


def illegal_instruction(tmp):
    return (str(script(tmp / "k", "#!/bin/bash\nkill -ILL $$\n")), "{connection_file}"), {}


def crash(tmp):
    return (str(script(tmp / "k", "#!/bin/bash\nkill -SEGV $$\n")), "{connection_file}"), {}


def not_executable(tmp):
    return (str(script(tmp / "k", "#!/bin/bash\n", mode=0o644)), "{connection_file}"), {}


def windows_script(tmp):
    from kernelwright.model import ScriptSpec

    path = str(script(tmp / "k.sh", '#!/bin/bash\r\nexec "$@"\r\n'))
    return (path, "{connection_file}"), {"environment": ScriptSpec(path)}


def ends_at_once(tmp):
    return (
        str(script(tmp / "k", "#!/bin/bash\necho some last words >&2\nexit 3\n")),
        "{connection_file}",
    ), {}


def starts_nothing(tmp):
    from kernelwright.model import ScriptSpec

    path = str(script(tmp / "k.sh", "#!/bin/bash\necho set up\n"))
    return (path, "{connection_file}"), {"environment": ScriptSpec(path)}


def invisible_connection_file(tmp):
    return (sys.executable, *PYTHON[:-1], "/nowhere/kernel-9.json"), {}


def silent_python(tmp):
    python = fake_ipykernel(tmp / "env", "import time; time.sleep(600)")
    return (python, *ENTRY), {"env": {"KERNELWRIGHT_START_LIMIT": "2"}}


def busy_python(tmp):
    python = fake_ipykernel(tmp / "env", "while True: pass")
    return (python, *ENTRY), {"env": {"KERNELWRIGHT_START_LIMIT": "1"}}


def own_startup_file(tmp):
    folder = tmp / "home/.ipython/profile_default/startup"
    folder.mkdir(parents=True)
    (folder / "00-mine.py").write_text("import os; os._exit(3)\n")
    return None, {}


def silent_program(tmp):
    return (str(script(tmp / "k", "#!/bin/bash\nsleep 600\n")), "{connection_file}"), {
        "env": {"KERNELWRIGHT_START_LIMIT": "1"}
    }


def hook_that_exits(tmp):
    hook = str(script(tmp / "hook.sh", "echo from the hook >&2; exit 4\n"))
    return None, {"command": Command((sys.executable, *PYTHON), hooks=(hook,))}


def user_site(tmp):
    python = bare_venv(tmp / "env")
    config = tmp / "env/pyvenv.cfg"
    config.write_text(
        config.read_text().replace(
            "include-system-site-packages = false", "include-system-site-packages = true"
        )
    )
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    package = tmp / f"home/.local/lib/{version}/site-packages/ipykernel"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('made for another Python')")
    return (python, *ENTRY), {"isolation": Isolation(user_site=True)}


CASES = {
    no_interpreter: (
        "interpreter-not-found",
        "`/nowhere/python` does not exist",
        "kernelwright repair try",
    ),
    no_ipykernel: ("ipykernel-missing", "ipykernel is not installed", "kernelwright repair try"),
    broken_import: (
        "import-error",
        "No module named 'traitlets_that_are_gone'",
        "kernelwright update try",
    ),
    missing_library: ("library-missing", "`libnowhere.so.7` is not found", "load the module"),
    wrong_architecture: (
        "wrong-architecture",
        "another kind of processor",
        "kernelwright update try",
    ),
    illegal_instruction: ("illegal-instruction", "Illegal instruction", "another kind of node"),
    crash: ("kernel-crashed", "segmentation fault", "compiled package"),
    not_executable: ("script-not-executable", "no execute permission", "chmod u+x"),
    windows_script: ("script-crlf", "line ends of Windows", "sed -i"),
    ends_at_once: ("kernel-ended", "exit status 3 before it answered", "some last words"),
    starts_nothing: ("script-starts-nothing", "without starting a kernel", 'exec "$@"'),
    invisible_connection_file: (
        "connection-file-invisible",
        "does not see the connection file",
        "/nowhere/kernel-9.json",
    ),
    silent_python: ("kernel-silent", "did not answer within", "kernelapp.py"),
    busy_python: ("kernel-silent", "did not answer within", "KERNELWRIGHT_START_LIMIT"),
    own_startup_file: ("kernel-ended", "exit status 3", "startup/00-mine.py` at each start"),
    silent_program: ("kernel-silent", "did not answer within", "KERNELWRIGHT_START_LIMIT"),
    hook_that_exits: ("hook-failed", "hook.sh ended the start", "from the hook"),
    user_site: (
        "user-site-leaks",
        "a package in ~/.local is used",
        "isolation: {user_site: false}",
    ),
}
