"""What the form says of a Slurm kernel's own job: from the answers in Ruby to the sbatch options of the broker."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from kernelwright.config.model import Form, SiteConfig, SlurmConfig
from kernelwright.errors import UserError
from kernelwright.session.prepare import prepare
from kernelwright.session.session import Session
from kernelwright.slurm import settings, submission
from kernelwright.slurm.known import Known
from kernelwright.store import Store
from ood.rubyside import ask, catalog_file
from session.conftest import fake_runtime, report_of, write_catalog
from session.ood import stage

FORM = {
    "kw_kernel": "user:saved", "bc_num_hours": "2", "bc_queue": "login", "bc_account": "phys1", "kw_cores": "2", "kw_mem": "4",
    "kw_qos": "interactive", "kw_reservation": "", "kw_slurm": "", "kw_job": "",
}  # fmt: skip
OWN = {"partition": "short", "ntasks": 4, "time": "01:00:00"}


def options(folder, home, answers, *, own=OWN, site=None):
    """{option: value} of the kernel's own job, by the real templates, `session prepare` and the broker's own code."""
    runtime, root, private = folder / "runtime", folder / "staged", folder / "private"
    private.mkdir(mode=0o700)
    stage({**FORM, **answers}, root, runtime=fake_runtime(runtime))
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(home), "USER": "tester", "SLURM_NTASKS": "7"}
    session = Session(root, private, home, environ, site or SiteConfig(), runtime)
    assert prepare(session, host="localhost", port="5000")
    shell = f". {private}/server.sh && exec env -0"
    done = subprocess.run(
        ["bash", "-c", shell], env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    server = dict(pair.split("=", 1) for pair in done.stdout.split("\0") if pair)
    generation = folder / "kernels/0123456789ab/1"
    generation.mkdir(parents=True)
    (generation.parent / "launcher.json").write_text(json.dumps({"slurm": own}))
    start = submission.Start(generation, str(folder / "kernel-1.json"), server, session.site, home)
    script = submission.script_of(start, submission.find_or_make(start, {}))
    rows = [line[9:].lstrip("-") for line in script.splitlines() if line.startswith("#SBATCH --")]
    found = dict(row.partition("=")[::2] for row in rows)
    ours = {
        "job-name",
        "comment",
        "output",
        "open-mode",
        "export",
        "no-requeue",
        "propagate",
        "signal",
        "chdir",
    }
    return {k: v for k, v in found.items() if k not in ours}


def test_the_sessions_fields_are_the_sessions_and_who_pays_pays_for_both(tmp_path, home):
    found = options(tmp_path, home, {})
    assert found == {"partition": "short", "ntasks": "4", "time": "01:00:00", "account": "phys1"}


def test_a_kernel_that_names_its_account_keeps_it(tmp_path, home):
    site = SiteConfig(slurm=SlurmConfig(defaults={"account": "common", "mem": "2G"}))
    found = options(tmp_path, home, {}, own={"account": "own"}, site=site)
    assert found == {"account": "own", "mem": "2G"}


def test_the_kernels_own_job_for_this_session(tmp_path, home):
    """A saved kernel takes them without a build; what is not named stays as the kernel says."""
    said = "partition=gpu, time=02:00:00,qos=debug  reservation=course gres=gpu:1,shard:2, constraint=a100|h100"
    assert options(tmp_path, home, {"kw_job": said}) == {
        "partition": "gpu", "time": "02:00:00", "qos": "debug", "reservation": "course", "gres": "gpu:1,shard:2",
        "constraint": '"a100|h100"', "ntasks": "4", "account": "phys1",
    }  # fmt: skip


def test_more_options_only_where_the_site_offers_them(tmp_path, home):
    site = SiteConfig(form=Form(slurm_options=True))
    found = options(tmp_path, home, {"kw_job": "extra=--exclusive"}, site=site)
    assert "exclusive" in found
    (tmp_path / "again").mkdir()
    with pytest.raises(UserError, match="not offered here"):
        options(tmp_path / "again", home, {"kw_job": "extra=--exclusive"})


BAD = {
    "partition": "is not of the form key=value",
    "partition=gpu, hours=2": "is not a setting",
    "partition=$(id)": "cannot be used",
    "ntasks=many": "cannot be used",
    "ntasks=9": "is more than kernels may have here",
    "extra=--output=/etc/passwd": "cannot be given",
}


@pytest.mark.parametrize("said", BAD)
def test_what_cannot_be_is_said_on_the_card_and_nothing_starts(tmp_path, home, request_of, said):
    """Relaunch posts old answers past the form."""
    session = request_of(SiteConfig(slurm=SlurmConfig(limits={"ntasks": 8})), kw_job=said)
    with pytest.raises(UserError) as caught:
        prepare(session, host="localhost", port="5000")
    report = json.loads((session.root / "report.json").read_text())
    assert report["state"] == "failed"
    text = f"{caught.value.message} {report['message']}"
    assert BAD[said] in text or "cannot be used" in text
    assert not (session.private / "server.sh").exists()


def test_an_account_brings_no_further_setting(request_of):
    session = request_of(bc_account="p1,time=9-0")
    assert prepare(session, host="localhost", port="5000")
    line = next(
        line for line in (session.private / "server.sh").read_text().splitlines() if settings.DEFAULTS in line
    )  # fmt: skip
    assert json.loads(line.partition("=")[2].strip("'")) == {"account": "p1,time=9-0"}


def test_nothing_is_exported_where_nothing_was_said_or_slurm_kernels_are_off(tmp_path, request_of):
    session = request_of()
    prepare(session, host="localhost", port="5000")
    assert settings.OVERRIDES not in (session.private / "server.sh").read_text()


def test_slurm_kernels_off_is_no_error(request_of):
    session = request_of(SiteConfig(slurm=SlurmConfig(submit="none")), kw_job="nonsense")
    prepare(session, host="localhost", port="5000")
    assert settings.OVERRIDES not in (session.private / "server.sh").read_text()


SAID = ["", "partition=gpu", "partition=gpu, time=02:00:00", "gres=gpu:1,shard:2", "extra=--exclusive, extra=--nice=10", "cpus-per-task=4", "constraint=a&b", "constraint=[a|b]", "constraint=!x", "nodes=1-2", "extra=--acctg-freq=task=5,energy=3, time=5", "extra=--nice=5,--nodelist=n1"]  # fmt: skip
REFUSED = {
    "gpu": "is not of the form key=value", "hours=2": "hours is not a setting", "partition=a;b": "characters that no setting has",
    "wrap=x": "is not a setting", "time=1, --output=/x": "is not a setting",
    "extra=--nice=5,time=5,energy=3": "energy is not a setting", "extra=--exclusive,partion=x": "partion is not a setting",
}  # fmt: skip


def test_the_web_node_reads_it_first(home):
    base = {"kw_kernel": "user:mine", "bc_num_hours": "1", "kw_cores": "1", "kw_mem": "0"}
    found = ask("check", home=home, cases=[{**base, "kw_job": s} for s in [*SAID, *REFUSED]])["found"]  # fmt: skip
    assert [one["ok"] for one in found] == [True] * len(SAID) + [False] * len(REFUSED), found
    for one, says in zip(found[len(SAID) :], REFUSED.values(), strict=True):
        assert one["message"].startswith("The kernel's own job: ") and says in one["message"].replace("“", "").replace("”", "")  # fmt: skip
    for said in SAID[1:]:  # what the web node lets through, the node understands
        settings.parse_settings(said)


def test_the_field_is_there_where_slurm_kernels_are(home, tmp_path):
    from ood.rubyside import render

    off = catalog_file(tmp_path, form={"slurm_kernels": False})
    assert "kw_job" in render("evaluate", home=home)["definition"]["form"]
    assert "kw_job" not in render("evaluate", home=home, catalog=off)["definition"]["form"]
    assert Path(off).exists()


# --- a template's answers: the kernel's own settings ------------------------------------------------


def slurm_site(where):
    """Two templates over one environment: one in a job of its own, one not."""
    entry = {"parameters": {"part": {"type": "text", "label": "Partition", "example": "x"}}}
    environment = {"prefix": {"path": sys.prefix}}
    local = {**entry, "name": "here", "label": "Here", "recipe": {"environment": environment}}
    launcher = {"slurm": {"partition": "{{ part }}"}}
    jobs = {**entry, "name": "jobs", "label": "Jobs", "recipe": {"environment": environment, "launcher": launcher}}  # fmt: skip
    site = SiteConfig(templates=(local, jobs))
    found = json.loads(write_catalog(where / "catalog.json", site).read_text())["templates"]
    fields = {one["name"]: one["parameters"][0]["id"] for one in found}
    return site, fields["here"], fields["jobs"]


def test_a_template_asked_again_takes_the_new_partition_and_builds_nothing(
    request_of, tmp_path, home
):
    site, here, jobs = slurm_site(tmp_path)
    runtime = tmp_path / "real"
    runtime.mkdir()
    (runtime / "venv").symlink_to(sys.prefix)

    def asked(template, title, **answers):
        session = request_of(site, runtime=runtime, kw_kernel=f"template:{template}", kw_title=title, **answers)  # fmt: skip
        prepare(session, host="localhost", port="5000")
        report = report_of(session)
        assert report["code"] is None, report
        return report["kernel"]["name"], report["kernel"]["made"]

    store = Store(home, site, {})
    assert asked("here", "Local", **{here: "x"}) == ("local", True)
    assert asked("jobs", "Far", **{jobs: "short"}) == ("far", True), "the local one was taken"
    owned = store.find("far")
    assert store.launcher(owned.id) == {"slurm": {"partition": "short"}}
    store.set_launcher(owned.id, {"slurm": {"partition": "short", "time": "2:00:00"}})  # edit
    assert asked("jobs", "Far", **{jobs: "gpu"}) == ("far", False)
    assert store.launcher(owned.id) == {"slurm": {"partition": "gpu", "time": "2:00:00"}}
    generation = store.generation(owned.id)
    info = Known(generation.folder, tmp_path).reply()
    assert info["implementation"] == "ipython", "the start test's own answer is the broker's first"
    assert info["language_info"]["version"] == platform.python_version()
