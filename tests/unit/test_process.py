"""The one door for processes: it always comes back, with what the child said."""

import sys
import time

import pytest

from kernelwright import process
from kernelwright.errors import UserError


def python(code, **options):
    return process.run([sys.executable, "-c", code], **{"timeout": 60, **options})


def test_output_status_and_tail():
    result = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (result.status, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert not result.ok and result.tail() == "err"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import time; time.sleep(600)", id="silent"),
        pytest.param("import os, time; os.close(1); os.close(2); time.sleep(600)", id="closed"),
        pytest.param("while True: print('x' * 9999)", id="talkative"),
    ],
)
def test_a_child_that_does_not_end_is_ended(code):
    begun = time.monotonic()
    with pytest.raises(UserError) as caught:
        python(code, timeout=2)
    assert caught.value.code == "command-timed-out"
    assert time.monotonic() - begun < 60


def test_a_grandchild_that_holds_the_pipes_is_not_waited_for():
    begun = time.monotonic()
    result = process.run(["sh", "-c", "sleep 600 & echo done"], timeout=300)
    assert result.stdout == "done\n"
    assert time.monotonic() - begun < 60


def test_a_program_that_cannot_be_run():
    with pytest.raises(UserError) as caught:
        process.run(["/nowhere/program"], timeout=5)
    assert caught.value.code == "command-not-found"


def test_input_and_lines():
    lines = []
    code = "import sys; text = sys.stdin.read(); print(len(text)); sys.stderr.write('a\\rb\\nc\\n')"
    assert python(code, stdin="x" * 300_000, on_line=lines.append).stdout == "300000\n"
    assert lines == ["a", "b", "c"]


def test_input_that_nobody_reads_is_no_error():
    assert python("pass", stdin="x" * 300_000).ok
