"""What launch.sh says and does, without a kernel: quoting, substitution, isolation, odd sessions."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from launch.kit import generation, script

from kernelwright.config.model import ModuleConfig, SiteConfig
from kernelwright.errors import UserError
from kernelwright.launch import render
from kernelwright.model import Command, Isolation, Made, Modules, PrefixSpec, Recipe, SlurmSettings

HOSTILE = {
    "quotes": 'it\'s "quoted"',
    "command substitution": "$(touch /tmp/kw-hostile)`touch /tmp/kw-hostile`",
    "semicolon": "; touch /tmp/kw-hostile; ",
    "newline": "a\nb # c\n",
    "dollar": "$HOME $0 ${HOME:-x} \\$ !! %s",
    "spaces and globs": "  * ? [a] ~ {a,b} ",
    "unicode": "\u202egnp.exe 🐍 é",
    "leading dash": "-rf",
    "empty": "",
    "long": "x" * 10000,
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_values_arrive_unchanged(printed, value):
    seen = printed(
        env={"KW_RECIPE": value},
        command=Command(("x",), env={"KW_COMMAND": value, "KW_HOME": "${HOME}"}),
    )
    assert seen["KW_RECIPE"] == value
    assert seen["KW_COMMAND"] == value
    assert seen["KW_HOME"] == "${HOME}", "a command's own values are not substituted"
    assert not Path("/tmp/kw-hostile").exists()


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_argv_arrives_unchanged(tmp_path, runtime, env, value):
    show = script(
        tmp_path / "show.py",
        f"#!{sys.executable}\nimport sys\nopen(sys.argv[1], 'w').write(repr(sys.argv[2:]))\n",
    )
    out = tmp_path / "out"
    folder = generation(
        tmp_path / "g" / "1",
        (str(show), str(out), value, "a{connection_file}b", "{x}"),
        runtime=runtime,
    )
    connection = tmp_path / "kernel-a b'c.json"
    connection.write_text("{}")
    subprocess.run(
        [folder / "launch.sh", connection], env=env | {"KERNELWRIGHT_NO_DIAGNOSIS": "1"}, timeout=60
    )
    assert out.read_text() == repr([value, f"a{connection}b", "{x}"])


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_titles_and_folders_cannot_run(tmp_path, runtime, env, value):
    folder = generation(
        tmp_path / f"a {value[:40].replace('/', '_')} b" / "1",
        runtime=runtime,
        display_name=value or "x",
    )
    done = subprocess.run(
        [folder / "launch.sh", "--shell", "--", "printf", "%s", "fine"],
        env=env,
        timeout=60,
        capture_output=True,
    )
    assert (done.stdout, done.stderr) == (b"fine", b"")
    assert not Path("/tmp/kw-hostile").exists()


def test_substitution(printed):
    seen = printed(
        environ={"LD_LIBRARY_PATH": "/session", "GIVEN": "a b*"},
        env={
            "LD_LIBRARY_PATH": "/proj/lib:${LD_LIBRARY_PATH}",
            "FROM": "<${GIVEN}>${MISSING}$GIVEN",
            "LATER": "${FROM}!",
            "PATH": "/new::/new:${PATH}:/new",
        },
    )
    assert seen["LD_LIBRARY_PATH"] == "/proj/lib", (
        "the session's is not the kernel's, and no empty element is left"
    )
    assert seen["FROM"] == "<a b*>$GIVEN"
    assert seen["LATER"] == "<a b*>$GIVEN!"
    assert seen["PATH"] == "/new:/usr/local/bin:/usr/bin:/bin", "order kept, nothing twice"


def test_isolation_is_the_default(printed, tmp_path):
    server = tmp_path / "server"
    session = {
        "PYTHONPATH": "/leak",
        "PYTHONHOME": "/leak",
        "LD_LIBRARY_PATH": "/leak",
        "VIRTUAL_ENV": str(server),
        "CONDA_PREFIX": "/opt/conda",
        "CONDA_PREFIX_1": "/opt/conda",
        "CONDA_SHLVL": "2",
        "CONDA_DEFAULT_ENV": "base",
        "PATH": f"{server}/bin:/opt/conda/bin:/usr/bin:/bin",
        "SCRATCH": "/scratch/me",
    }
    seen = printed(environ=session)
    assert seen["PATH"] == "/usr/bin:/bin"
    assert seen["PYTHONNOUSERSITE"] == "1"
    assert seen["SCRATCH"] == "/scratch/me"
    leaks = set(seen) & (set(session) - {"PATH", "SCRATCH"})
    assert not leaks


def test_each_isolation_can_be_lifted(printed):
    session = {"PYTHONPATH": "/mine", "LD_LIBRARY_PATH": "/libs", "PYTHONNOUSERSITE": "1"}
    seen = printed(
        environ=session, isolation=Isolation(user_site=True, pythonpath=True, ld_library_path=True)
    )
    assert "PYTHONNOUSERSITE" not in seen
    assert (seen["PYTHONPATH"], seen["LD_LIBRARY_PATH"]) == ("/mine", "/libs")


ODD_SESSIONS = {
    "BASH_ENV that exits": {"BASH_ENV": "{tmp}/exit.sh", "ENV": "{tmp}/exit.sh"},
    "exported functions": {
        f"BASH_FUNC_{name}%%": "() { exit 7; }"
        for name in ("cd", "export", "unset", "exec", "printf", "trap", "module")
    },
    "set -eu for all": {"SHELLOPTS": "braceexpand:errexit:nounset:noglob:interactive-comments"},
    "nullglob and posix": {"BASHOPTS": "failglob:nullglob", "POSIXLY_CORRECT": "1"},
    "IFS and CDPATH": {"IFS": "/:", "CDPATH": "/", "GLOBIGNORE": "*", "PS4": "$(exit 7)"},
    "no HOME, no PATH": {"HOME": "", "PATH": ""},
}


@pytest.mark.parametrize("session", ODD_SESSIONS.values(), ids=ODD_SESSIONS)
def test_odd_sessions_change_nothing(run_launch, tmp_path, session):
    (tmp_path / "exit.sh").write_text("exit 7\n")
    environ = {k: v.replace("{tmp}", str(tmp_path)) for k, v in session.items()}
    result = run_launch(sys.executable, "-c", "print(6 * 7)", environ=environ, env={"A": "${HOME}"})
    assert (result.status, result.stdout) == (0, "42\n"), result


def test_hooks_run_with_the_environment_and_cannot_stop_or_move_it(run_launch, tmp_path):
    bad = script(
        tmp_path / "bad hook.sh",
        "set -eu; IFS=x; cd /; trap 'exit 9' EXIT; export SEEN=$CONDA_PREFIX; set -f\n",
    )
    good = script(tmp_path / "good.sh", "export AFTER=$SEEN; export KW_OUTER=${UNSET:-fine}\n")
    command = Command(
        ("x",),
        env={"CONDA_PREFIX": "/envs/a"},
        path=("/envs/a/bin",),
        hooks=(str(bad), "/gone.sh", str(good)),
    )
    result = run_launch(
        "sh", "-c", 'echo "$AFTER $KW_OUTER $PATH $PWD"', command=command, env={"X": "${AFTER}"}
    )
    assert result.stdout == f"/envs/a fine /envs/a/bin:/usr/local/bin:/usr/bin:/bin {tmp_path}\n", (
        result
    )


def test_the_shell_gives_the_command_its_status(run_launch):
    assert run_launch("sh", "-c", "exit 7").status == 7


def test_slurm_kernels_go_to_the_broker_unless_told_to_stay(tmp_path, env):
    python = tmp_path / "runtime/venv/bin/python"
    python.parent.mkdir(parents=True)
    script(python, '#!/bin/bash\nprintf "<%s>" "$@"\n')
    folder = generation(
        tmp_path / "g" / "1",
        ("/bin/true",),
        runtime=tmp_path / "runtime",
        slurm=SlurmSettings(partition="p"),
    )
    out = subprocess.run(
        [folder / "launch.sh", "/c.json"], env=env, capture_output=True, text=True, timeout=60
    ).stdout
    assert out == f"<-I><-m><kernelwright.slurm.broker><{folder}></c.json>"
    out = subprocess.run(
        [folder / "launch.sh", "--shell", "--", "echo", "here"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert out == "here\n"


def test_the_entry_takes_the_place_of_ipykernel_alone():
    entry = "/g/entry.py"
    for argv, expected in {
        ("/p", "-m", "ipykernel_launcher", "-f", "{connection_file}"): (
            "/p",
            entry,
            "-f",
            "{connection_file}",
        ),
        ("/s", "python", "-X", "dev", "-m", "ipykernel", "-f", "c"): (
            "/s",
            "python",
            "-X",
            "dev",
            entry,
            "-f",
            "c",
        ),
        ("/p", "-m", "bash_kernel", "-f", "c"): None,
        ("/p", "-m"): None,
    }.items():
        assert render.through_entry(argv, Path("/g")) == (expected or argv, expected is not None)


def test_names_that_bash_cannot_export_are_refused():
    recipe = Recipe(name="a", environment=PrefixSpec("/x"), env={"A B;touch /tmp/kw-hostile": "1"})
    with pytest.raises(UserError, match="A B"):
        render.render(
            recipe,
            Command(("x",)),
            generation=Path("/g"),
            runtime=Path("/r"),
            made=Made("prefix"),
            site=SiteConfig(),
        )


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is missing")
def test_shellcheck(tmp_path):
    recipe = Recipe(
        name="all",
        environment=PrefixSpec("/x"),
        display_name="it's\neverything",
        env={"A": "${B}'c", "LD_LIBRARY_PATH": "/l:${LD_LIBRARY_PATH}"},
        modules=Modules(use=("/a b",), load=("gcc/12", "x'y"), purge=True),
        slurm=SlurmSettings(),
    )
    site = SiteConfig(modules=ModuleConfig(init="/etc/profile.d/lmod.sh", use=("/site",)))
    command = Command(
        ("/p", "-m", "ipykernel_launcher", "-f", "{connection_file}"),
        env={"C": "d e"},
        path=("/b in",),
        hooks=("/h k.sh",),
    )
    files = render.render(
        recipe, command, generation=tmp_path, runtime=Path("/r"), made=Made("prefix"), site=site
    )
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    scripts = [name for name in files if name.endswith(".sh")]
    done = subprocess.run(
        ["shellcheck", "-s", "bash", "-e", "SC1091", *scripts],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
