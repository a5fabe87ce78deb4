"""`site selftest`, as an ordinary user, on a real Slurm and without one."""

import json
import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from kernelwright.config.model import SiteConfig, SlurmConfig
from kernelwright.site import slurm_check
from kernelwright.site.check import Surroundings
from slurm.cluster import Cluster, missing_parts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster():
    if os.getuid() != 0:
        pytest.skip("a private Slurm cluster needs root")
    if missing := missing_parts():
        pytest.skip(f"missing for a private Slurm cluster: {', '.join(missing)}")
    made = Cluster().start()
    yield made
    made.stop()


def as_alice(alice, shared, *words, env=None, config="site: {name: A}\n"):
    conf = shared / "etc/conf.d"
    conf.mkdir(parents=True, exist_ok=True)
    (conf / "10.yaml").write_text(config.replace("SHARED", str(shared)))
    assert alice.uid != 0
    base = {"KERNELWRIGHT_SITE_CONFIG": str(conf)} | (env or {})
    return alice.run(
        [shared / "runtime/bin/kernelwright", "site", "selftest", *words], env=base, timeout=300
    )


@pytest.mark.slurm
def test_a_user_sees_that_jobs_run_and_call_back(shared, alice, cluster):
    env = {name: cluster.environ[name] for name in ("SLURM_CONF", "PATH")}
    result = as_alice(
        alice,
        shared,
        "--json",
        "--slurm-timeout",
        "200",
        env=env,
        config="runtime: SHARED/runtime\nslurm: {defaults: {partition: debug}}\npython: {interpreters: [/usr/bin/python3]}\n",
    )
    checks = {c["name"]: c for c in json.loads(result.stdout)["checks"]}
    assert checks["slurm"]["state"] == "ok", checks["slurm"]
    assert "called back" in checks["slurm"]["message"]
    assert {n: c["state"] for n, c in checks.items()} == {
        "runtime": "ok",
        "catalog": "skipped",
        "home": "ok",
        "storage": "ok",
        "modules": "skipped",
        "jupyter": "ok",
        "python": "ok",
        "containers": checks["containers"]["state"],
        "slurm": "ok",
    }
    assert result.status == (1 if checks["containers"]["state"] == "failed" else 0)
    assert os.listdir(alice.home) == []  # it leaves nothing behind
    cluster.wait_no_jobs()


@pytest.mark.slurm
def test_a_partition_that_starts_nothing_is_a_failure_and_leaves_no_job(shared, alice, cluster):
    env = {name: cluster.environ[name] for name in ("SLURM_CONF", "PATH")}
    result = as_alice(
        alice,
        shared,
        "--json",
        "--slurm-timeout",
        "3",
        env=env,
        config="slurm: {defaults: {partition: closed}}\n",
    )
    check = next(c for c in json.loads(result.stdout)["checks"] if c["name"] == "slurm")
    assert (result.status, check["state"]) == (1, "failed")
    assert not [j for j in cluster.jobs("kernelwright-selftest") if j[1] in {"PENDING", "RUNNING"}]
    result = as_alice(
        alice, shared, "--json", env=env, config="slurm: {defaults: {partition: nonsense}}\n"
    )
    check = next(c for c in json.loads(result.stdout)["checks"] if c["name"] == "slurm")
    assert "partition" in check["message"].lower()


def test_each_failure_says_what_to_do(shared, alice):
    (shared / "noexec").mkdir()
    config = """
storage: {root: /nowhere/at/all}
modules: {init: SHARED/modules.sh}
jupyter: {modules: [nothing/1.0], command: /nowhere/jupyter}
python: {interpreters: [/nowhere/python]}
containers: {runtimes: {apptainer: {path: /nowhere/apptainer}}}
kernels: [{name: gone, path: /nowhere/kernel}]
slurm: {submit: none}
"""
    (shared / "modules.sh").write_text('module() { echo "no module $2" >&2; return 1; }\n')
    result = as_alice(alice, shared, "--json", config=config)
    checks = {c["name"]: c for c in json.loads(result.stdout)["checks"]}
    assert result.status == 1
    for name, word in {
        "storage": "not writable",
        "modules": "no module nothing/1.0",
        "python": "/nowhere/python",
        "containers": "apptainer",
        "kernel gone": "kernel.json",
    }.items():
        assert checks[name]["state"] == "failed", checks[name]
        assert word in checks[name]["message"]
    assert checks["slurm"]["state"] == "skipped"
    text = as_alice(alice, shared, config=config)
    assert "hint:" in text.stdout
    assert "checks failed" in text.stderr
    assert "Traceback" not in text.stderr


def test_only_the_job_that_knows_the_word_is_believed():
    listener = slurm_check._listener(None)
    port = listener.getsockname()[1]

    def call(text):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
            peer.sendall(text)

    def callers():
        call(b"wrong word\n")
        call(b"")
        call(b"\xff" * 400)
        call(b"word node7\n")

    thread = threading.Thread(target=callers)
    thread.start()
    import time

    with listener:
        assert slurm_check._call(listener, "word", time.monotonic() + 60) == "node7"
    thread.join()


def test_the_port_lies_in_the_sites_range():
    with slurm_check._listener(None) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Exception, match="no port"):
            slurm_check._listener((port, port))


def test_slurm_that_is_off_is_skipped(tmp_path):
    around = Surroundings(tmp_path, {}, SiteConfig(slurm=SlurmConfig(submit="none")), tmp_path)
    assert slurm_check.submit_and_dial_back(around).state == "skipped"


@pytest.mark.slurm
@pytest.mark.parametrize(
    ("template", "answers"),
    [
        ("conda-slurm", ["env=analysis", "ntasks=2", "partition=debug"]),
        ("python-slurm", ["ntasks=1", "modules=base", "partition=debug"]),
    ],
)
def test_marwan_templates_start_kernels_in_jobs_of_a_user(
    shared, alice, cluster, runtime, template, answers
):
    """The example's two templates, on a real Slurm: the kernel answers from within a job."""
    conf = shared / "etc/conf.d"
    shutil.copytree(ROOT / "docs/admins/examples/marwan/conf.d", conf)
    for path in conf.iterdir():
        text = (
            path.read_text()
            .replace("defq", "debug")
            .replace("/scratch/{user}", "{home}/scratch")
            .replace("/shared/apps/kernelwright", f"{shared}/runtime")
        )
        path.write_text(text.replace("/shared", str(shared)))
    venv = (runtime / "venv").resolve()
    (shared / "envs").mkdir()
    (shared / "envs/python").symlink_to(venv)
    (shared / "modulefiles").mkdir()
    (shared / "modulefiles/base.lua").write_text('setenv("FROM_MODULE", "yes")\n')
    assert alice.run(["mkdir", "-p", ".conda/envs"]).ok
    assert alice.run(["ln", "-s", venv, ".conda/envs/analysis"]).ok
    env = {
        "KERNELWRIGHT_SITE_CONFIG": str(conf),
        **{name: cluster.environ[name] for name in ("SLURM_CONF", "PATH")},
    }
    program = shared / "runtime/bin/kernelwright"
    made = alice.run(
        [program, "create", "template", "My analysis", template, *answers, "--test-timeout", "200"],
        env=env,
        timeout=400,
    )
    assert made.ok, made.stderr
    tested = alice.run(
        [program, "test", "my-analysis", "--json", "--timeout", "200"], env=env, timeout=400
    )
    assert tested.ok, tested.stdout + tested.stderr
    assert json.loads(tested.stdout)["output"].endswith("42\n")
    running = cluster.run(
        "squeue", "-h", "-t", "running,completing,completed", "-u", alice.name, "-o", "%P %C %j"
    ).splitlines()
    wanted = f"debug {2 if template == 'conda-slurm' else 1} kw-"
    assert [job for job in running if job.startswith(wanted)], running
    cluster.run(
        "scancel", "-u", alice.name
    )  # it ends by itself within the lease; the next test need not wait
    cluster.wait_no_jobs(120)
