"""What `session prepare` gives the Jupyter server: secrets, folders, address, command."""

from __future__ import annotations

import json
import os
import stat
import subprocess

import pytest

from kernelwright.config.model import JupyterConfig, SiteConfig, SlurmConfig
from kernelwright.errors import UserError
from kernelwright.session import server

from .conftest import report_of, values_of
from .ood import central_kernel
from .preparing import go


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
