"""A session that is a Slurm job itself, with a Slurm kernel: nothing leaks in, and its end leaves no job behind."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest
from browser.sites import private_runtime, site_app
from slurm.cluster import Cluster, missing_parts
from slurm.notebook import make_generation, publish
from slurm.test_kills import processes

from kernelwright.slurm import jobs
from kernelwright.slurm.clients import Unreachable
from portal.client import Person

LEASE = 300  # longer than any wait here: what ends sooner was cancelled
ENVIRON = """\
import json, os
print(json.dumps({k: v for k, v in os.environ.items() if k.startswith(("SLURM", "SBATCH", "SRUN"))}))
"""
WAYS = ("scancel", "shutdown", "delete", "killed")


@pytest.fixture
def cluster():
    if os.getuid() != 0:
        pytest.skip("a private Slurm cluster needs root")
    if missing := missing_parts():
        pytest.skip(f"missing for a private Slurm cluster: {', '.join(missing)}")
    made = (
        Cluster().start()
    )  # 8 cores: 2 + 1 + 1 + 1 for the sessions, and 1 for the kernels of three at a time
    try:
        yield made
    finally:
        made.stop()


async def start(jupyter, name):
    """Start a kernel and leave it running; its id."""
    xsrf = next(c.value for c in jupyter._http.cookie_jar if c.key == "_xsrf")
    headers = {"X-XSRFToken": xsrf, "Origin": jupyter._root}
    url = f"{jupyter._root}{jupyter.base}/api/kernels"
    async with jupyter._http.post(url, json={"name": name}, headers=headers) as answer:
        assert answer.status == 201, await answer.text()
        return (await answer.json())["id"]


async def shut_down(jupyter):
    """What File > Shut Down does."""
    xsrf = next(c.value for c in jupyter._http.cookie_jar if c.key == "_xsrf")
    headers = {"X-XSRFToken": xsrf, "Origin": jupyter._root}
    url = f"{jupyter._root}{jupyter.base}/api/shutdown"
    async with jupyter._http.post(url, headers=headers) as answer:
        assert answer.status == 200


def names(cluster):
    """{job id: name} of everything that is not over."""
    rows = cluster.run("squeue", "-h", "-o", "%i|%j").split()
    return dict(row.split("|", 1) for row in rows)


async def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    return found


def kill_brokers(job):
    """SIGKILL to broker and reaper of a kernel's job, as the end of a job's cgroup does."""
    for pid, _ in processes("kernelwright.slurm.broker"):
        said = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if f"SLURM_JOB_ID={job}".encode() in said:
            os.kill(pid, signal.SIGKILL)


async def one_end(address, cluster, way):
    """Launch, run a cell in the Slurm kernel, end the session one way; the environments of kernel and session."""
    cores = "2" if way == "scancel" else "1"
    async with Person(address) as person:
        async with LOCK:  # a card is known by being new
            card = await person.launch(kw_kernel="user:demo", kw_cores=cores, kw_mem="1", bc_num_hours="1", bc_queue="debug")  # fmt: skip
        await person.wait(card, "running")
        jupyter = await person.connect(card)
        kernel = await start(jupyter, "demo")
        said = json.loads(await asyncio.wait_for(jupyter._cell(kernel, ENVIRON), 120))
        outer = json.loads(await jupyter.run("python3", ENVIRON))
        assert said["SLURM_JOB_ID"] in names(cluster)
        gone = {said["SLURM_JOB_ID"], outer["SLURM_JOB_ID"]}
        if way == "scancel":
            cluster.run("scancel", outer["SLURM_JOB_ID"])
        elif way == "killed":
            kill_brokers(outer["SLURM_JOB_ID"])
            await shut_down(jupyter)
        elif way == "shutdown":
            await shut_down(jupyter)
        else:
            await person.act(card, "delete")
        await until(lambda: not gone & names(cluster).keys())
        return said, outer, cores


@pytest.mark.slurm
@pytest.mark.root
def test_the_end_of_a_session_ends_its_kernels_jobs(tmp_path, runtime, uv_cache, cluster):
    own = private_runtime(tmp_path / "apps", runtime)
    conf = tmp_path / "etc/conf.d"
    conf.mkdir(parents=True)
    (conf / "10.yaml").write_text(
        f"runtime: {own}\nslurm: {{lease: {LEASE}}}\n"
        "form: {partitions: [{name: debug}], accounts: none}\n"
    )
    generation = make_generation(tmp_path, runtime, slurm={"partition": "debug"})
    publish(tmp_path / "home/.local/share/jupyter", generation)
    env = {"SLURM_CONF": cluster.environ["SLURM_CONF"]}

    async def all_ends(address):
        global LOCK
        LOCK = asyncio.Lock()
        return await asyncio.gather(*(one_end(address, cluster, way) for way in WAYS))

    with site_app(tmp_path, own, conf, "--scheduler", "slurm", uv_cache=uv_cache, env=env) as app:
        found = asyncio.run(all_ends(app.address))
    for said, outer, cores in found:
        # the session asked for cores and 1 GB; the kernel's job has what it asked for itself: nothing
        assert (outer["SLURM_CPUS_PER_TASK"], outer["SLURM_MEM_PER_NODE"]) == (cores, "1024")
        assert "SLURM_CPUS_PER_TASK" not in said and "SLURM_MEM_PER_NODE" not in said
        assert said["SLURM_CPUS_ON_NODE"] == "1"
        assert said["SLURM_JOB_NAME"].startswith("kw-demo-")
        assert not [name for name in said if name.startswith("SBATCH")]
        for name in ("SLURM_JOB_ID", "SLURM_JOBID"):
            assert said[name] != outer[name], "something of the session's job is in the kernel's"
    left = list((app.home / ".local/share/kernelwright/jobs").glob("*/owner-*.json"))
    assert left == [], "a record without a job"


class FakeSlurm:
    """Remembers what was cancelled."""

    def __init__(self, away=False):
        self.cancelled, self.away = [], away

    def cancel(self, *, name):
        if self.away:
            raise Unreachable("no answer")
        self.cancelled.append(name)


def leave(base, session, host, name):
    """The record of a broker that was killed, with its keys unread."""
    folder = base / name
    folder.mkdir(parents=True, mode=0o700)
    data = {"tag": "t", "job_name": name, "session": session, "host": host}
    (folder / "owner-t.json").write_text(json.dumps(data))
    (folder / "agent-t.json").write_text("{}")
    return folder


def test_only_the_jobs_of_this_session_on_this_host_are_cancelled(tmp_path):
    import socket

    host = socket.gethostname()
    mine = leave(tmp_path, "/tmp/mine", host, "kw-a-0123456789ab")
    kept = [
        leave(tmp_path, "/tmp/other", host, "kw-b-0123456789ab"),
        leave(tmp_path, "/tmp/mine", "elsewhere", "kw-c-0123456789ab"),
    ]
    slurm = FakeSlurm(away=True)
    with pytest.raises(Unreachable):
        jobs.end_session(lambda: slurm, [tmp_path], "/tmp/mine")
    assert (mine / "owner-t.json").exists(), "`kernelwright jobs clean` finds it later"
    assert not (mine / "agent-t.json").exists(), "its agent finds no keys and ends"
    slurm = FakeSlurm()
    assert jobs.end_session(lambda: slurm, [tmp_path], "/tmp/mine") == ["kw-a-0123456789ab"]
    assert slurm.cancelled == ["kw-a-0123456789ab"]
    assert [len(list(folder.iterdir())) for folder in (mine, *kept)] == [0, 2, 2]


def test_a_session_without_slurm_kernels_asks_no_slurm(tmp_path):
    def refuse():
        raise AssertionError("Slurm was asked")

    assert jobs.end_session(refuse, [tmp_path / "nowhere"], "/tmp/mine") == []
