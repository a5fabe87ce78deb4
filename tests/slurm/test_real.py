"""A kernel made by the command itself: create, start, ask for its job, cancel it."""

import json
import subprocess

from slurm.notebook import is_idle


def test_create_start_and_ask(bench, monkeypatch):
    def kernelwright(*words):
        return subprocess.run(
            [bench.runtime / "bin/kernelwright", *words],
            env=bench.environ,
            capture_output=True,
            text=True,
            timeout=280,
        )

    made = kernelwright(
        "create",
        "prefix",
        "real",
        bench.runtime / "venv",
        "--slurm",
        "partition=debug,ntasks=2",
        "--dry-run",
    )
    assert "#SBATCH --ntasks=2" in made.stdout and "kernelwright.slurm.agent" in made.stdout, made
    made = kernelwright(
        "create", "prefix", "real", bench.runtime / "venv", "--slurm", "partition=debug,ntasks=2"
    )
    assert made.returncode == 0, made
    folder = str(bench.home / ".local/share/jupyter")
    monkeypatch.setenv("JUPYTER_PATH", folder)
    notebook = bench.start(name="real")
    job = notebook.ready()
    assert "real" in [
        j["kernel"] for j in json.loads(kernelwright("jobs", "--json").stdout)["jobs"]
    ]
    text = notebook.text_of("%kernelwright job")
    assert f"Slurm job {job} on node n1, partition debug" in text
    assert "environment: real (prefix)" in text
    assert "memory peak" in text
    # something cleans /tmp: the job is known as the kernel's own all the same
    gone = "import os; os.remove(os.environ['KERNELWRIGHT_JOB_STATE'])"
    assert f"Slurm job {job} on node n1" in notebook.text_of(f"{gone}\n%kernelwright job")
    said = notebook.text_of(
        "real = os.environ['KERNELWRIGHT_JOB_STATE']\n"
        "os.environ['KERNELWRIGHT_JOB_STATE'] = '/nonexistent/job.json'\n"
        "%kernelwright cancel\n"
        "os.environ['KERNELWRIGHT_JOB_STATE'] = real\n"
    )
    assert f"Job {job} cannot be cancelled from here" in said and "Shut Down" in said
    cell = notebook.send(f"try:\n    {gone}\nexcept OSError:\n    pass\n%kernelwright cancel")
    notebook.wait(lambda m: is_idle(m, cell))
    assert "is being cancelled" in notebook.of(cell, "stream")[0]["content"]["text"]
    bench.cluster.wait_no_jobs()
    assert "you cancelled it" in notebook.run("1")["evalue"]
