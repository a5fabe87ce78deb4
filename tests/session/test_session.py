"""Whole sessions: the real templates in the job script's order, real JupyterLab, an unprivileged user."""

from __future__ import annotations

import json
import os
from pathlib import Path

from kernelwright.config.model import Groups, SiteConfig

from .conftest import write_catalog
from .ood import central_kernel, wait_for

SAY = "import os; print(os.environ.get('WHICH_KERNEL'), os.getuid())"


def test_three_kernels_of_one_name_and_the_chosen_one_answers(start, alice, place, valid):
    """The whole life: card, login, the right kernel, protection, secrets, an orderly end."""
    site_spec = central_kernel(place / "shared/rna", "Site", prints="site")
    group = place / "projects/bio/kernels"
    central_kernel(group / "rna", "Group", prints="group")
    central_kernel(alice.home / ".local/share/jupyter/kernels/rna", "User", prints="user")
    site = SiteConfig(
        kernels=(
            {"name": "rna", "label": "RNA of the site", "path": str(site_spec), "default": True},
        ),
        groups=Groups(folders=(str(group),), trusted_owners=("root",)),
    )
    careless = {
        "ServerApp": {"disable_check_xsrf": True, "allow_origin": "*", "port": 1, "token": "known", "password": "argon2:x", "root_dir": "/"},
        "IdentityProvider": {"token": "known", "cookie_options": {"samesite": "None"}},
        "MultiKernelManager": {"default_kernel_name": "rna"},
    }  # fmt: skip
    for name in ("jupyter_server_config", "jupyter_config", "jupyter_lab_config"):
        path = alice.home / f".jupyter/{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(careless))
    session = start({"kw_kernel": "site:rna"}, site=site)
    assert session.login() == 302
    assert (
        session.ask("/api/status?token=known", headers={"Authorization": "token known"})[0] == 200
    )  # by its cookie
    specs = session.json("/api/kernelspecs")
    assert specs["default"] == "site.rna"
    assert specs["kernelspecs"]["site.rna"]["spec"]["display_name"] == "RNA of the site"
    assert session.run_cell(SAY) == f"site {alice.uid}\n"
    assert session.run_cell(SAY, "rna").startswith("user")
    grouped = [
        name
        for name, spec in specs["kernelspecs"].items()
        if spec["spec"]["display_name"].startswith("Group")
    ]
    assert len(grouped) == 1 and grouped[0].startswith("group.")
    assert session.run_cell(SAY, grouped[0]).startswith("group")
    report = valid("report", session.report)
    assert (report["state"], report["kernel"]["name"], report["code"]) == (
        "running",
        "site.rna",
        None,
    )
    check_protection(session)
    check_secrets(session, alice)
    check_end(session, alice)


def check_protection(session):
    """XSRF checks are on, only the card's own login passes, the cookie stays at home."""
    assert (
        session.ask("/api/kernels", b"{}")[0] == 403
    )  # cross-site POST with the cookie, no XSRF value
    assert session.ask("/api/contents", b"{}", {"Sec-Fetch-Site": "same-origin"})[0] == 403
    host = session.url.split("/")[2]
    refused = {403, 404}  # 404 is jupyter_server's own answer to a foreign Origin
    for headers, expected in [
        ({"Sec-Fetch-Site": "cross-site"}, refused),
        ({"Sec-Fetch-Site": "same-site"}, refused),
        ({"Sec-Fetch-Site": "none"}, refused),
        ({"X-Nothing": "said"}, refused),
        ({"Origin": "http://evil.example"}, refused),
        ({"Origin": "null"}, refused),
        ({"Origin": f"http://{host}"}, {302}),
    ]:
        assert session.login(headers=headers) in expected, headers
    assert session.login(password="wrong") == 401
    session.jar.clear()
    assert (
        session.ask("/api/status?token=known", headers={"Authorization": "token known"})[0] == 403
    )
    assert session.ask("/api/kernels")[0] == 403
    assert session.ask("/lab")[0] == 302
    data = f"password={session.connection['password']}".encode()
    status, _, headers = session.ask(
        "/login?next=http://evil.example/", data, {"Sec-Fetch-Site": "same-origin"}
    )
    assert status == 302 and "evil" not in headers["Location"]
    set_cookie = [v for v in headers.get_all("Set-Cookie") if v.startswith("username-")][0]
    assert (
        "SameSite=Strict" in set_cookie
        and "HttpOnly" in set_cookie
        and f"Path={session.url.split(host)[1]}" in set_cookie
    )
    assert session.login() == 302


def check_secrets(session, user):
    """The password is in no argument, no environment, no log and no URL; only in two files of the user."""
    password = session.connection["password"].encode()
    private = session.private
    hashed = json.loads((private / "values.json").read_text())["hashed_password"].encode()
    for pid in session.processes():
        for name in ("cmdline", "environ"):
            try:
                data = Path(f"/proc/{pid}/{name}").read_bytes()
            except OSError:
                continue
            assert password not in data and hashed not in data, (pid, name)
    holding = []
    for folder in (session.root, user.home, private):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and password in path.read_bytes():
                holding.append(path.name)
                assert path.stat().st_mode & 0o077 == 0, path
    assert set(holding) == {"connection.yml", "password"}
    assert private.stat().st_mode & 0o777 == 0o700 and private.stat().st_uid == user.uid
    environ = session.run_cell(
        "import os; print(sorted(k for k in os.environ if 'TRAITLETS' in k or 'PASSWORD' in k.upper()))",
        "rna",
    )
    assert environ.strip() == "[]"


def check_end(session, user):
    """Cancelled: the kernels end, the private folder goes, the card says why."""
    private = session.private
    session.cancel()
    session.wait_end()
    assert not private.exists()
    assert session.report["state"] == "ended" and session.report["code"] == "session-cancelled"
    left = [p for p in Path("/proc").glob("[0-9]*") if owner(p) == user.uid]
    wait_for(
        lambda: not [p for p in left if owner(p) == user.uid],
        why=lambda: str([(p / "cmdline").read_bytes() for p in left if p.exists()]),
    )


def owner(path):
    try:
        return path.stat().st_uid
    except OSError:
        return None


def test_a_home_with_spaces_for_what_is_not_the_staged_root(start, alice, place):
    """OOD itself cannot stage below such a home; its kernels and folders still work."""
    home = place / "home of alice"
    home.mkdir()
    central_kernel(home / ".local/share/jupyter/kernels/mine", "Mine", prints="spaces")
    os.system(f"chown -R {alice.uid}:{alice.gid} '{home}'")
    session = start(
        {"kw_kernel": "user:mine", "kw_folder": "~"},
        home=home,
        environ={"KERNELWRIGHT_HOME": str(home)},
    )
    assert session.login() == 302
    assert session.run_cell(SAY).startswith("spaces"), session.report


def test_a_kernel_is_made_without_a_notebook_and_relaunch_builds_nothing(
    start, alice, place, runtime
):
    """Ready: NAME. The second launch finds what the first one made; a failing one explains itself in its notebook."""
    template = {
        "name": "mine", "label": "My environment",
        "parameters": {"env": {"type": "text", "label": "Folder", "example": str(runtime / "venv")}},
        "recipe": {"environment": {"prefix": {"path": "{{ env }}"}}, "description": "x"},
    }  # fmt: skip
    site = SiteConfig(templates=(template,))
    field = json.loads(write_catalog(place / "look.json", site).read_text())["templates"][0][
        "parameters"
    ][0]["id"]
    answers = {
        "kw_kernel": "template:mine",
        "kw_title": "RNA",
        field: str(runtime / "venv"),
        "kw_only": "1",
    }
    first = start(answers, site=site, wait=False)
    assert first.wait_end() == 0, first.log
    assert (first.report["state"], first.report["message"], first.report["kernel"]["made"]) == (
        "ready",
        "Ready: RNA",
        True,
    )
    assert not (first.root / "connection.yml").exists()
    generations = list((alice.home / ".local/share/kernelwright/kernels").glob("*/*"))
    second = start(answers | {"kw_only": "0"}, site=site, wait=False)
    second.wait_running()
    assert second.report["kernel"] == {
        "name": "rna",
        "label": "RNA",
        "origin": "user",
        "made": False,
    }, second.report
    assert list((alice.home / ".local/share/kernelwright/kernels").glob("*/*")) == generations
    assert second.login() == 302
    assert second.run_cell("import sys; print(sys.prefix)").strip() == str(runtime / "venv")
    second.stop()
    third = start(
        answers | {"kw_only": "0", "kw_title": "Lost", field: str(place / "nowhere")},
        site=site,
        wait=False,
    )
    third.wait_running()
    assert third.report["code"] and third.report["state"] == "running"
    assert third.login() == 302
    said = third.run_cell("print('never')", "lost")
    assert "KernelNotStarted" in said and "never" not in said
    assert third.run_cell("print(40 + 2)") == "42\n"
