"""Scripts, reasons, notices and what Slurm's clients print, without a cluster."""

import subprocess
from pathlib import Path

import pytest

from kernelwright.config.model import SiteConfig, SlurmConfig
from kernelwright.errors import UserError
from kernelwright.model import SlurmSettings
from kernelwright.slurm import addresses, endings, jobstate, notices, reasons, record, script
from kernelwright.slurm.clients import Clients, Unreachable, job_environment
from kernelwright.slurm.scheduler import Ended, Slurm, connect
from kernelwright.slurm.wire import BadMessageError, Wire


def plan(**changes):
    values = dict(
        kernel="bert",
        job_name="kw-bert-1",
        comment="c",
        log="/h/%j.log",
        secrets="/h/agent 1.json",
        python=Path("/r/python"),
    )
    return script.Plan(**{**values, **changes})


def test_script_is_complete_and_valid_shell(tmp_path):
    text = script.render(
        SlurmSettings(
            partition="defq", ntasks=4, gres="gpu:1", extra=("--constraint=a&b", "--exclusive")
        ),
        plan(),
    )
    assert text.splitlines()[0] == "#!/bin/bash"
    for line in (
        "#SBATCH --partition=defq",
        "#SBATCH --ntasks=4",
        "#SBATCH --gres=gpu:1",
        '#SBATCH --constraint="a&b"',
        "#SBATCH --exclusive",
        "#SBATCH --no-requeue",
        "#SBATCH --propagate=NONE",
        "#SBATCH --signal=B:USR1@120",
    ):
        assert line in text.splitlines()
    assert (
        text.splitlines()[-1] == "exec /r/python -I -m kernelwright.slurm.agent '/h/agent 1.json'"
    )
    path = tmp_path / "s"
    path.write_text(text)
    subprocess.run(["bash", "-n", path], check=True)


def test_script_for_show_holds_the_sites_defaults(monkeypatch, tmp_path):
    site = SiteConfig(slurm=SlurmConfig(defaults={"partition": "defq"}))
    text = script.render_script(SlurmSettings(ntasks=2), site, generation=tmp_path, name="bert")
    assert "#SBATCH --partition=defq" in text and "kw-bert-NUMBER" in text


@pytest.mark.parametrize(
    ("time", "seconds"), [(None, 120), ("1:00:00", 120), ("5", 60), ("1", 20), ("UNLIMITED", 120)]
)
def test_warning_is_earlier_for_short_jobs(time, seconds):
    assert script.warning_seconds(time) == seconds


def test_reasons():
    assert reasons.why_waiting("Resources") == "waiting for resources to become free"
    assert "maintenance" in reasons.why_waiting(
        "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"
    )
    assert "shorter `time`" in reasons.why_waiting("PartitionTimeLimit") and reasons.starts_never(
        "PartitionTimeLimit"
    )
    assert "quality of service" in reasons.why_waiting("QOSMaxWhatever")
    assert "account" in reasons.why_waiting("AssocGrpWhatever")
    assert reasons.why_waiting("Something, new | here") == "Slurm says: Something, new | here"
    assert reasons.why_ended("OUT_OF_MEMORY").cause == "it used more memory than it had asked for"
    assert "signal 9" in reasons.why_ended("FAILED", "0:9", "a line of the kernel").cause
    log = "up\nslurmstepd-n1: error: StepId=7.batch exceeded memory limit (397639680 > 314572800), being killed\n"
    assert "more memory" in reasons.why_ended("FAILED", "0:9", log).cause
    assert "cannot reach" in reasons.why_ended("FAILED", "75:0", log).cause
    assert "cannot reach" in reasons.why_ended("FAILED", "75:0").cause
    assert reasons.why_ended("NEW_STATE").cause == "its state is NEW_STATE"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (119, "119 s"), (180, "3 min"), (7500, "2 h 05 min"), (200000, "2 d 7 h")],
)
def test_durations(seconds, text):
    assert reasons.duration(seconds) == text


def test_waiting_lines():
    waiting = notices.Waiting(
        job="7", state="PENDING", reason="Resources", starts=4000.0, submitted=100.0
    )
    text = waiting.notice(400.0).text
    assert text.startswith("Slurm job 7 PENDING: waiting for resources to become free; not before ")
    assert text.endswith("waited 5 min")
    page = notices.Notice("<script>", detail=("a & b",)).bundle()
    assert "&lt;script&gt;" in page["text/html"] and "a &amp; b" in page["text/html"]
    assert page["text/plain"] == "<script>\na & b"
    assert "suspended" in notices.Waiting(job="7", state="SUSPENDED").notice(0).text


def test_end_of_a_job_shows_its_log_without_control_characters(tmp_path):
    folder = record.Folder(tmp_path)
    folder.log("7").write_text("".join(f"line {i}\n" for i in range(50)) + "bell \a\x1b[2J end\n")
    text = endings.of_job(
        "7", Ended("TIMEOUT", "TimeLimit", "0:0", "n1", "00:01:20", "00:01:00"), folder, "t", []
    ).text
    assert "it reached its time limit (TIMEOUT, TimeLimit)" in text
    assert "it ran 00:01:20 of 00:01:00" in text
    assert "line 49" in text and "line 29" not in text
    assert "\x1b" not in text and "\a" not in text


# --- the clients, played by small scripts --------------------------------------------------------------


def fake(tmp_path, **programs):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return Slurm(Clients(environ={"PATH": f"{folder}:/usr/bin:/bin"}))


ROW = "7|PENDING||2026-11-29T10:00:00|N/A|0:00|debug|Nodes required for job are DOWN, DRAINED|kw-a-1|kernelwright:kernel=a|b"


def test_rows_are_read(tmp_path):
    slurm = fake(tmp_path, squeue=f"echo '{ROW}'; echo broken line")
    job = slurm.jobs(["7"])["7"]
    assert (job.state, job.reason, job.comment, job.ends) == (
        "PENDING",
        "Nodes required for job are DOWN, DRAINED",
        "kernelwright:kernel=a|b",
        None,
    )
    assert job.starts is not None


def test_an_unknown_job_is_gone_but_an_outage_is_not(tmp_path):
    slurm = fake(
        tmp_path,
        squeue="echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1",
        scontrol="echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1",
        sacct="echo 'OUT_OF_MEMORY|None|0:125|n3|00:10:00|01:00:00'",
        scancel="echo 'Unable to contact slurm controller' >&2; exit 1",
        sbatch="echo 'sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)' >&2; exit 1",
    )
    assert slurm.jobs(["7"]) == {}
    assert slurm.ended("7") == Ended("OUT_OF_MEMORY", "None", "0:125", "n3", "00:10:00", "01:00:00")
    for call in (
        lambda: slurm.cancel(ids=["7"]),
        lambda: slurm.submit("x"),
        lambda: slurm.preflight("x"),
    ):
        with pytest.raises(Unreachable):
            call()


def test_refusals_are_slurms_own_words(tmp_path):
    slurm = fake(
        tmp_path,
        sbatch="echo 'sbatch: error: Batch job submission failed: Invalid account' >&2; exit 1",
    )
    assert slurm.preflight("x") == "Batch job submission failed: Invalid account"
    with pytest.raises(UserError) as raised:
        slurm.submit("x")
    assert raised.value.code == "slurm-refused" and "Invalid account" in raised.value.message


@pytest.mark.parametrize(
    ("nodes", "believed"), [("idle\nmixed", True), ("idle\ndrained*", False), ("maint", False)]
)
def test_no_such_node_is_believed_only_while_every_node_is_there(tmp_path, nodes, believed):
    slurm = fake(
        tmp_path,
        sbatch="echo 'allocation failure: Requested node configuration is not available' >&2; exit 1",
        sinfo=f"printf '{nodes}\\n'",
    )
    assert (slurm.preflight("x") is not None) is believed


def test_a_missing_client_and_a_site_without_slurm(tmp_path):
    with pytest.raises(UserError) as raised:
        Slurm(Clients(environ={"PATH": str(tmp_path)})).named("x")
    assert raised.value.code == "slurm-missing"
    with pytest.raises(UserError) as raised:
        connect(environ={}, submit="none")
    assert raised.value.code == "slurm-off"


def test_job_environment_is_a_chosen_list():
    environ = {
        "HOME": "/h",
        "PATH": "/bin",
        "LC_ALL": "C",
        "SLURM_CONF": "/c",
        "SLURM_JOB_ID": "1",
        "SBATCH_QOS": "x",
        "TOKEN": "s",
    }
    assert job_environment(environ) == {
        "HOME": "/h",
        "PATH": "/bin",
        "LC_ALL": "C",
        "SLURM_CONF": "/c",
    }


# --- small parts -------------------------------------------------------------------------------------


def test_addresses(tmp_path):
    assert addresses.of_host()[-1] == "127.0.0.1"
    known = ["10.1.2.3", "192.168.0.4", "fd00::2", "127.0.0.1"]
    assert addresses.offered(None, known) == ["10.1.2.3", "192.168.0.4", "127.0.0.1"]
    assert addresses.offered("10.0.0.0/8", known) == ["10.1.2.3"]
    assert addresses.offered("fd00::/8", known) == ["fd00::2"]
    for bad in ("172.16.0.0/12", "nonsense"):
        with pytest.raises(UserError) as raised:
            addresses.offered(bad, known)
        assert raised.value.code == "slurm-no-address"
    assert addresses.port_range("50000-50100") == (50000, 50100)
    assert addresses.port_range(None) is None
    with pytest.raises(UserError):
        addresses.port_range("70000-1")


def test_messages_are_signed_and_checked():
    wire = Wire("key")
    frames = wire.make("kernel_info_request", {"a": 1})
    request = Wire("key").read("shell", [b"client", *frames])
    assert (request.type, request.idents, request.content) == (
        "kernel_info_request",
        (b"client",),
        {"a": 1},
    )
    with pytest.raises(BadMessageError):
        Wire("other").read("shell", frames)
    for broken in ([], [b"x"], frames[:3], [*frames[:5], b"{"]):
        with pytest.raises(BadMessageError):
            Wire("key").read("shell", broken)
    from jupyter_client.session import Session

    session = Session(key=b"key")
    assert session.deserialize(frames[1:])["content"] == {"a": 1}


def test_one_owner_only(tmp_path):
    folder = record.open_folder([tmp_path / "jobs"], "id")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    mine = record.Record(nonce="a", tag="a", job_name="j", kernel="k", generation="g")
    folder.save(mine)
    assert folder.owner("a").stat().st_mode & 0o777 == 0o600
    assert folder.claim(folder.owner("a"), folder.owner("b"))
    assert not folder.claim(folder.owner("a"), folder.reaped("a"))
    assert record.Record.from_json({**record.read(folder.owner("b")), "newer": 1}) == mine
    folder.owner("b").write_text("{broken")
    assert record.read(folder.owner("b")) == {}


def test_a_foreign_folder_is_not_used(tmp_path):
    base = tmp_path / "jobs"
    (base / "id").mkdir(parents=True)
    (base / "id").chmod(0o755)
    with pytest.raises(UserError) as raised:
        record.open_folder([base], "id")
    assert raised.value.code == "slurm-no-room"
    (base / "link").symlink_to(tmp_path)
    with pytest.raises(UserError):
        record.open_folder([base], "link")


@pytest.mark.parametrize(
    ("written", "limit"),
    [("314572800", 314572800), ("9223372036854771712", None), ("max", None)],
)
def test_a_limit_that_slurm_does_not_enforce_is_none(tmp_path, monkeypatch, written, limit):
    (tmp_path / "limit").write_text(written + "\n")
    monkeypatch.setattr(jobstate, "_cgroup_files", lambda _: {"limit": str(tmp_path / "limit")})
    assert jobstate.Memory().look()["limit"] == limit
