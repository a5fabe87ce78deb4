"""What the job is: its geometry, its environment, its files when the home is full."""

import os
import resource
import subprocess

import pytest


@pytest.fixture(autouse=True)
def _slow(slow_kernels):
    """Begin what takes a minute or two now; test_whole_minutes.py looks at it."""


def test_srun_from_a_cell_reaches_all_tasks(bench):
    bench.kernel(slurm={"nodes": 2, "ntasks": 4})
    notebook = bench.start()
    text = notebook.text_of(
        "import subprocess as s; print(s.run(['srun', 'sh', '-c', 'echo $SLURMD_NODENAME $SLURM_PROCID'],"
        " capture_output=True, text=True, timeout=80).stdout)"
    )
    assert sorted(text.split()) == sorted("n1 0 n1 1 n2 2 n2 3".split()) or {"n1", "n2"} <= set(
        text.split()
    )
    assert {word for word in text.split() if word.isdigit()} == {"0", "1", "2", "3"}


def test_the_sessions_own_limits_are_not_the_jobs(bench):
    """Sessions run under limits of their own, which sbatch would hand on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    bench.kernel()
    resource.setrlimit(resource.RLIMIT_NOFILE, (777, hard))
    try:
        notebook = bench.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    found = notebook.text_of(
        "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    assert int(found) != 777
    notebook.shutdown()


def test_nothing_of_the_outer_job_leaks_in(bench):
    outer = {
        "SLURM_JOB_ID": "999999",
        "SLURM_NTASKS": "64",
        "SLURM_JOB_PARTITION": "nosuch",
        "SBATCH_PARTITION": "nosuch",
        "SBATCH_ACCOUNT": "nosuch",
        "SLURM_MEM_PER_NODE": "999999",
        "SBATCH_EXPORT": "NONE",
        "SQUEUE_FORMAT": "%i",
        "SQUEUE_STATES": "FAILED",
        "SECRET_OF_THE_SESSION": "x",
        "LD_LIBRARY_PATH": "/outer",
        "VIRTUAL_ENV": "/outer",
    }
    bench.kernel()
    notebook = bench.start(outer)
    text = notebook.text_of(
        "import os; print('\\n'.join(f'{k}={v}' for k, v in os.environ.items()))"
    )
    seen = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert seen["SLURM_JOB_PARTITION"] == "debug"
    assert seen.get("SLURM_NTASKS", "1") == "1"
    assert (
        not {"SECRET_OF_THE_SESSION", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SLURM_EXPORT_ENV"}
        & seen.keys()
    )
    assert seen["HOME"] == bench.environ["HOME"]


def test_submission_through_a_host(bench):
    """`slurm.submit: HOST`: every Slurm client goes through ssh; a stand-in for ssh notes it."""
    folder = bench.folder / "bin"
    folder.mkdir()
    log = bench.folder / "ssh.log"
    (folder / "ssh").write_text(
        '#!/bin/bash\nwhile [ "$1" != login ]; do shift; done; shift\n'
        f'echo "$1" >> {log}\nexec env -i PATH="$PATH" SLURM_CONF="$SLURM_CONF" sh -c "$1"\n'
    )
    (folder / "ssh").chmod(0o755)
    bench.site(submit="login")
    bench.kernel()
    notebook = bench.start({"PATH": f"{folder}:{bench.environ['PATH']}"})
    notebook.ready()
    notebook.shutdown()
    bench.cluster.wait_no_jobs()
    commands = log.read_text()
    assert "sbatch --parsable" in commands and "squeue" in commands and "scancel" in commands


def test_site_without_slurm_kernels(bench):
    bench.site(submit="none")
    bench.kernel()
    error = bench.start().run("1")
    assert "this site does not run kernels in Slurm jobs" in error["evalue"]


@pytest.fixture
def tiny(tmp_path):
    """A file system of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0755", "tmpfs", folder], check=True
    )
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    with open(folder / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass


def test_full_home_without_other_storage_is_explained(bench, tiny):
    fill(tiny)
    bench.kernel()
    error = bench.start({"KERNELWRIGHT_HOME": str(tiny)}).run("1")
    assert "there is no room for its files" in error["evalue"]


def test_full_home_uses_the_sites_storage(bench, tiny):
    import json

    fill(tiny)
    config = {"slurm": {"lease": 30}, "storage": {"root": str(bench.folder / "scratch")}}
    (bench.folder / "catalog.json").write_text(json.dumps({"version": 1, "config": config}))
    bench.kernel()
    notebook = bench.start({"KERNELWRIGHT_HOME": str(tiny)})
    job = notebook.ready()
    notebook.manager.restart_kernel(now=True)
    notebook.client.wait_for_ready(timeout=90)
    assert notebook.ready() == job


def test_home_that_fills_up_while_the_kernel_runs(bench, tiny):
    bench.kernel()
    notebook = bench.start({"KERNELWRIGHT_HOME": str(tiny)})
    job = notebook.ready()
    fill(tiny)
    assert os.statvfs(tiny).f_bavail == 0
    notebook.manager.restart_kernel()
    notebook.client.wait_for_ready(timeout=90)
    assert notebook.ready() == job
    notebook.shutdown()
    bench.cluster.wait_no_jobs()
