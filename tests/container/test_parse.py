"""Hand-written container kernels, as their owners typed them."""

from __future__ import annotations

import pytest

from kernelwright.environments.container.parse import parse
from kernelwright.model import Bind

KERNEL = ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"]


def test_tacc_page():
    """The tutorial's argv: one version's path, --debug, /run/user for the connection file."""
    call = parse(["/opt/apps/tacc-apptainer/1.1.8/bin/apptainer", "--debug", "exec", "--nv", "--bind", "/run/user:/run/user", "/scratch/u/tune_0.13.sif", *KERNEL])
    assert call.spec.image == "/scratch/u/tune_0.13.sif"
    assert call.spec.gpu == "auto"
    assert call.spec.bind == ()
    assert call.spec.runtime is None
    assert call.command == ()
    assert [word for note in call.notes for word in ("--debug", "/run/user", "--nv") if word in note] == ["/run/user", "--nv", "--debug"]


@pytest.mark.parametrize(
    ("words", "binds"),
    [
        (["-B", "/data"], [Bind("/data")]),
        (["-B /data"], [Bind("/data")]),
        (["-B/data:/d:ro"], [Bind("/data", "/d", "ro")]),
        (["--bind=/a,/b:/c"], [Bind("/a"), Bind("/b", "/c")]),
        (['--bind="/a"'], [Bind("/a")]),
        (["--bind", "relative"], []),
        (["-B", "/run/user/1000"], []),
    ],
)
def test_binds(words, binds):
    assert list(parse(["apptainer", "exec", *words, "/x.sif", *KERNEL]).spec.bind) == binds


def test_environment_before_and_in_the_call():
    call = parse(["env", "A=1", "singularity", "exec", "--env", "B=2,C=3", "/x.sif", *KERNEL])
    assert call.env == (("A", "1"), ("B", "2"), ("C", "3"))
    assert call.spec.runtime == "singularity"


@pytest.mark.parametrize("command", [["/opt/conda/bin/python", *KERNEL[1:]], ["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"], [*KERNEL, "--debug"]])
def test_other_commands_are_kept(command):
    assert parse(["apptainer", "exec", "/x.sif", *command]).command == tuple(command)


@pytest.mark.parametrize("argv", [[], ["python3"], ["apptainer"], ["apptainer", "exec"], ["apptainer", "exec", "--nv"], ["bash", "-c", "apptainer exec x"], ["apptainer", "--bind"], ["env", "A=1"]])
def test_what_is_no_call(argv):
    assert parse(argv) is None


def test_what_is_not_taken_over_is_said():
    call = parse(["apptainer", "exec", "--contain", "--overlay", "/o.img", "--cleanenv", "/x.sif", *KERNEL])
    assert call.notes == ("`--contain` is not taken over", "`--overlay /o.img` is not taken over")
