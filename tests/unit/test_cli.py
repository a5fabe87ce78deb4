"""The command line's promises: streams, exit statuses, errors, hostile words."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from kernelwright.cli import VERBS, Parser, create
from kernelwright.cli.render import cut, table, width

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(kw, verb, capsys):
    answer = kw(verb, "--help")
    assert answer.status == 0
    assert "usage: kernelwright" in capsys.readouterr().out


def test_no_arguments_show_what_to_do_next(kw):
    answer = kw()
    assert answer.status == 0
    assert "What next:" in answer.out and "create venv" in answer.out
    assert max(width(line) for line in answer.out.splitlines()) <= 80


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("list", "--nonsense"),
        ("show",),
        ("create",),
        ("create", "nonsense", "a"),
        ("test", "a", "--timeout", "x"),
    ],
)
def test_a_wrong_call_is_2_and_no_traceback(kw, words):
    answer = kw(*words)
    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.startswith("error: ") and "Traceback" not in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ("x", "--channel", "c", "a", "b"),
        ("x", "a", "--channel", "c", "b"),
        ("--channel", "c", "x", "a", "b"),
    ],
)
def test_packages_may_stand_after_options(words):
    parser = Parser()
    create.configure("create", parser)
    args = parser.parse_args(["conda", *words])
    assert (args.name, args.packages, args.channel) == ("x", ["a", "b"], ["c"])


def test_a_verb_mistyped_is_guessed(kw):
    assert "did you mean `list`?" in kw("lsit").err


def test_json_failures_are_json_on_stdout(kw):
    answer = kw("show", "nobody", "--json")
    assert answer.status == 1
    assert answer.json()["error"]["code"] == "no-such-kernel"
    assert answer.json()["version"] == 1


def test_a_foreign_kernel_is_only_moved_by_force(kw, home):
    kernel = home / ".local/share/jupyter/kernels/mine"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text('{"argv": ["true"], "display_name": "x", "language": "y"}')
    assert kw("remove", "mine").status == 1
    assert kernel.exists()
    answer = kw("remove", "mine", "--force")
    assert answer.status == 0 and "backups" in answer.err
    assert not kernel.exists()
    assert list((home / ".local/share/kernelwright/backups").glob("mine*/kernel.json"))


def test_dry_run_prints_the_script_and_changes_nothing(kw, home):
    answer = kw("create", "venv", "My Kernel", "numpy", "--env", "A=b c", "--dry-run")
    assert answer.status == 0
    assert "launch.sh" in answer.out and "my-kernel" in answer.out
    assert not (home / ".local/share/jupyter").exists()


def test_storage_of_an_empty_home(kw):
    assert kw("storage").status == 0
    assert kw("storage", "--json").json() == {"version": 1, "paths": []}


def test_storage_knows_and_cleans_the_cache_below_the_sites_root(kw, tmp_path):
    (tmp_path / "site.yaml").write_text(f"storage: {{root: {tmp_path}/scratch}}\n")
    packages = tmp_path / "scratch/cache/conda/pkgs"
    packages.mkdir(parents=True)
    (packages / "x").write_text("x")
    environ = {"KERNELWRIGHT_SITE_CONFIG": str(tmp_path / "site.yaml")}
    assert f"{tmp_path}/scratch/cache" in kw("storage", environ=environ).out
    kw("storage", "--clean", environ=environ)
    assert not packages.exists()


def test_completion_is_sound_bash(kw):
    script = kw("completion", "bash").out
    assert subprocess.run(["bash", "-n"], input=script, text=True, timeout=30).returncode == 0
    probe = (
        script + "\nCOMP_WORDS=(kernelwright cr); COMP_CWORD=1; _kernelwright; echo ${COMPREPLY[@]}"
    )
    assert (
        subprocess.run(
            ["bash", "-c", probe], capture_output=True, text=True, timeout=30
        ).stdout.strip()
        == "create"
    )


def test_the_command_without_a_runtime_says_so(tmp_path):
    copy = tmp_path / "bin/kernelwright"
    copy.parent.mkdir()
    copy.write_bytes((ROOT / "bin/kernelwright").read_bytes())
    copy.chmod(0o755)
    out = subprocess.run(
        [copy, "list"], capture_output=True, text=True, timeout=30, env={"PATH": os.environ["PATH"]}
    )
    assert out.returncode == 1 and out.stderr.startswith("error: runtime-missing")


def test_a_closed_pipe_is_no_traceback(runtime, home):
    env = {**os.environ, "KERNELWRIGHT_HOME": str(home)}
    out = subprocess.run(
        ["sh", "-c", f"{runtime}/bin/kernelwright list --json | head -c 1"],
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
    )
    assert "Traceback" not in out.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("list --all | head -c 1", 0, ""),
        ("list --all > /dev/full", 1, "output-not-written"),
        ("doctor --json > /dev/full", 1, "output-not-written"),
        ("list --all <&- >&- 2>&-", 0, ""),
        ("frobnicate <&- >&- 2>&-", 2, ""),
    ],
)
def test_streams_that_take_nothing(runtime, home, words, status, said):
    env = {**os.environ, "KERNELWRIGHT_HOME": str(home)}
    call = ["sh", "-c", f"{runtime}/bin/kernelwright {words}"]
    out = subprocess.run(call, capture_output=True, text=True, timeout=120, env=env)
    assert "Traceback" not in out.stderr and "ignored" not in out.stderr
    assert out.returncode == status, out.stderr
    assert said in out.stderr


def test_tables_align_wide_characters():
    text = table([("日本", "x"), ("ab", "y")], limit=40)
    first, second = text.splitlines()
    assert width(first[: first.index("x")]) == width(second[: second.index("y")])
    assert cut("日本語", 4) == "日…"


def test_a_cell_of_a_table_is_one_line():
    rows = [("a", "good\nforged  ok\r\u2028x"), ("b", "y")]
    assert len(table(rows, limit=80).splitlines()) == 2


def test_errors_are_readable_without_colour(kw):
    assert "\x1b" not in kw("show", "nobody").err


def test_list_json_has_the_promised_keys(kw, home):
    kernel = home / ".local/share/jupyter/kernels/mine"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(
        json.dumps(
            {
                "argv": ["/bin/true", "{connection_file}"],
                "display_name": "<b>x</b>",
                "language": "y",
            }
        )
    )
    rows = {k["name"]: k for k in kw("list", "--json").json()["kernels"]}
    assert set(rows["mine"]) == {
        "name",
        "display_name",
        "language",
        "origin",
        "kind",
        "launcher",
        "path",
        "owned",
        "visible",
        "state",
        "problems",
    }
    assert rows["mine"]["owned"] is False and rows["mine"]["origin"] == "user"


def test_hints_call_the_command_as_this_site_does(kw, tmp_path):
    (tmp_path / "site.yaml").write_text('command: "module load kw; kernelwright"\n')
    answer = kw("show", "nobody", environ={"KERNELWRIGHT_SITE_CONFIG": str(tmp_path / "site.yaml")})
    assert "`module load kw; kernelwright list` shows what there is" in answer.err


def test_a_kernel_without_its_interpreter_says_so_when_it_is_tested(kw, home):
    kernel = home / ".local/share/jupyter/kernels/gone"
    kernel.mkdir(parents=True)
    argv = [f"{home}/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "x", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    answer = kw("test", "gone")
    assert answer.status == 1 and answer.err.startswith("error: interpreter-not-found")
    spec["argv"][0] = (
        "/nowhere/bin/python"  # not known from outside: it may be on the compute nodes alone
    )
    (kernel / "kernel.json").write_text(json.dumps(spec))
    answer = kw("test", "gone")
    assert answer.status == 1 and "`/nowhere/bin/python` cannot be run" in answer.err
