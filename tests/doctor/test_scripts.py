"""Start scripts by their text: each shape that people have, and what is said about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kernelwright.config.model import SiteConfig
from kernelwright.discovery import discover
from kernelwright.doctor import examine_kernel
from kernelwright.doctor.subject import Around

SHELL = "#!/bin/bash\n"
SCRIPTS = {
    "sound": (SHELL + 'source /etc/profile.d/lmod.sh\nmodule load gcc\nexec python "$@"\n', set()),
    "no exec": (SHELL + '/bin/sh -c true "$@"\n', set()),
    "unquoted": (SHELL + "exec python -m ipykernel $@\n", {"script-unquoted-arguments"}),
    "numbered": (SHELL + "exec python -m ipykernel -f $1\n", {"script-unquoted-arguments"}),
    "quoted number": (SHELL + 'exec python -m ipykernel -f "$1"\n', set()),
    "braces": (SHELL + 'exec python -m ipykernel -f "${1}"\n', set()),
    "never": (SHELL + "exec python -m ipykernel\n", {"script-ignores-arguments"}),
    "only in a comment": (SHELL + '# "$@"\nexec python -m ipykernel\n', {"script-ignores-arguments"}),
    "shift": (SHELL + 'shift\nexec python "$@"\n', set()),
    "literal": (SHELL + 'exec python -f {connection_file} "$@"\n', {"script-literal-placeholder"}),
    "tilde": (SHELL + 'IMG="~/x.sif"\nexec apptainer exec "$IMG" "$@"\n', {"script-quoted-tilde"}),
    "module": (SHELL + 'module load gcc\nexec "$@"\n', {"module-undefined"}),
    "module, login shell": ("#!/bin/bash -l\n" + 'module load gcc\nexec "$@"\n', set()),
    "module, init sourced": (SHELL + '. /usr/share/lmod/lmod/init/bash\nml gcc\nexec "$@"\n', set()),
    "conda": (SHELL + 'conda activate x\nexec "$@"\n', {"conda-activate-undefined"}),
    "conda hook": (SHELL + 'eval "$(conda shell.bash hook)"\nconda activate x\nexec "$@"\n', set()),
    "placeholder": (SHELL + 'source ###UPDATE###/x.sh\nexec "$@"\n', {"placeholder-not-filled"}),
    "path placeholder": (SHELL + 'source /path/to/x.sh\nexec "$@"\n', {"placeholder-not-filled"}),
    "set -u": (SHELL + 'source /etc/profile\nset -u\nmodule load x\nexec "$@"\n', {"script-set-u"}),
    "pythonpath": (SHELL + 'export PYTHONPATH=/a:\nexec "$@"\n', {"pythonpath-current-folder"}),
    "crlf": ("#!/bin/bash\r\nexec \"$@\"\r\n", {"script-crlf"}),
    "hash slash": ("#/bin/bash\nexec \"$@\"\n", {"script-without-shebang"}),
    "no shebang": ('exec "$@"\n', {"script-without-shebang"}),
    "latin-1": (SHELL + '# caf\udce9\nexec "$@"\n', set()),
}  # fmt: skip


def diagnosis(
    tmp: Path, text: str, argv: list[str] | None = None, *, environ: dict[str, str] | None = None
):
    home = tmp / "home"
    folder = home / ".local/share/jupyter/kernels/k"
    folder.mkdir(parents=True)
    (folder / "start.sh").write_bytes(text.encode("utf-8", "surrogateescape"))
    (folder / "start.sh").chmod(0o755)
    spec = {
        "argv": argv or ["{resource_dir}/start.sh", "{connection_file}"],
        "display_name": "k",
        "language": "python",
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    around = Around(
        home, {"PATH": "/usr/bin:/bin", "HOME": str(home), **(environ or {})}, SiteConfig(), tmp
    )
    kernel = next(
        k for k in discover(home=home, environ=around.environ, site=SiteConfig()) if k.name == "k"
    )
    return examine_kernel(kernel, around)


@pytest.mark.parametrize("name", SCRIPTS)
def test_shape(tmp_path: Path, name: str) -> None:
    text, expected = SCRIPTS[name]
    found = diagnosis(tmp_path, text)
    assert {p.code for p in found.problems} == expected
    assert all(p.hint for p in found.problems)


def test_line_numbers(tmp_path: Path) -> None:
    found = diagnosis(tmp_path, SHELL + '\n\nmodule load gcc\nexec "$@"\n')
    assert found.problems[0].evidence == "line 4: module load gcc"


def test_a_space_in_the_runtime_folder_makes_it_an_error(tmp_path: Path) -> None:
    found = diagnosis(
        tmp_path, SHELL + "exec python $@\n", environ={"JUPYTER_RUNTIME_DIR": "/tmp/a b"}
    )
    assert (found.problems[0].code, found.problems[0].severity) == (
        "script-unquoted-arguments",
        "error",
    )


@pytest.mark.parametrize(
    ("argv", "codes"),
    [
        (["bash", "{resource_dir}/start.sh", "{connection_file}"], {"module-undefined"}),
        (["bash", "-l", "{resource_dir}/start.sh", "{connection_file}"], set()),
        (["bash", "-lc", "module load a && exec python -f '{connection_file}'"], {"bare-python"}),
        (["bash", "-c", "exec /usr/bin/python3 -f {connection_file}"], {"connection-file-unquoted"}),
        (["/usr/bin/env", "A=1", "python3", "-f", "{connection_file}"], {"bare-python"}),
        (["/usr/bin/python3", '--volume="/a;/b"', "{connection_file}"], {"argv-literal-quotes"}),
        (["/usr/bin/python3", "-B /data", "{connection_file}"], {"argv-glued-option"}),
    ],
)  # fmt: skip
def test_commands(tmp_path: Path, argv: list[str], codes: set[str]) -> None:
    found = diagnosis(tmp_path, SHELL + 'module load gcc\nexec "$@"\n', argv)
    assert {p.code for p in found.problems} == codes


def test_exported_module_function_counts(tmp_path: Path) -> None:
    environ = {"BASH_FUNC_module%%": "() { :; }"}
    assert not diagnosis(tmp_path, SHELL + 'module load gcc\nexec "$@"\n', environ=environ).problems
