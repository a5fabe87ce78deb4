"""The words of real failures -> code, and the sentence that names what matters."""

from __future__ import annotations

import pytest

from kernelwright.launch import classify, explain
from kernelwright.launch.classify import Start
from kernelwright.launch.rules import RULES

TRACEBACK = 'Traceback (most recent call last):\n  File "/g/entry.py", line 30, in main\n'

# code: status, output, words that the message and the hint must hold
STARTS = [
    (
        "ipykernel-missing",
        1,
        "/usr/bin/python3: No module named ipykernel_launcher",
        ["ipykernel is not installed", "kernelwright repair bert"],
    ),
    (
        "ipykernel-missing",
        1,
        TRACEBACK + "ModuleNotFoundError: No module named 'ipykernel'",
        ["ipykernel is not installed"],
    ),
    (
        "environment-damaged",
        1,
        TRACEBACK
        + "ImportError: /home/a b/.local/share/kernelwright/kernels/0123456789abcdef/2/env/lib/python3.11/site-packages/zmq/_zmq.so: invalid ELF header",
        ["/zmq/_zmq.so` of the environment is damaged", "kernelwright repair bert"],
    ),
    (
        "launch-script-missing",
        2,
        "/e/bin/python: can't open file '/k/1/entry.py': [Errno 2] No such file or directory",
        ["`/k/1/entry.py` is gone"],
    ),
    (
        "kernel-package-missing",
        1,
        "/usr/bin/python3: No module named bash_kernel",
        ["not installed"],
    ),
    (
        "kernel-package-missing",
        1,
        "Error in loadNamespace(x) : there is no package called ‘IRkernel’\nExecution halted",
        ["IRkernel for R"],
    ),
    (
        "kernel-package-missing",
        1,
        "ERROR: ArgumentError: Package IJulia not found in current path.",
        ["IJulia for Julia"],
    ),
    (
        "import-error",
        1,
        TRACEBACK + "ImportError: cannot import name 'Iterable' from 'collections'",
        ["cannot import name 'Iterable'", "kernelwright update bert"],
    ),
    (
        "library-missing",
        127,
        "/e/bin/python: error while loading shared libraries: libpython3.9.so.1.0: cannot open shared object file: No such file or directory",
        ["`libpython3.9.so.1.0`"],
    ),
    (
        "library-missing",
        1,
        TRACEBACK
        + "ImportError: libmkl_rt.so.2: cannot open shared object file: No such file or directory",
        ["`libmkl_rt.so.2`"],
    ),
    (
        "library-shadowed",
        127,
        "/e/bin/python: error while loading shared libraries: /opt/gcc/lib/libz.so.1: file too short",
        ["LD_LIBRARY_PATH"],
    ),
    (
        "library-shadowed",
        1,
        "ImportError: /usr/lib/libcrypto.so.3: version `OPENSSL_3.2.0' not found (required by /e/lib/python3.12/lib-dynload/_ssl.so)",
        ["another version"],
    ),
    (
        "library-shadowed",
        1,
        "ImportError: /e/lib/_zmq.so: undefined symbol: PyUnicode_AsUTF8",
        ["LD_LIBRARY_PATH"],
    ),
    (
        "glibc-too-old",
        1,
        "/e/bin/python: /lib64/libc.so.6: version `GLIBC_2.34' not found (required by /e/bin/python)",
        ["GLIBC_2.34", "`/e/bin/python`", "kernelwright update bert"],
    ),
    (
        "libstdcxx-too-old",
        1,
        "ImportError: /lib64/libstdc++.so.6: version `GLIBCXX_3.4.30' not found (required by /e/lib/zmq.so)",
        ["GLIBCXX_3.4.30", "`/lib64/libstdc++.so.6`"],
    ),
    (
        "python-home-broken",
        1,
        "Fatal Python error: init_fs_encoding: failed\nModuleNotFoundError: No module named 'encodings'",
        ["base Python is gone"],
    ),
    ("illegal-instruction", 132, "", ["Illegal instruction"]),
    ("illegal-instruction", -4, "", ["Illegal instruction"]),
    ("kernel-crashed", 139, "", ["segmentation fault"]),
    ("kernel-killed", -9, "", ["SIGKILL"]),
    ("cpu-limit", 152, "", ["login nodes"]),
    (
        "wrong-architecture",
        126,
        "/g/start.sh: line 200: /e/bin/python: cannot execute binary file: Exec format error",
        ["`/e/bin/python`"],
    ),
    (
        "interpreter-not-found",
        127,
        "/g/start.sh: line 200: /e/bin/python: No such file or directory",
        ["`/e/bin/python` does not exist", "kernelwright repair bert"],
    ),
    (
        "interpreter-not-found",
        126,
        "/g/start.sh: line 9: /e/bin/jupyter: /old/bin/python3: bad interpreter: No such file or directory",
        ["`/old/bin/python3`"],
    ),
    (
        "interpreter-not-found",
        127,
        "/h/s.sh: line 5: exec: python: not found",
        ["`python` is not found"],
    ),
    (
        "script-not-executable",
        126,
        "/g/start.sh: line 200: /h/my helper.sh: Permission denied",
        ["`/h/my helper.sh`", "chmod u+x"],
    ),
    (
        "disk-full",
        1,
        TRACEBACK + "OSError: [Errno 122] Disk quota exceeded: '/home/u/.ipython/profile_default'",
        ["no space left", "storage --clean"],
    ),
    ("disk-full", 1, "OSError: [Errno 28] No space left on device", ["no space left"]),
    (
        "home-unwritable",
        1,
        "PermissionError: [Errno 13] Permission denied: '/home/u/.ipython/profile_default'",
        ["`/home/u/.ipython/profile_default`"],
    ),
    (
        "runtime-folder-missing",
        1,
        "PermissionError: [Errno 13] Permission denied: '/run/user/1000'",
        ["XDG_RUNTIME_DIR"],
    ),
    (
        "connection-file-invisible",
        1,
        "connection file /run/user/7/jupyter/kernel-1.json cannot be read",
        ["bind it"],
    ),
    (
        "address-in-use",
        1,
        "zmq.error.ZMQError: Address already in use (addr='tcp://127.0.0.1:4')",
        ["restart the kernel"],
    ),
    ("out-of-memory", 1, TRACEBACK + "MemoryError", ["more memory"]),
    (
        "user-site-leaks",
        1,
        'Traceback\n  File "/home/u/.local/lib/python3.9/site-packages/traitlets/x.py", line 3, in <module>\n    import typing\nAttributeError: module',
        ["~/.local", "user_site: false"],
    ),
    (
        "bind-missing",
        255,
        "FATAL:   container creation failed: mount source /scratch/x doesn't exist",
        ["does not exist on this node"],
    ),
    (
        "image-unusable",
        255,
        "FATAL:   could not open image /i/a.sif: failed to retrieve path for /i/a.sif: lstat /i: no such file or directory",
        ["image"],
    ),
    (
        "command-not-in-image",
        255,
        'FATAL:   "python3": executable file not found in $PATH',
        ["does not hold the program"],
    ),
    (
        "command-not-in-image",
        255,
        "FATAL:   stat /usr/bin/python3: no such file or directory",
        ["does not hold the program", "kernelwright update"],
    ),
    ("kernel-ended", 3, "some last words", ["exit status 3 before it answered"]),
    ("kernel-silent", None, "", ["did not answer"]),
]
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
    shown = {case[0] for case in STARTS} | {"module-missing", "module-not-loadable", "script-crlf"}
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
