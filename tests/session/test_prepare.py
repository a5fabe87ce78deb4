"""`session prepare` in one process: which kernel starts, under which name, and what is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kernelwright.config.model import Form, Groups, Policy, SiteConfig
from kernelwright.errors import Problem
from kernelwright.session import server, specs
from kernelwright.session.card import Report, read_report, write_report
from kernelwright.session.ending import running
from kernelwright.session.specs import Offer

from .conftest import report_of, specs_of, values_of
from .ood import central_kernel
from .preparing import go, user_kernel


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
