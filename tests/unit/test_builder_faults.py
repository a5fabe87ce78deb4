"""Builds that fail: each with a code of its own, and nothing is left or lost."""

import json
import os
import subprocess
from dataclasses import replace

import pytest

from kernelwright.config.model import Policy, SiteConfig
from kernelwright.errors import UserError
from kernelwright.recipe import load
from unit.building import names, run_cell, venv

FAULTS = {
    "unknown package": (
        venv(requirements="[no-such-package-for-kernelwright]"),
        "package-not-found",
    ),
    "conflict": (venv(requirements="['attrs==23.2.0', 'attrs==22.1.0']"), "requirements-conflict"),
    "unreadable": (venv(requirements="['!!!']"), "invalid-requirement"),
    "python as a package": (venv(requirements="['python==3.11', six]"), "invalid-requirement"),
    "no such python": (
        load("name: demo\nenvironment: {venv: {python: '3.1'}}", source="t"),
        "python-not-found",
    ),
    "no such file": (
        load("name: demo\nenvironment: {venv: {file: /nowhere/req.txt}}", source="t"),
        "file-not-found",
    ),
    "no such prefix": (
        load("name: demo\nenvironment: {prefix: {path: /nowhere}}", source="t"),
        "environment-missing",
    ),
    "no kernel in prefix": (
        load("name: demo\nlanguage: julia\nenvironment: {prefix: {path: /usr}}", source="t"),
        "language-not-found",
    ),
}


@pytest.mark.parametrize("case", FAULTS, ids=FAULTS)
def test_faults_have_their_own_code_and_leave_nothing(builder, home, case):
    recipe, code = FAULTS[case]
    with pytest.raises(UserError) as caught:
        builder.create(recipe)
    assert caught.value.code == code
    assert names(home) == []


def test_the_unknown_package_is_named(builder):
    with pytest.raises(UserError) as caught:
        builder.create(venv(requirements="[six, numpyy-with-a-typing-error]"))
    assert "`numpyy-with-a-typing-error` does not exist" in caught.value.message


def test_a_node_without_network_says_what_this_site_wants_done(builder):
    site = replace(SiteConfig(), command="module load kernelwright; kernelwright")
    environ = {
        **builder.environ,
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "UV_INDEX": "",
        "UV_CACHE_DIR": str(builder.home / "c"),
        "UV_HTTP_RETRIES": "0",
    }
    with pytest.raises(UserError) as caught:
        replace(builder, environ=environ, site=site).create(venv())
    assert caught.value.code == "index-unreachable"
    assert "module load kernelwright; kernelwright create" in caught.value.hint


def test_policy_is_asked_before_anything_is_built(builder, home):
    with pytest.raises(UserError):
        replace(builder, site=SiteConfig(policy=Policy(kinds=("conda",)))).create(venv())
    assert not (home / ".local/share/kernelwright/kernels").exists()


def test_a_full_disk_leaves_the_old_kernel(builder, home, runtime):
    if os.getuid() != 0:
        pytest.skip("needs root to mount a small file system")
    builder.create(venv())
    data = home / ".local/share/kernelwright/kernels"
    owned = builder.store.find("demo")
    small = home / "small"
    small.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", small], check=True, timeout=30
    )
    try:
        site = replace(SiteConfig(), storage=replace(SiteConfig().storage, root=str(small)))
        with pytest.raises(UserError) as caught:
            replace(builder, site=site).create(venv(requirements="[attrs]"), replace=True)
        assert caught.value.code == "disk-full"
        assert os.listdir(small) in ([], ["cache"])
    finally:
        subprocess.run(["umount", "-l", small], check=True, timeout=30)
    assert builder.store.find("demo").number == owned.number
    assert "42" in run_cell(builder, "demo", "print(42)")
    assert sorted(os.listdir(data)) == [owned.id]


def test_a_read_only_home_is_a_clear_error(alice, runtime):
    alice.run(["chmod", "555", alice.home])
    answer = alice.run([runtime / "bin/kernelwright", "create", "venv", "demo"])
    assert alice.run(["id", "-u"]).stdout.strip() != "0"
    assert answer.status == 1 and answer.stderr.startswith("error: not-writable"), answer.stderr
    assert "Traceback" not in answer.stderr
    os.chmod(alice.home, 0o755)


def test_an_unreadable_kernels_folder_is_no_traceback(alice, runtime):
    kernels = alice.home / ".local/share/jupyter/kernels"
    alice.run(["mkdir", "-p", kernels])
    alice.run(["chmod", "000", kernels])
    answer = alice.run([runtime / "bin/kernelwright", "list", "--json"])
    assert answer.status == 0 and "Traceback" not in answer.stderr, answer.stderr
    os.chmod(kernels, 0o755)


@pytest.mark.parametrize("path", ["/dev/zero", "{fifo}"])
def test_a_requirements_file_without_an_end_is_not_read(builder, tmp_path, path):
    os.mkfifo(tmp_path / "fifo")
    file = path.format(fifo=tmp_path / "fifo")
    recipe = load(f"name: demo\nenvironment:\n  venv: {{file: '{file}'}}\n", source="test")
    with pytest.raises(UserError) as caught:
        builder.create(recipe)
    assert caught.value.code == "file-not-found"


def test_a_folder_on_path_that_may_not_be_entered_is_passed_over(alice, runtime):
    alice.run(["mkdir", "-m", "700", "closed"])
    subprocess.run(["chown", "root:root", alice.home / "closed"], check=True)
    path = f"{alice.home}/closed:/usr/bin:/bin"
    answer = alice.run(
        [runtime / "bin/kernelwright", "create", "venv", "x", "--python", "3.1", "--json"],
        env={"PATH": path},
    )
    assert json.loads(answer.stdout)["error"]["code"] == "python-not-found", answer.stderr
