"""Start scripts as people write them: what is found by reading them, and real starts of the known shapes."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from launch.kit import Kernel, generation, script

from kernelwright.config.model import SiteConfig
from kernelwright.environments import script as kind
from kernelwright.environments.base import Place
from kernelwright.errors import UserError
from kernelwright.model import Recipe, ScriptSpec
from kernelwright.progress import Silent

BIN = Path(sys.executable).parent  # a stack's own Python, with ipykernel
NERSC = f'#!/bin/bash\nexport PATH={BIN}:$PATH\nexport NERSC=yes\nexec "$@"\n'
NERSC_AS_PRINTED = NERSC.replace("#!/bin/bash", "#/bin/bash")
LSST = f"#!/bin/bash\nconfig_file=$HOME/notebooks/.user_setups\nif [ $# -gt 0 ]; then\n  export LSST=yes\n  exec {BIN}/python -m ipykernel $@\nfi\n"


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def make(path, tmp_path, runtime, *, progress=None, **recipe):
    wanted = Recipe(name="s", environment=ScriptSpec(str(path)), **recipe)
    place = Place(tmp_path / "prefix", tmp_path / "keep", tmp_path, {}, SiteConfig(), runtime)
    made = kind.make(wanted, place, progress or Silent())
    return wanted, made, kind.command(wanted, made)


STARTS = {
    "nersc": (NERSC, 0o755, "NERSC", True),
    "nersc as printed, no run bit": (NERSC_AS_PRINTED, 0o644, "NERSC", True),
    "lsst, unquoted": (LSST, 0o755, "LSST", False),
    "quoted, no exec": (
        f'#!/bin/bash\nexport OWN=yes\n{BIN}/python -m ipykernel_launcher "$@"\n',
        0o755,
        "OWN",
        False,
    ),
    "connection file alone": (
        f'#!/bin/sh\nexport OWN=yes\nexec {BIN}/python -m ipykernel_launcher -f "$1"\n',
        0o755,
        "OWN",
        False,
    ),
    "set -u and noise": (
        f'#!/bin/bash\nset -eu\necho noise; echo noise >&2\nexport OWN=yes\nexec "$@"\n',
        0o755,
        "OWN",
        True,
    ),
}


@pytest.mark.parametrize(("text", "mode", "name", "ours"), STARTS.values(), ids=STARTS)
def test_real_starts(tmp_path, runtime, env, text, mode, name, ours):
    path = script(tmp_path / "kernel helper.sh", text, mode)
    wanted, made, command = make(path, tmp_path, runtime)
    if "set -eu" in text:
        env = env | {"PATH": f"{BIN}:{env['PATH']}"}
    folder = generation(
        tmp_path / "g" / "1",
        command=command,
        made=made,
        runtime=runtime,
        environment=wanted.environment,
    )
    with Kernel(folder, env, cwd=tmp_path) as kernel:
        assert kernel.info["implementation"] == "ipython", kernel.said()
        assert kernel.run(f"import os; os.environ[{name!r}]")[1] == "'yes'"
        assert (
            "KeyboardInterrupt"
            in kernel.interrupt(
                "import time\nprint('going', flush=True)\nfor _ in range(6000): time.sleep(.01)"
            )[1]
        )
        assert ("%kernelwright" in kernel.run("%lsmagic")[1]) == ours, (
            "our entry, where the script lets us name the program"
        )
        kernel.restart()
        assert kernel.run("6 * 7")[1] == "42"


CALLS = {
    'exec "$@"': "command",
    "exec $@": "command",
    "source x && exec srun -n 1 $@": "command",
    'A=1 exec "$@"': "command",
    'if true; then\n  "$@"\nfi': "command",
    "exec python -m ipykernel $@": "arguments",
    'python -m ipykernel_launcher "$1" "$2"': "arguments",
    'exec python3 -m ipykernel_launcher -f "$1"': "file",
    "julia -i kernel.jl --f=$1": "file",
    '# exec "$@"\nR --args $1': "arguments",
}


@pytest.mark.parametrize(("text", "expected"), CALLS.items())
def test_how_a_script_wants_to_be_called(text, expected):
    assert kind.calls(text) == expected


FOUND = {
    "no shebang": ('echo\nexec "$@"\n', 0o755, ["script-without-shebang"]),
    "nersc": (NERSC_AS_PRINTED, 0o755, ["script-without-shebang"]),
    "no run bit": (NERSC, 0o644, ["script-not-executable"]),
    "crlf": (NERSC.replace("\n", "\r\n"), 0o755, ["script-crlf"]),
    "never uses its arguments": (
        "#!/bin/bash\n# $@\npython -m ipykernel\n",
        0o755,
        ["script-ignores-arguments"],
    ),
    "interpreter gone": ('#!/opt/old/bash\nexec "$@"\n', 0o755, ["script-interpreter-missing"]),
    "placeholder": (
        "#!/bin/bash\nexec python -m ipykernel_launcher -f {connection_file} $1\n",
        0o755,
        ["script-literal-placeholder"],
    ),
    "sources a placeholder": (
        '#!/bin/bash\nsource /path/to/stack/loadLSST.bash\nexec "$@"\n',
        0o755,
        ["script-source-missing"],
    ),
    "python without a first line": (
        "# my kernel\n\nimport ipykernel\n",
        0o755,
        ["script-without-shebang"],
    ),
    "python that may not be executed": (
        "#!/usr/bin/env python3\nimport sys\n",
        0o644,
        ["script-not-executable"],
    ),
    "UTF-16": (NERSC.encode("utf-16").decode("latin-1"), 0o755, ["script-binary"]),
    "fine, with an archive behind it": (NERSC + "exit\n\0\1\2", 0o755, []),
    "fine, python in a shell script": (
        '#!/bin/bash\npython - <<EOF\nimport os\nEOF\nexec "$@"\n',
        0o755,
        [],
    ),
    "fine": (NERSC, 0o755, []),
    "fine, python": ("#!/usr/bin/env python3\nimport os\n", 0o755, []),
}


@pytest.mark.parametrize(("text", "mode", "codes"), FOUND.values(), ids=FOUND)
def test_what_is_found_by_reading(tmp_path, text, mode, codes):
    path = tmp_path / "s.sh"
    path.write_bytes(text.encode("latin-1"))
    path.chmod(mode)
    found = kind.problems(str(path))
    assert [p.code for p in found] == codes
    assert all(p.hint for p in found)


@pytest.mark.parametrize(
    "name",
    [
        "crlf",
        "never uses its arguments",
        "interpreter gone",
        "python without a first line",
        "python that may not be executed",
    ],
)
def test_what_cannot_work_is_refused_with_the_fix(tmp_path, runtime, name):
    text, mode, codes = FOUND[name]
    with pytest.raises(UserError) as caught:
        make(script(tmp_path / "s.sh", text, mode), tmp_path, runtime)
    assert caught.value.code == codes[0]
    assert caught.value.hint


def test_what_can_work_is_noted(tmp_path, runtime):
    notes = Notes()
    _, made, command = make(
        script(tmp_path / "s.sh", NERSC_AS_PRINTED, 0o644), tmp_path, runtime, progress=notes
    )
    assert command.argv[:2] == ("/bin/bash", str(tmp_path / "s.sh"))
    assert any("#!/bin/bash" in note for note in notes.notes)
    assert any("chmod u+x" in note for note in notes.notes)


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/nowhere/s.sh", "script-missing", "does not exist"),
        ("relative.sh", "script-relative", "relative"),
        ("{tmp}/folder", "script-missing", "is a folder"),
        ("{tmp}/pipe", "script-missing", "is a named pipe"),
        ("/dev/zero", "script-missing", "is a device"),
        ("{tmp}/link", "script-missing", "is a link to `/nowhere/x`, which is not there"),
        ("{tmp}/loop", "script-missing", "Too many levels of symbolic links"),
        ("{tmp}/notes.R", "script-without-shebang", "is R, but does not begin with `#!`"),
        ("/bin/ls", "script-binary", "is a compiled program"),
        ("/usr/bin/python3", "script-binary", "is a compiled program"),
    ],
)
def test_paths_that_are_no_script(tmp_path, runtime, path, code, words):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/nowhere/x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "notes.R").write_text("print(1)\n")
    with pytest.raises(UserError) as caught:
        make(path.format(tmp=tmp_path), tmp_path, runtime)
    assert caught.value.code == code
    assert words in caught.value.message
    if path == "/usr/bin/python3":
        assert "kernelwright create prefix NAME DIR" in caught.value.hint


def test_a_compiled_program_whose_words_the_recipe_says(tmp_path, runtime):
    """Kernels that are one program: they are started as they are, not by bash."""
    _, made, command = make("/bin/ls", tmp_path, runtime, command=("-f", "{connection_file}"))
    assert command.argv == ("/bin/ls", "-f", "{connection_file}")
    shutil.copy("/bin/ls", tmp_path / "closed")
    (tmp_path / "closed").chmod(0o644)
    with pytest.raises(UserError) as caught:
        make(str(tmp_path / "closed"), tmp_path, runtime, command=("{connection_file}",))
    assert caught.value.code == "script-not-executable"


def test_home_and_own_arguments(tmp_path, runtime):
    script(tmp_path / "s.sh", "#!/bin/bash\nexec python /x/kernel.py\n")
    with pytest.raises(UserError):
        make("~/s.sh", tmp_path, runtime)
    _, made, command = make("~/s.sh", tmp_path, runtime, command=("--file", "{connection_file}"))
    assert command.argv == (str(tmp_path / "s.sh"), "--file", "{connection_file}")
    assert (
        kind.check(Recipe(name="s", environment=ScriptSpec("~/s.sh"), command=("x",)), made) == []
    )
