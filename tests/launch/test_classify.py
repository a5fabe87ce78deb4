"""The words of real failures -> code, and the sentence that names what matters."""

from __future__ import annotations

import pytest

from kernelwright.launch import classify, explain
from kernelwright.launch.classify import Start
from kernelwright.launch.rules import RULES
from launch.signs import STARTS

LMOD_UNKNOWN = (
    'Lmod has detected the following error:  The following module(s) are unknown:\n"gcc/99"\n'
)
EM_UNKNOWN = "ERROR: Unable to locate a modulefile for 'gcc/99'"


@pytest.mark.parametrize(
    ("code", "status", "text", "words"), STARTS, ids=[f"{i}-{c[0]}" for i, c in enumerate(STARTS)]
)
def test_why_it_did_not_start(code, status, text, words):
    problem = classify.explain(status, text, Start(name="bert"))
    assert problem.code == code, problem
    for word in words:
        assert word in f"{problem.message}\n{problem.hint}", problem
    assert "{" not in problem.message
    assert problem.severity == "error"
    if text.strip():
        assert problem.evidence
        assert "start.sh: line" not in problem.evidence


@pytest.mark.parametrize(
    "text",
    [
        LMOD_UNKNOWN,
        EM_UNKNOWN,
        "ModuleCmd_Load.c(213):ERROR:105: Unable to locate a modulefile for 'gcc/99'",
    ],
)
def test_a_module_that_is_gone_names_the_nearest_and_the_line(text):
    start = Start(
        name="bert",
        what="module-failed",
        step="module load gcc/99",
        recipe="version: 1\nmodules:\n  load:\n  - gcc/99\n",
        modules_available=("gcc/12.2", "gcc/13.1", "cuda/12"),
    )
    problem = classify.explain(1, text, start)
    assert (problem.code, problem.message) == (
        "module-missing",
        "the module `gcc/99` does not exist on this system",
    )
    assert problem.hint.startswith("there is `gcc/12.2`, `gcc/13.1`; ")
    assert problem.evidence.startswith("recipe.yml, line 4: - gcc/99")


def test_the_line_of_the_recipe_is_that_of_the_module():
    recipe = "version: 1\nname: gcc\nmodules:\n  load:\n  - gcc/12\n  - my-gcc\n  - gcc\nenv:\n  A: gcc\n"
    start = Start(what="module-failed", recipe=recipe)
    problem = classify.explain(1, "ERROR: Unable to locate a modulefile for 'gcc'", start)
    assert problem.evidence.startswith("recipe.yml, line 7: - gcc\n")
    other = classify.explain(1, "ERROR: Unable to locate a modulefile for 'needed'", start)
    assert "recipe.yml" not in other.evidence
    short = Start(what="module-failed", recipe="name: x\nmodules: {load: [gcc/12, gcc]}\n")
    problem = classify.explain(1, "ERROR: Unable to locate a modulefile for 'gcc'", short)
    assert problem.evidence.startswith("recipe.yml, line 2: {load: [gcc/12, gcc]}")


def test_a_kernel_that_is_being_made_is_told_the_nearest_modules():
    start = Start(name="bert", what="module-failed", modules_available=("gcc/12.2", "gcc/13.1"))
    problem = classify.explain(1, EM_UNKNOWN, start)
    hint = classify.for_new_kernel(problem, start).hint
    assert hint == (
        "there is `gcc/12.2`, `gcc/13.1`; correct that and call this again; nothing was published"
    )


def test_a_script_kernel_is_not_sent_to_a_repair_that_does_nothing():
    text = "/k/resources/start.sh: line 3: /opt/old/bin/python: No such file or directory"
    problem = classify.explain(127, text, Start(name="bert", kind="script"))
    assert problem.code == "interpreter-not-found"
    assert "/opt/old/bin/python" in problem.message
    assert "kernelwright edit bert" in problem.hint


def test_the_killer_of_the_kernel_counts_more_than_words():
    start = Start(kills=1, memory_limit=4 << 30, memory_peak=(4 << 30) - 4096)
    for problem in (
        classify.explain(137, "MemoryError", start),
        classify.explain_end(137, "", start),
    ):
        assert problem.code == "out-of-memory"
        assert (
            "the memory of 4.0 GiB was used up; it had used 4.0 GiB at its peak" in problem.message
        )


@pytest.mark.parametrize("status", [143, 137, -15])
def test_the_time_limit_of_the_job(status):
    problem = classify.explain_end(status, "", Start(ended=990.0, job_end=1000.0, job="77"))
    assert problem.code == "walltime-reached"
    assert "time limit of job 77" in problem.message
    assert (
        classify.explain_end(status, "", Start(ended=500.0, job_end=1000.0, job="77")).code
        == "kernel-killed"
    )


def test_output_is_made_harmless_and_short():
    problem = classify.explain(
        1, "\x1b[31mred\x1b[0m\r\n\x07" + "y" * 5000 + "\n" * 50 + "z\n" * 500
    )
    assert "\x1b" not in problem.evidence
    assert "\x07" not in problem.evidence
    assert len(problem.evidence) < 6000


def test_every_rule_is_shown_by_a_case():
    modules = {"module-missing", "module-not-loadable", "module-conflict"}  # test_modules.py
    shown = {case[0] for case in STARTS} | modules | {"script-crlf"}
    assert {rule.code for rule in RULES} <= shown


# --- recorded cgroup files -------------------------------------------------------------------------


def test_limit_and_peak_from_cgroup_v2(tmp_path):
    step = tmp_path / "slurm/job_7/step_0/user/task_0"
    step.mkdir(parents=True)
    for folder, limit in ((step, "max"), (step.parent, "max"), (step.parent.parent, "4294967296")):
        (folder / "memory.max").write_text(limit + "\n")
    (step / "memory.peak").write_text("4294963200\n")
    assert explain.memory_of(str(step)) == (4 << 30, 4294963200)


def test_limit_and_peak_from_cgroup_v1(tmp_path):
    step = tmp_path / "memory/slurm/uid_1/job_7/step_0"
    step.mkdir(parents=True)
    (step / "memory.limit_in_bytes").write_text("9223372036854771712\n")  # no limit
    (step.parent / "memory.limit_in_bytes").write_text("1073741824\n")
    (step / "memory.max_usage_in_bytes").write_text("1073741824\n")
    assert explain.memory_of(str(step)) == (1 << 30, 1 << 30)
    assert explain.memory_of("") == (None, None)
    assert explain.memory_of(str(tmp_path / "gone")) == (None, None)


def test_r_that_halts_while_it_quits_is_no_death():
    assert classify.is_plain_quit("r", 1, "Execution halted\n")
    assert not classify.is_plain_quit("r", 1, "Error in f() : no\nExecution halted\n")
    assert not classify.is_plain_quit("r", 137, "Execution halted\n")
    assert not classify.is_plain_quit("python", 1, "Execution halted\n")
