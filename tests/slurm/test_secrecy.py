"""A second user on the same node, who knows every port, connects to nothing and reads nothing."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from slurm.notebook import make_generation


OWNER = """
import json, sys
from jupyter_client import KernelManager
manager = KernelManager(kernel_name="demo", transport=sys.argv[1])
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=90)
client.execute("print('the secret of alice')")
while client.get_iopub_msg(timeout=90)["msg_type"] != "stream":
    pass
print(json.dumps({"broker": manager.provisioner.process.pid, "key": manager.session.key.decode()}), flush=True)
for line in sys.stdin:
    client.execute("for i in range(200): print('the secret of alice')")
    while (m := client.get_iopub_msg(timeout=90))["msg_type"] != "status" or m["content"]["execution_state"] != "idle":
        pass
    print("done", flush=True)
manager.shutdown_kernel()
"""

EAVESDROPPER = """
import json, os, socket, sys, time, zmq
ports, folders, public = json.loads(sys.argv[1])
assert os.getuid() != 0
report = {"files": [], "frames": 0, "bytes": 0}
for folder in folders:
    try:
        report["files"] += os.listdir(folder)
    except PermissionError:
        pass
    for name in ("s-1", "s-2", "kernel.json", "job.json"):
        try:
            if name.startswith("s-"):
                socket.socket(socket.AF_UNIX).connect(os.path.join(folder, name))
            else:
                open(os.path.join(folder, name))
            report["files"].append(name)
        except OSError:
            pass
context = zmq.Context()
sockets = []
for port in ports:
    for kind in (zmq.SUB, zmq.DEALER):
        for curve in (False, True):
            s = context.socket(kind)
            s.linger = 0
            if kind == zmq.SUB:
                s.subscribe(b"")
            if curve:
                s.curve_publickey, s.curve_secretkey = zmq.curve_keypair()
                s.curve_serverkey = public.encode()
            s.connect(f"tcp://127.0.0.1:{port}")
            if kind == zmq.DEALER:
                s.send_multipart([b"H" + b"\\0" * 16, json.dumps({"node": "x", "ready": True, "incarnation": 9}).encode()])
            sockets.append(s)
print("listening", flush=True)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    for s in sockets:
        if s.poll(10):
            frames = s.recv_multipart()
            report["frames"] += 1
            report["bytes"] += sum(map(len, frames))
raw = 0
for port in ports:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        s.settimeout(0.5)
        try:
            while data := s.recv(4096):
                raw += b"secret" in data
        except OSError:
            pass
report["raw"] = raw
print(json.dumps(report), flush=True)
"""


@pytest.fixture
def owned(cluster, alice, runtime):
    """alice's kernel, started as herself; yields (process, facts, where everything lies)."""
    catalog = alice.home / "catalog.json"
    catalog.write_text(json.dumps({"version": 1, "config": {"slurm": {"lease": 20}}}))
    generation = make_generation(alice.home / "kw", runtime)
    spec = alice.home / "jupyter/kernels/demo"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text((generation / "kernel.json").read_text())
    subprocess.run(["chown", "-R", f"{alice.uid}:{alice.gid}", alice.home], check=True)
    environ = {
        **cluster.environ,
        "HOME": str(alice.home),
        "USER": alice.name,
        "LOGNAME": alice.name,
        "KERNELWRIGHT_RUNTIME": str(runtime),
        "KERNELWRIGHT_CATALOG": str(catalog),
        "JUPYTER_PATH": str(alice.home / "jupyter"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for name in ("KERNELWRIGHT_HOME", "JUPYTER_RUNTIME_DIR", "XDG_RUNTIME_DIR"):
        environ.pop(name, None)
    process = subprocess.Popen(
        [*alice.prefix(), runtime / "venv/bin/python", "-c", OWNER, "ipc"],
        env=environ,
        cwd=alice.home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    facts = json.loads(process.stdout.readline())
    yield process, facts
    process.stdin.close()
    process.wait(60)
    process.stdout.close()
    cluster.wait_no_jobs()


def listening(uid):
    """TCP ports on which processes of a user listen, from /proc."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and int(fields[7]) == uid:
            found.append(int(fields[1].split(":")[1], 16))
    return found


def of_user(uid):
    return [p for p in Path("/proc").glob("[0-9]*") if p.exists() and p.stat().st_uid == uid]


def record_of(alice):
    (path,) = alice.home.glob(".local/share/kernelwright/jobs/*/owner-*.json")
    return json.loads(path.read_text())


def test_a_second_user_reads_nothing(owned, cluster, alice, bob, runtime):
    process, _ = owned
    ports = listening(alice.uid)
    record = record_of(alice)
    # the link's, and one of ipykernel's own: a write-only pipe for the output of forked children
    assert record["port"] in ports
    assert len(ports) <= 2
    folders = [str(p) for p in Path("/tmp").glob("kw-*") if p.stat().st_uid == alice.uid]
    assert folders
    spy = subprocess.Popen(
        [
            *bob.prefix(),
            runtime / "venv/bin/python",
            "-c",
            EAVESDROPPER,
            json.dumps([ports, folders, record["keys"]["broker_public"]]),
            "4",
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env={**cluster.environ, "HOME": str(bob.home)},
    )
    with spy:
        assert spy.stdout.readline() == "listening\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        report = json.loads(spy.stdout.read())
    assert report == {"files": [], "frames": 0, "bytes": 0, "raw": 0}


def test_secrets_are_nowhere_to_be_seen(owned, cluster, alice):
    _, facts = owned
    record = record_of(alice)
    secrets = {facts["key"], record["keys"]["broker_secret"], record["key"]}
    assert facts["key"] == record["key"]
    for process in of_user(alice.uid):
        for name in ("cmdline", "environ"):
            try:
                text = (process / name).read_bytes().decode(errors="replace")
            except OSError:
                continue
            assert not any(s in text for s in secrets), f"{process}/{name}"
    spool = [p for p in cluster.dir.rglob("*") if p.is_file()]
    assert any(p.name.startswith("slurm_script") or p.name == "script" for p in spool)
    for path in spool:
        assert not any(s.encode() in path.read_bytes() for s in secrets), path
    deadline = time.monotonic() + 30
    while list(alice.home.glob(".local/share/kernelwright/jobs/*/agent-*.json")):
        assert time.monotonic() < deadline, "the agent's keys still lie there"
    for path in [
        *alice.home.rglob("*"),
        *Path("/tmp").glob("kernelwright-*/*"),
        *Path("/tmp").glob("kw-*/*"),
    ]:
        if path.is_file() and any(s.encode() in path.read_bytes() for s in secrets):
            mode = path.stat().st_mode & 0o077 | (
                path.parent.stat().st_mode & 0o077 if path.suffix == "" else 0
            )
            assert not mode, f"{path} is readable by others"
            assert path.stat().st_uid == alice.uid


def test_job_script_holds_only_a_path(owned, cluster, alice):
    _, facts = owned
    ((job, _),) = cluster.jobs()
    script = cluster.run("scontrol", "write", "batch_script", job, "-")
    assert "kernelwright.slurm.agent" in script
    assert facts["key"] not in script
    assert os.getuid() == 0 and alice.uid != 0
