"""Which allocation is asked for: reading, merging, limits."""

import json

import pytest

from kernelwright.config.model import SlurmConfig
from kernelwright.errors import UserError
from kernelwright.model import SlurmSettings
from kernelwright.slurm import quantities, settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("partition=defq,ntasks=4", SlurmSettings(partition="defq", ntasks=4)),
        ("gres=gpu:1,account=p1,mem=4G", SlurmSettings(gres="gpu:1", account="p1", mem="4G")),
        ("gres=gpu:1,shard:2,qos=high", SlurmSettings(gres="gpu:1,shard:2", qos="high")),
        ("partition=a,b,time=1-12", SlurmSettings(partition="a,b", time="1-12")),
        (
            "cpus-per-task=2,extra=--constraint=skylake",
            SlurmSettings(cpus_per_task=2, extra=("--constraint=skylake",)),
        ),
        ("extra=--exclusive,extra=--nice=5", SlurmSettings(extra=("--exclusive", "--nice=5"))),
        ("extra=--exclude=n1,n2,mem=1G", SlurmSettings(extra=("--exclude=n1,n2",), mem="1G")),
        (
            "extra=--acctg-freq=task=5,energy=3,mem=1G",
            SlurmSettings(extra=("--acctg-freq=task=5,energy=3",), mem="1G"),
        ),
        ("extra=-wn[1-2],-O", SlurmSettings(extra=("--nodelist=n[1-2]", "--overcommit"))),
        ("extra=-xn1,n2", SlurmSettings(extra=("--exclude=n1,n2",))),
        ("constraint=[a|b]", SlurmSettings(constraint="[a|b]")),
        ("constraint=!x", SlurmSettings(constraint="!x")),
        ("nodes=1-2,ntasks=2", SlurmSettings(nodes="1-2", ntasks=2)),
        ("nodes=2,time=infinite", SlurmSettings(nodes=2, time="infinite")),
        ("", SlurmSettings()),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_text(text, expected):
    assert settings.parse_settings(text) == expected


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ("partion=defq", "slurm-settings", "did you mean `partition`"),
        ("defq", "slurm-settings", "key=value"),
        ("ntasks=many", "invalid-recipe", "whole number"),
        ("ntasks=0", "invalid-recipe", "between"),
        ("time=soon", "invalid-recipe", "01:30:00"),
        ("partition=a b", "invalid-recipe", "partition"),
        ("partition=$(id)", "invalid-recipe", "partition"),
        ("extra=--output=/tmp/x", "slurm-option-refused", "for itself"),
        ("extra=--wrap=id", "slurm-option-refused", "for itself"),
        ("extra=--ntasks=4", "slurm-option-refused", "ntasks="),
        ("extra=-n4", "slurm-option-refused", "ntasks="),
        ("extra=-On4", "slurm-option-refused", "of its own"),
        ("extra=-sp closed", "slurm-option-refused", "of its own"),
        ("extra=-Xy", "slurm-option-refused", "long form"),
        ("extra=-G=2", "invalid-recipe", "extra"),
        ("extra=--clusters=other", "slurm-option-refused", "cluster of its notebook"),
        ("extra=--clus=other", "slurm-option-refused", "cluster of its notebook"),
        ("extra=-Mother", "slurm-option-refused", "cluster of its notebook"),
        ("extra=--acctg-freq=task=5,-n4", "slurm-option-refused", "ntasks="),
        ("extra=--exclusive,partion=x", "slurm-settings", "did you mean `partition`"),
        ("nodes=2-1", "invalid-recipe", "upwards"),
        ("nodes=1-2-3", "invalid-recipe", "whole number"),
        ("constraint=!", "invalid-recipe", "constraint"),
        ("constraint=[`id`]", "invalid-recipe", "constraint"),
        ("time=９０", "invalid-recipe", "01:30:00"),
        ("extra=-wn1\n#SBATCH -n9", "invalid-recipe", "control"),
        ("extra=rm -rf", "invalid-recipe", "extra"),
        ("extra=--comment=x\n#SBATCH --wrap=y", "invalid-recipe", "control"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_refusals(text, code, part):
    with pytest.raises(UserError) as raised:
        settings.parse_settings(text)
    assert raised.value.code == code
    assert part in f"{raised.value.message} {raised.value.hint}"


def test_layers_and_limits():
    site = SlurmConfig(
        defaults={"partition": "defq", "time": "01:00:00", "extra": ["--constraint=a"]},
        limits={"ntasks": 64, "time": "12:00:00", "mem": "8G", "idle": 60},
        partitions=("defq", "long"),
    )
    own = SlurmSettings(ntasks=4, extra=("--constraint=b",))
    environ = {settings.OVERRIDES: json.dumps({"time": "2:00:00", "qos": "high"})}
    assert settings.effective(own, site, environ=environ) == SlurmSettings(
        partition="defq", ntasks=4, time="2:00:00", mem="8G", qos="high", extra=("--constraint=b",)
    )
    for bad, part in (
        ({"ntasks": 65}, "ntasks=64"),
        ({"time": "13:00:00"}, "time=12:00:00"),
        ({"time": "UNLIMITED"}, "time="),
        ({"mem": "9G"}, "mem=8G"),
        ({"partition": "lon"}, "did you mean `long`"),
    ):
        with pytest.raises(UserError) as raised:
            settings.effective(settings.from_mapping(bad, source="x"), site, environ={})
        assert raised.value.code == "slurm-limit"
        assert part in f"{raised.value.hint} {raised.value.context}"
    assert settings.idle_limit(site) == 3600


def test_broken_overrides_and_files(tmp_path):
    with pytest.raises(UserError):
        settings.effective(SlurmSettings(), SlurmConfig(), environ={settings.OVERRIDES: "{"})
    generation = tmp_path / "id/1"
    generation.mkdir(parents=True)
    assert settings.of_kernel(generation) == SlurmSettings()
    (tmp_path / "id/launcher.json").write_text('{"slurm": {"ntasks": 2}}')
    assert settings.of_kernel(generation) == SlurmSettings(ntasks=2)
    (tmp_path / "id/launcher.json").write_text("{")
    with pytest.raises(UserError) as raised:
        settings.of_kernel(generation)
    assert raised.value.code == "slurm-settings-unreadable"


def test_round_trip():
    some = SlurmSettings(partition="a", ntasks=2, extra=("--exclusive",))
    assert settings.from_mapping(settings.to_mapping(some), source="x") == some


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("30:30", 1830),
        ("1:00:00", 3600),
        ("1-12", 129600),
        ("1-12:30", 131400),
        ("1-0:0:5", 86405),
        ("UNLIMITED", float("inf")),
        ("infinite", float("inf")),
        ("0", float("inf")),
        ("0-0", float("inf")),
        ("x", None),
    ],
)
def test_seconds(text, seconds):
    assert quantities.seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "mebibytes"),
    [("4G", 4096), ("512", 512), ("1024K", 1), ("1T", 1 << 20), ("0G", float("inf")), ("x", None)],
)
def test_memory(text, mebibytes):
    assert quantities.mebibytes(text) == mebibytes
