"""The site's limits and the ways around them: what is submitted, and what slurmctld makes of it."""

import json
from pathlib import Path

import pytest

from kernelwright.config.model import SlurmConfig
from kernelwright.errors import UserError
from kernelwright.model import SlurmSettings
from kernelwright.slurm import script, settings

BOUNDS = SlurmConfig(limits={"ntasks": 2, "time": "00:05:00", "mem": "128M"})


def bounded(site=BOUNDS, **asked):
    return settings.effective(settings.from_mapping(asked, source="x"), site, environ={})


def test_what_is_left_out_gets_the_limit():
    assert bounded() == SlurmSettings(ntasks=1, mem="128M")
    assert bounded(nodes=2).ntasks == 2, "Slurm starts a task a node"
    nodes = SlurmConfig(limits={"nodes": 2})
    assert bounded(nodes) == SlurmSettings(nodes="1-2", extra=("--use-min-nodes",))
    assert bounded(SlurmConfig()) == SlurmSettings()
    assert bounded(SlurmConfig(limits={"time": "UNLIMITED"}), time="0").time == "0"


@pytest.mark.parametrize(
    "asked",
    [
        {"time": "0"},
        {"time": "00:00:00"},
        {"time": "infinite"},
        {"mem": "0"},
        {"mem": "0K"},
        {"mem": "1.5G"},
        {"nodes": 3},
        {"nodes": "1-3"},
        {"extra": ["--exclusive"]},
        {"extra": ["--exclusiv=user"]},
        {"extra": ["-S1"]},
        {"extra": ["--ntasks-per-node=4"]},
        {"extra": ["--tasks-per-node=4"]},
        {"extra": ["--mem-per-cpu=500M"]},
        {"extra": ["--mem-per-g=500M"]},
    ],
    ids=str,
)
def test_no_way_around_a_limit(asked):
    with pytest.raises(UserError) as raised:
        bounded(**asked)
    assert raised.value.code == "slurm-limit"
    assert raised.value.hint
    assert bounded(SlurmConfig(), **asked), "without limits all of it is the person's own choice"


def test_other_limits_and_their_options():
    cores = SlurmConfig(limits={"cpus_per_task": 2})
    for option in ("--cpus-per-gpu=9", "--mincpus=4", "--exclusive"):
        with pytest.raises(UserError, match="could give more"):
            bounded(cores, extra=[option])
    with pytest.raises(UserError, match="could give more"):
        bounded(SlurmConfig(limits={"nodes": 2}), extra=["--spread-job"])
    allowed = ["--exclude=n1", "--gpus=2", "--nice=5", "--nodelist=n1", "--mem-bind=local"]
    assert bounded(extra=allowed).extra == tuple(allowed)


def test_partitions_hold_for_a_kernel_that_names_none():
    def partition(default, **asked):
        defaults = {"partition": default} if default else {}
        return bounded(
            SlurmConfig(defaults=defaults, partitions=("apart", "long")), **asked
        ).partition

    assert partition(None) == "apart"
    assert partition("long") == "long"
    assert partition("debug") == "apart", "the site's default is none of its own list"
    assert partition("long", partition="apart") == "apart"
    with pytest.raises(UserError, match="may not run in partition"):
        partition("long", partition="debug")


def test_memory_is_one_setting_for_all_layers():
    site = SlurmConfig(defaults={"mem": "300M"})
    found = bounded(site, extra=["--mem-per-cpu=100M"])
    assert (found.mem, found.extra) == (None, ("--mem-per-cpu=100M",))
    later = {settings.OVERRIDES: json.dumps({"mem": "1G"})}
    found = settings.effective(found, site, environ=later)
    assert (found.mem, found.extra) == ("1G", ())


def test_short_and_long_are_one_option():
    earlier = settings.from_mapping({"extra": ["-xn1"]}, source="x")
    later = settings.from_mapping({"extra": ["--exclude=n2"]}, source="x")
    assert settings.merge(earlier, later).extra == ("--exclude=n2",)


def test_a_recipe_cannot_bring_what_the_command_refuses():
    with pytest.raises(UserError, match="cannot be given"):
        settings.effective(SlurmSettings(extra=("--output=/x",)), SlurmConfig(), environ={})


def test_slurm_itself_stays_within_the_limits(cluster, tmp_path):
    """Real jobs: what slurmctld made of each script."""
    site = SlurmConfig(limits=BOUNDS.limits, partitions=("long",))
    for asked in ({}, {"nodes": "1-2"}, {"extra": ["-wn[1-2]"]}, {"extra": ["-O", "-G0"]}):
        job = submit(cluster, tmp_path, bounded(site, **asked))
        assert job["Partition"] == "long"
        assert job["MinMemoryNode"] == "128M"
        assert int(job["NumTasks"]) <= 2, asked


def test_slurm_takes_what_is_let_through(cluster, tmp_path):
    assert submit(cluster, tmp_path, bounded(SlurmConfig(), nodes="1-2"))["NumNodes"] in {
        "1",
        "2",
        "1-2",
    }
    assert (
        submit(cluster, tmp_path, bounded(SlurmConfig(), partition="long", time="infinite"))[
            "TimeLimit"
        ]
        == "UNLIMITED"
    )
    site = SlurmConfig(defaults={"mem": "300M"})
    assert (
        submit(cluster, tmp_path, bounded(site, extra=["--mem-per-cpu=100M"]))["MinMemoryCPU"]
        == "100M"
    )
    odd = bounded(SlurmConfig(), extra=['--mail-user=a b # c \\ " $HOME `id`', "-wn[1-2]"])
    job = submit(cluster, tmp_path, odd)
    assert job["ReqNodeList"] == "n[1-2]"
    assert job["NumTasks"] == "2", "nothing of an option's value became an option"


@pytest.mark.parametrize(
    "value",
    [
        'a" --ntasks=2 "b',
        'a\\\\" --ntasks=2 "b',
        "a' --ntasks=2 'b",
        "a #b --ntasks=2",
        "a --ntasks=2\\\\",
        "$(touch x) --ntasks=2",
    ],
)
def test_a_value_stays_one_value(cluster, tmp_path, value):
    asked = bounded(extra=[f"--mail-user={value}", "--nice=7"])
    job = submit(cluster, tmp_path, asked)
    assert (job["NumTasks"], job["Nice"]) == ("1", "7")
    asked = bounded(extra=[f"-L{value}", "--nice=7"])
    text = script.render(asked, script.example("k", Path("/bin/true")))
    assert text.count('\n#SBATCH --licenses="') == 1
    assert "\n#SBATCH --ntasks=1\n" in text and "\n#SBATCH --nice=7\n" in text


def submit(cluster, folder, asked):
    """Submit on hold and cancel; `scontrol show job` as a mapping."""
    text = script.render(asked, script.example("k", Path("/bin/true")))
    path = folder / "job.sh"
    path.write_text(text.replace("JOBFOLDER", str(folder)))
    job = cluster.run("sbatch", "--parsable", "--hold", str(path)).strip()
    assert job.isdigit(), cluster.run("sbatch", str(path))
    shown = cluster.run("scontrol", "show", "job", job)
    cluster.run("scancel", job)
    return dict(pair.split("=", 1) for pair in shown.split() if "=" in pair)
