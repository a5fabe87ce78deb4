"""Real builds: venv and prefix kernels from recipe to a cell that runs, and what faults leave behind."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kernelwright.builder import Builder
from kernelwright.changes import packages, planned, with_packages
from kernelwright.config.model import Policy, SiteConfig
from kernelwright.errors import UserError
from kernelwright.progress import Silent
from kernelwright.recipe import load
from kernelwright.store import Store

ROOT = Path(__file__).resolve().parents[2]


def venv(name="demo", requirements="[six]", more=""):
    return load(
        f"name: {name}\nenvironment:\n  venv: {{requirements: {requirements}}}\n{more}",
        source="test",
    )


@pytest.fixture
def builder(home, runtime, uv_cache):
    return Builder(
        home, {**os.environ, "UV_CACHE_DIR": str(uv_cache)}, SiteConfig(), runtime, Silent()
    )


def names(home):
    folder = home / ".local/share/jupyter/kernels"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_a_venv_kernel_from_recipe_to_a_cell(builder, home):
    generation = builder.create(venv())
    spec = json.loads((home / ".local/share/jupyter/kernels/demo/kernel.json").read_text())
    assert spec["argv"] == [str(generation.folder / "launch.sh"), "{connection_file}"]
    prefix = Path(generation.made.prefix)
    assert (
        subprocess.run(
            [prefix / "bin/python", "-c", "import six, ipykernel, pip"], timeout=60
        ).returncode
        == 0
    )
    lock = (generation.folder / "requirements.lock").read_text()
    assert "six==" in lock and "--hash=sha256:" in lock and generation.made.facts["unhashed"] == []
    assert (home / ".local/share/jupyter/kernels/demo/logo-svg.svg").exists()
    assert run_cell(builder, "demo", "import sys; print(sys.prefix)").strip() == str(prefix)


def run_cell(builder, name, code):
    """The output of one cell, through jupyter_client as every front end uses it."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import KernelManager

    specs = KernelSpecManager(kernel_dirs=[str(builder.store.specs)], ensure_native_kernel=False)
    manager = KernelManager(kernel_name=name, kernel_spec_manager=specs)
    manager.start_kernel(stderr=subprocess.DEVNULL)
    try:
        client = manager.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        texts = []

        def hook(message):
            if message["msg_type"] == "stream":
                texts.append(message["content"]["text"])

        client.execute_interactive(code, timeout=60, output_hook=hook)
        client.stop_channels()
        return "".join(texts)
    finally:
        manager.shutdown_kernel(now=True)


def test_the_same_request_builds_once(builder):
    first = builder.create(venv())
    again = builder.create(venv(), reuse=True)
    assert (again.kernel_id, again.number) == (first.kernel_id, first.number)
    with pytest.raises(UserError) as caught:
        builder.create(venv(requirements="[attrs]"), reuse=True)
    assert caught.value.code == "kernel-exists"


def test_two_at_once_build_one(builder):
    made, notes = [], []

    class Notes(Silent):
        def note(self, text):
            notes.append(text)

    def work():
        made.append(replace(builder, progress=Notes()).create(venv(), reuse=True))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(g.kernel_id, g.number) for g in made} == {(made[0].kernel_id, 1)}
    assert len(builder.store.kernels()) == 1
    assert any("who makes this kernel now" in n for n in notes)


def test_update_rollback_and_difference(builder):
    from kernelwright.changes import difference, drift, with_packages

    first = builder.create(venv())
    owned = builder.store.find("demo")
    chosen = []
    recipe = with_packages(first.recipe, ("attrs==23.2.0",))
    second = builder.next_generation(owned, recipe, chosen.append)
    assert chosen[0]["attrs"].version == "23.2.0"
    assert [(r["change"], r["name"], r["new"]) for r in difference(first, second)] == [
        ("added", "attrs", "23.2.0")
    ]
    assert builder.store.find("demo").number == 2
    builder.switch(owned, 1)
    assert builder.store.find("demo").number == 1
    assert Path(first.made.prefix).is_dir() and Path(second.made.prefix).is_dir()
    subprocess.run(
        [
            builder.runtime / "venv/bin/uv",
            "pip",
            "install",
            "-q",
            "--python",
            f"{second.made.prefix}/bin/python",
            "iniconfig",
        ],
        check=True,
        timeout=120,
        env={**os.environ, "UV_CACHE_DIR": builder.environ["UV_CACHE_DIR"]},
    )
    assert [(r["change"], r["name"]) for r in drift(second)] == [("added", "iniconfig")]
    third = builder.next_generation(builder.store.find("demo"), first.recipe)
    assert difference(first, third) == [], "what was used until now stays, whatever its number"
    assert [g.number for g in builder.store.generations(owned.id)] == [1, 2, 3]


def test_settings_change_without_a_build(builder):
    first = builder.create(venv())
    owned = builder.store.find("demo")
    second = builder.rerender(owned, replace(first.recipe, env={"GREETING": "hello $(id)"}))
    assert second.made.prefix == first.made.prefix
    assert (
        run_cell(builder, "demo", "import os; print(os.environ['GREETING'])").strip()
        == "hello $(id)"
    )


def test_a_kernel_that_does_not_start_is_not_published(builder, home, tmp_path):
    broken = tmp_path / "ipykernel"
    (broken / "ipykernel").mkdir(parents=True)
    (broken / "ipykernel/__init__.py").write_text("raise ImportError('no such luck')\n")
    (broken / "pyproject.toml").write_text(
        '[project]\nname = "ipykernel"\nversion = "99"\n[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    )
    with pytest.raises(UserError) as caught:
        builder.create(venv(requirements=f'["ipykernel @ file://{broken}"]'))
    assert "no such luck" in caught.value.context["evidence"]
    assert names(home) == []
    log = Path(caught.value.context["log"])
    assert log.is_dir() and any(log.iterdir())
    assert not any((home / ".local/share/kernelwright/kernels").iterdir())


FAULTS = {
    "unknown package": (
        venv(requirements="[no-such-package-for-kernelwright]"),
        "package-not-found",
    ),
    "conflict": (venv(requirements="['attrs==23.2.0', 'attrs==22.1.0']"), "requirements-conflict"),
    "unreadable": (venv(requirements="['!!!']"), "invalid-requirement"),
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


def test_pip_conf_is_passed_on(home, tmp_path):
    from kernelwright.environments.pip_settings import uv_environment

    (home / ".config/pip").mkdir(parents=True)
    (home / ".config/pip/pip.conf").write_text(
        "[global]\nindex-url = https://mirror.example.org/simple\nextra_index_url =\n  https://a/x\n  https://b/y\n"
    )
    env = uv_environment(
        home, {"XDG_CONFIG_DIRS": str(tmp_path)}, cache=tmp_path, index="https://site/simple"
    )
    assert env["UV_DEFAULT_INDEX"] == "https://mirror.example.org/simple"
    assert env["UV_INDEX"] == "https://a/x https://b/y"
    assert (
        uv_environment(home, {"PIP_INDEX_URL": "https://env/simple"}, cache=tmp_path, index=None)[
            "UV_DEFAULT_INDEX"
        ]
        == "https://env/simple"
    )
    assert (
        uv_environment(
            home, {"PIP_CONFIG_FILE": os.devnull}, cache=tmp_path, index="https://site/simple"
        )["UV_DEFAULT_INDEX"]
        == "https://site/simple"
    )


def test_policy_is_asked_before_anything_is_built(builder, home):
    with pytest.raises(UserError):
        replace(builder, site=SiteConfig(policy=Policy(kinds=("conda",)))).create(venv())
    assert not (home / ".local/share/kernelwright/kernels").exists()


# --- other languages ----------------------------------------------------------------------------


def test_bash_kernel_in_a_prefix(builder, tmp_path):
    prefix = tmp_path / "bash env"
    subprocess.run(
        [builder.runtime / "venv/bin/uv", "venv", "-q", "--python", "/usr/bin/python3", prefix],
        check=True,
        timeout=120,
    )
    subprocess.run(
        [
            builder.runtime / "venv/bin/uv",
            "pip",
            "install",
            "-q",
            "--python",
            prefix / "bin/python",
            "bash_kernel",
        ],
        check=True,
        timeout=180,
        env=builder.environ,
    )
    subprocess.run(
        [prefix / "bin/python", "-m", "bash_kernel.install", "--prefix", prefix],
        check=True,
        timeout=60,
        stdout=subprocess.DEVNULL,
    )
    builder.create(
        load(
            f"name: shell\nlanguage: bash\nenvironment: {{prefix: {{path: '{prefix}'}}}}",
            source="t",
        )
    )
    assert "42" in run_cell(builder, "shell", "echo $((6*7))")


def test_r_of_debian(builder):
    builder.create(load("name: r\nlanguage: r\nenvironment: {prefix: {path: /usr}}", source="t"))
    assert "[1] 42" in run_cell(builder, "r", "print(6 * 7)")


def test_a_recorded_julia_kernelspec_is_used_as_it_is(home, tmp_path):
    from kernelwright.environments import layout

    spec = tmp_path / "share/jupyter/kernels/julia-1.10"
    spec.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/julia").touch(0o755)
    argv = [
        "julia",
        "-i",
        "--color=yes",
        "--project=@.",
        "{resource_dir}/kernel.jl",
        "{connection_file}",
    ]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "Julia 1.10", "language": "julia"})
    )
    assert layout.language_command(tmp_path, "julia") == (
        str(tmp_path / "bin/julia"),
        "-i",
        "--color=yes",
        "--project=@.",
        f"{spec}/kernel.jl",
        "{connection_file}",
    )


# --- kills and full disks -----------------------------------------------------------------------

CREATE = [
    sys.executable,
    "-m",
    "kernelwright",
    "create",
    "venv",
    "demo",
    "six",
    "--replace",
    "--no-test",
    "--progress",
    "none",
]


def kill_during_create(builder, seconds):
    env = {
        **builder.environ,
        "PYTHONPATH": str(ROOT / "lib"),
        "KERNELWRIGHT_RUNTIME": str(builder.runtime),
        "KERNELWRIGHT_HOME": str(builder.home),
    }
    child = subprocess.Popen(
        CREATE,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        os.kill(child.pid, signal.SIGKILL)
    child.wait()


def check_after_kill(builder):
    """The old kernel works, the next call completes, and nothing is left over."""
    owned = builder.store.find("demo")
    generation = builder.store.generation(owned.id, owned.number)
    assert (
        subprocess.run(
            [f"{generation.made.prefix}/bin/python", "-c", "import six, ipykernel"], timeout=60
        ).returncode
        == 0
    )
    replace(builder, test=False).create(venv(), replace=True)
    folder = builder.store.data / "kernels" / builder.store.find("demo").id
    assert all((folder / n / "complete").exists() for n in os.listdir(folder) if n.isdecimal())
    assert not list(builder.store.specs.glob("**/.kw-*"))


@pytest.mark.parametrize(
    "number", [pytest.param(2, id="few"), pytest.param(40, id="many", marks=pytest.mark.soak)]
)
def test_sigkill_at_random_moments(builder, number):
    begun = time.monotonic()
    replace(builder, test=False).create(venv())
    whole = time.monotonic() - begun
    moments = random.Random(7)
    for _ in range(number):
        kill_during_create(builder, moments.uniform(0.05, whole))
        check_after_kill(builder)


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


def test_a_home_with_spaces(tmp_path, runtime, uv_cache):
    home = tmp_path / "ho me's"
    home.mkdir()
    builder = Builder(
        home, {**os.environ, "UV_CACHE_DIR": str(uv_cache)}, SiteConfig(), runtime, Silent()
    )
    builder.create(venv())
    assert "42" in run_cell(builder, "demo", "print(42)")


def test_a_read_only_home_is_a_clear_error(alice, runtime):
    alice.run(["chmod", "555", alice.home])
    answer = alice.run([runtime / "bin/kernelwright", "create", "venv", "demo"])
    assert alice.run(["id", "-u"]).stdout.strip() != "0"
    assert answer.status == 1 and answer.stderr.startswith("error: not-writable"), answer.stderr
    assert "Traceback" not in answer.stderr
    os.chmod(alice.home, 0o755)


def test_an_unprivileged_user_makes_and_runs_a_kernel(alice, runtime):
    answer = alice.run(
        [runtime / "bin/kernelwright", "create", "venv", "Mein Kern", "six", "--json"], timeout=300
    )
    assert answer.status == 0, answer.stderr
    prefix = json.loads(answer.stdout)["kernel"]["prefix"]
    assert os.stat(prefix).st_uid == alice.uid
    tested = alice.run([runtime / "bin/kernelwright", "test", "mein-kern", "--json"], timeout=120)
    assert json.loads(tested.stdout)["ok"] is True
    index = alice.home / ".local/share/kernelwright/index.json"
    assert index.stat().st_mode & 0o777 == 0o600
    assert "mein-kern" in index.read_text()


def test_an_unreadable_kernels_folder_is_no_traceback(alice, runtime):
    kernels = alice.home / ".local/share/jupyter/kernels"
    alice.run(["mkdir", "-p", kernels])
    alice.run(["chmod", "000", kernels])
    answer = alice.run([runtime / "bin/kernelwright", "list", "--json"])
    assert answer.status == 0 and "Traceback" not in answer.stderr, answer.stderr
    os.chmod(kernels, 0o755)


def test_removing_a_running_kernel_leaves_its_files(builder, home):
    from kernelwright.store.prune import remove_kernel

    generation = builder.create(venv())
    script = generation.folder / "launch.sh"
    script.write_text("#!/bin/sh\necho up\nsleep 60 & wait\n")
    child = subprocess.Popen([script], start_new_session=True, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"up\n"
    try:
        assert remove_kernel(builder.store, generation.kernel_id) == 1
        assert Path(generation.made.prefix).is_dir()
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
    assert remove_kernel(Store(home, SiteConfig(), {}), generation.kernel_id) == 0
    assert not generation.folder.parent.exists()
    shutil.rmtree(home / ".local", ignore_errors=True)


def project(folder, name):
    """A package of its own that can be installed from its folder."""
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1"\n'
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    )
    (folder / f"{name}.py").write_text("answer = 42\n")


def test_a_requirements_file_with_paths_of_its_own(builder, tmp_path):
    folder = tmp_path / "my work"
    project(folder / "one part", "onepart")
    project(folder / "other", "otherpart")
    file = folder / "requirements.txt"
    file.write_bytes("\ufeff-r more.txt\r\n./one part\r\n".encode())
    (folder / "more.txt").write_text("-e ./other\n")
    recipe = load(f"name: demo\nenvironment:\n  venv: {{file: '{file}'}}\n", source="test")
    generation = replace(builder, test=False).create(recipe)
    unhashed = generation.made.facts["unhashed"]
    assert sorted(unhashed) == [str(folder / "one part"), str(folder / "other")]
    code = "import onepart, otherpart; print(onepart.answer, otherpart.__file__)"
    python = generation.made.interpreter
    said = subprocess.run([python, "-c", code], timeout=60, capture_output=True, text=True).stdout
    assert said.split(maxsplit=1) == ["42", f"{folder}/other/otherpart.py\n"]

    from kernelwright.clone import clone_recipe

    around = {"home": builder.home, "environ": builder.environ, "site": builder.site}
    copy = replace(builder, test=False).create(clone_recipe("demo", "copy", None, **around))
    assert sorted(copy.made.facts["unhashed"]) == sorted(unhashed), "paths mean the same from there"

    file.unlink()
    owned = builder.store.find("demo")
    recipe = with_packages(generation.recipe, ("six",))
    assert [r["name"] for r in planned(builder, owned, recipe)] == ["six"]
    later = replace(builder, test=False).next_generation(owned, recipe)
    assert {"onepart", "otherpart", "six"} <= packages(later).keys(), "the file is gone"


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
