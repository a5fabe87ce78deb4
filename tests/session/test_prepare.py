"""`session prepare` in one process: which kernel starts, under which name, and what is written."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kernelwright.config.model import Form, Groups, JupyterConfig, Policy, SiteConfig, SlurmConfig
from kernelwright.errors import Problem, UserError
from kernelwright.session import server, specs
from kernelwright.session.card import Report, read_report, write_report
from kernelwright.session.ending import running
from kernelwright.session.prepare import prepare
from kernelwright.session.specs import Offer

from .conftest import report_of, specs_of, values_of
from .ood import central_kernel


def go(session):
    return prepare(session, host="127.0.0.1", port="5000")


@pytest.fixture
def central(tmp_path):
    """A site with two central kernels; the second is its default."""
    one = central_kernel(tmp_path / "shared/py", "Python of the site")
    two = central_kernel(tmp_path / "shared/ml", "ML")
    return SiteConfig(
        kernels=(
            {"name": "py", "label": "Python 3.12 (site)", "path": str(one)},
            {"name": "ml", "label": "ML stack", "path": str(two), "default": True},
        )
    )


def user_kernel(home, name, label="Mine"):
    return central_kernel(home / ".local/share/jupyter/kernels" / name, label)


def test_the_sites_default_starts_when_nothing_is_chosen(request_of, central, valid):
    session = request_of(central)
    assert go(session) is True
    assert values_of(session)["default_kernel_name"] == "ml"
    assert specs_of(session)["ml"]["display_name"] == "ML stack"
    assert valid("report", report_of(session))["kernel"] == {
        "name": "ml", "label": "ML stack", "origin": "site", "made": False,
    }  # fmt: skip


def test_without_central_kernels_jupyters_own_python_starts(request_of):
    session = request_of()
    go(session)
    assert values_of(session)["default_kernel_name"] == "python3"


@pytest.mark.parametrize(
    ("answers", "name", "label"),
    [
        ({"kw_kernel": "site:py"}, "site.py", "Python 3.12 (site)"),
        ({"kw_kernel": "user:py"}, "py", "Mine"),
        ({"kw_other": "ml"}, "ml", "ML stack"),
        ({"kw_other": "py", "kw_kernel": "site:ml"}, "py", "Mine"),
        ({"kw_other": "site:py"}, "site.py", "Python 3.12 (site)"),
        ({"kw_kernel": "user:PY"}, "py", "Mine"),
    ],
)
def test_the_chosen_kernel_is_the_default_one_whatever_else_has_its_name(
    request_of, central, home, answers, name, label
):
    user_kernel(home, "py")
    session = request_of(central, **answers)
    go(session)
    assert values_of(session)["default_kernel_name"] == name
    assert specs_of(session)[name]["display_name"] == label
    assert report_of(session)["code"] is None


def test_a_users_python3_wins_over_the_servers_own(request_of, home):
    user_kernel(home, "python3", "My Python")
    session = request_of(kw_kernel="user:python3")
    go(session)
    assert specs_of(session)["python3"]["display_name"] == "My Python"


def test_names_do_not_depend_on_what_is_chosen():
    offers = [Offer("py", None), Offer("r", None), Offer("py", None, "bio"), Offer("r", None, "chem"), Offer("x", None, "Domain Users"), Offer("y", None, "a"), Offer("y", None, "b")]  # fmt: skip
    assert specs.names(offers, {"R"}) == {
        "site:py": "py",
        "site:r": "site.r",
        "group:bio/py": "group.bio.py",
        "group:chem/r": "group.chem.r",
        "group:Domain Users/x": "x",
        "group:a/y": "group.a.y",
        "group:b/y": "group.b.y",
    }
    assert Offer("x", None, "Domain Users").long_name == "group.domain-users.x"


def test_kernels_of_trusted_owners_in_group_folders_are_offered(request_of, central, tmp_path):
    shared = tmp_path / "projects/bio/kernels"
    central_kernel(shared / "seq", "Sequences")
    central_kernel(shared / "py", "Python of bio")
    site = SiteConfig(kernels=central.kernels, groups=Groups(folders=(str(shared),)))
    os.chmod(shared, 0o755)
    session = request_of(site)
    go(session)
    group = {
        name: spec["display_name"]
        for name, spec in specs_of(session).items()
        if "(" in spec["display_name"] and "site" not in spec["display_name"]
    }
    assert len(group) == 2, specs_of(session)


def test_a_kernel_that_is_gone_leaves_a_session_and_explains_itself(
    request_of, central, valid, capsys
):
    session = request_of(central, kw_kernel="user:lost")
    assert go(session) is True
    report = valid("report", report_of(session))
    assert (report["state"], report["code"]) == ("starting", "no-such-kernel")
    assert report["kernel"]["name"] == "ml"
    lost = specs_of(session)["lost"]
    assert lost["argv"][1:4] == ["-I", "-m", "kernelwright.launch.diagnostic"]
    assert json.loads(Path(lost["argv"][4]).read_text())["problem"]["code"] == "no-such-kernel"
    assert "no-such-kernel" in capsys.readouterr().err


def test_a_default_that_cannot_be_read_is_no_dead_end(request_of, tmp_path):
    site = SiteConfig(
        kernels=(
            {"name": "gone", "label": "Gone", "path": str(tmp_path / "nowhere"), "default": True},
        )
    )
    session = request_of(site)
    assert go(session) is True
    assert values_of(session)["default_kernel_name"] == "python3"
    assert report_of(session)["code"] == "kernel-unusable"


def test_the_diagnostic_kernel_never_hides_one_that_works(request_of, home):
    user_kernel(home, "rna")
    session = request_of(
        SiteConfig(policy=Policy(kinds=())),
        kw_kernel="new:packages",
        kw_title="RNA",
        kw_packages="numpy",
    )
    go(session)
    assert set(specs_of(session)) == {"failed.rna"}
    assert report_of(session)["code"] == "policy-kind"


def test_a_broken_central_kernel_spoils_no_other(request_of, central, tmp_path):
    (tmp_path / "shared/py/kernel.json").write_text("{")
    session = request_of(central)
    go(session)
    assert set(specs_of(session)) == {"ml"}


def test_secrets_lie_in_private_files_only(request_of):
    session = request_of()
    go(session)
    for path in session.private.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    password = (session.private / "password").read_text().strip()
    values = (session.private / "values.json").read_text()
    assert password.isalnum() and password[0].isalpha() and len(password) == server.PASSWORD_LETTERS
    texts = [
        values,
        (session.private / "server.sh").read_text(),
        (session.root / "report.json").read_text(),
    ]
    assert not any(password in text for text in texts)
    from jupyter_server.auth.security import passwd_check

    assert passwd_check(json.loads(values)["hashed_password"], password)


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_private_folder_that_others_enter_is_refused(request_of, mode):
    session = request_of()
    os.chmod(session.private, mode)
    with pytest.raises(UserError) as caught:
        go(session)
    assert caught.value.code == "session-folder-not-private"
    assert report_of(session)["state"] == "failed"


def test_the_working_folder_never_joins_the_search_path(request_of, home, tmp_path):
    work = tmp_path / "work"
    central_kernel(work / "kernels/python3", "Evil")
    session = request_of(
        kw_folder=str(work), environ={"JUPYTER_PATH": f"relative:{tmp_path / 'site'}"}
    )
    go(session)
    assert values_of(session)["root_dir"] == str(work)
    said = sourced(session, 'printf %s "$JUPYTER_PATH"')
    assert said == f"{session.private}/jupyter:{tmp_path / 'site'}"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", {"root_dir": "HOME"}),
        ("~", {"root_dir": "HOME"}),
        ("~/a b", {"root_dir": "HOME", "preferred_dir": "HOME/a b"}),
        ("a b", {"root_dir": "HOME", "preferred_dir": "HOME/a b"}),
        ("/", {"root_dir": "/"}),
        ("~/missing", {"root_dir": "HOME"}),
    ],
)
def test_the_folder_that_opens(request_of, home, said, expected):
    (home / "a b").mkdir()
    session = request_of(kw_folder=said)
    go(session)
    found = {
        k: v.replace(str(home), "HOME")
        for k, v in values_of(session).items()
        if k in {"root_dir", "preferred_dir"}
    }
    assert found == expected
    missing = [p["code"] for p in report_of(session)["problems"] if p["code"] == "folder-missing"]
    assert missing == (["folder-missing"] if "missing" in said else [])


def sourced(session, words):
    """What bash says after sourcing server.sh."""
    done = subprocess.run(
        ["bash", "-uc", f". {session.private}/server.sh && {words}"], capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_sites_own_jupyter_and_modules(request_of):
    site = SiteConfig(
        jupyter=JupyterConfig(
            modules=("jupyter/4",), command="jupyter --debug", interfaces=("lab",)
        )
    )
    session = request_of(site, kw_ui="notebook", kw_modules="gcc/12.2, cuda")
    go(session)
    assert sourced(session, 'printf \'%s|\' "${kw_command[@]}" "${kw_modules[@]}"') == (
        f"jupyter|--debug|lab|--config={server.CONFIG}|{server.CLOSED}|jupyter/4|gcc/12.2|cuda|"
    )


def test_the_runtimes_versioned_folder_is_resolved(request_of, tmp_path):
    real = tmp_path / "versions/1.0.0/venv"
    (real / "lib/python3.11/site-packages/jupyterlab").mkdir(parents=True)
    (tmp_path / "prefix").mkdir()
    (tmp_path / "prefix/venv").symlink_to(real)
    session = request_of(runtime=tmp_path / "prefix")
    go(session)
    assert sourced(session, 'printf %s "${kw_command[0]}"') == str(real / "bin/python")
    session = request_of(runtime=tmp_path / "prefix", kw_ui="notebook")
    go(session)
    assert "no-notebook" in [p["code"] for p in report_of(session)["problems"]]


def test_a_runtime_without_jupyter_says_what_the_admin_does(request_of, tmp_path):
    (tmp_path / "bare/venv").mkdir(parents=True)
    with pytest.raises(UserError) as caught:
        go(request_of(runtime=tmp_path / "bare"))
    assert caught.value.code == "no-jupyter"


def test_idle_kernels_end_after_the_sites_limit(request_of):
    session = request_of(SiteConfig(slurm=SlurmConfig(limits={"idle": 60})))
    go(session)
    assert values_of(session)["cull_idle"] == 3600


@pytest.mark.parametrize(
    ("host", "ip"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("no-such-host.invalid", "0.0.0.0"),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_the_server_listens_on_what_the_host_resolves_to(host, ip):
    assert server.address(host, "5000").ip == ip
    assert server.address(host, "5000").base_url == f"/node/{host}/5000/"


def test_a_node_that_calls_itself_loopback_is_reached_from_outside(monkeypatch):
    monkeypatch.setattr(
        server.socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.1.1", 0))]
    )
    assert server.listen_on("node7.example.org") == "0.0.0.0"


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("", "5000"),
        ("a;b", "5000"),
        ("../x", "1"),
        ("h", ""),
        ("h", "0"),
        ("h", "70000"),
        ("h", "1 2"),
        ("-h", "1"),
    ],
)
def test_an_odd_address_is_refused(host, port):
    with pytest.raises(UserError, match="node"):
        server.address(host, port)


def test_an_unwritable_home_moves_what_jupyter_and_ipython_write(request_of, monkeypatch):
    monkeypatch.setattr("kernelwright.session.places.refusal", lambda _: "Read-only file system")
    session = request_of()
    go(session)
    assert (
        sourced(session, 'printf "%s %s" "$IPYTHONDIR" "$JUPYTER_CONFIG_DIR"')
        == f"{session.private}/ipython {session.private}/config"
    )
    assert "home-unwritable" in [p["code"] for p in report_of(session)["problems"]]


def test_locks_that_hang_or_fail_move_them_too(request_of, monkeypatch, tmp_path):
    from kernelwright.session import places

    assert places.locks_fail(tmp_path) is None
    monkeypatch.setattr(places, "LOCK_TIMEOUT", 0.5)
    monkeypatch.setattr(places, "TRY_LOCK", "import time; time.sleep(60)")
    assert places.locks_fail(tmp_path) == "file locks hang there"
    monkeypatch.setattr("kernelwright.session.prepare.on_network", lambda _: True)
    session = request_of()
    go(session)
    assert values_of(session)["keep_signatures"] is False
    monkeypatch.setattr(places, "TRY_LOCK", "raise OSError")
    monkeypatch.setattr(places, "LOCK_TIMEOUT", 60)
    assert places.locks_fail(tmp_path) == "file locks do not work there"


def test_heavy_libraries_are_imported_only_for_a_build(request_of, central):
    session = request_of(central)
    program = """
import sys
from pathlib import Path
from pathlib import Path
from kernelwright.cli import main
assert main(["session", "prepare", sys.argv[1], "--dir", sys.argv[2], "--host", "127.0.0.1", "--port", "5000"]) == 0
heavy = {"jupyter_client", "jinja2", "ruamel", "yaml", "rattler", "zmq", "tornado", "IPython", "kernelwright.builder",
    "concurrent.futures", "difflib", "ssl", "_hashlib", "encodings.idna", "kernelwright.doctor", "kernelwright.catalog.templates"} & set(sys.modules)
print(sorted(heavy))
"""
    environ = {
        "PATH": os.environ["PATH"],
        "KERNELWRIGHT_HOME": str(session.home),
        "KERNELWRIGHT_RUNTIME": str(session.runtime),
    }
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(session.root / "request.json"), str(session.private)], env=environ, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_catalogs_that_differ_are_a_warning(request_of, tmp_path):
    from .conftest import write_catalog

    catalog = write_catalog(tmp_path / "catalog.json", SiteConfig(form=Form(hours=3)))
    session = request_of(environ={"KERNELWRIGHT_CATALOG": str(catalog)})
    request = json.loads((session.root / "request.json").read_text())
    request["catalog"]["sha"] = "0" * 64
    (session.root / "request.json").write_text(json.dumps(request))
    go(session)
    assert "catalog-differs" in [p["code"] for p in report_of(session)["problems"]]
    request["catalog"]["sha"] = json.loads(catalog.read_text())["sha"]
    (session.root / "request.json").write_text(json.dumps(request))
    go(session)
    assert "catalog-differs" not in [p["code"] for p in report_of(session)["problems"]]
    catalog.write_text('{"version": 2}')
    go(session)
    words = [p["message"] for p in report_of(session)["problems"] if p["code"] == "catalog-differs"]
    assert len(words) == 1 and "of a newer Kernelwright" in words[0]


def test_a_hundred_sessions_of_one_central_kernel_build_nothing(
    request_of, central, home, monkeypatch
):
    monkeypatch.setattr(server, "hash_password", lambda _: "argon2:quick")
    session = request_of(central, kw_kernel="site:ml")
    for number in range(100):
        private = session.private.with_name(f"private{number}")
        private.mkdir(mode=0o700)
        go(replace(session, private=private))
    assert report_of(session)["kernel"]["made"] is False
    assert not (home / ".local/share/kernelwright/kernels").exists()


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("kernelwright", "`kernelwright doctor x`"),
        ("module load kw; kernelwright", "`module load kw; kernelwright doctor x`"),
        (None, "(ask the site) `kernelwright doctor x`"),
    ],
)
def test_hints_on_the_card_call_our_command_as_the_site_does(tmp_path, command, shown):
    problem = Problem("x", "error", "broken", "`kernelwright doctor x`")
    write_report(tmp_path, replace(Report(), problems=(problem,)).about(problem), command)
    running(tmp_path)  # what is written again stays as it is
    write_report(tmp_path, Report(hint=read_report(tmp_path)["hint"], problems=(problem,)), command)
    report = read_report(tmp_path)
    assert (report["hint"], report["problems"][0]["hint"]) == (shown, shown)


def test_a_failure_on_the_card_names_the_sites_command(request_of, central, home):
    (user_kernel(home, "mine") / "kernel.json").write_text('{"argv": []}')
    session = request_of(
        replace(central, command="module load kw; kernelwright"), kw_kernel="user:mine"
    )
    go(session)
    assert report_of(session)["hint"].startswith("`module load kw; kernelwright doctor mine`")


def test_the_end_of_the_walltime_is_asked_for_where_nobody_says_it(request_of, tmp_path):
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho 1:00:00\n")
    squeue.chmod(0o755)
    session = request_of(environ={"SLURM_JOB_ID": "7", "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    go(session)
    assert 3000 < report_of(session)["ends_at"] - report_of(session)["updated_at"] <= 3601
