"""What Slurm's clock decides: the time limit and the idle limit, begun by an earlier test."""

import pytest


def test_time_limit(slow_kernels):
    notebook = slow_kernels["limit"]
    error = notebook.reply(notebook.cell, 240)
    assert "it reached its time limit (TIMEOUT" in error["evalue"]
    assert "longer `time`" in "\n".join(error["traceback"])
    notebook.wait_line(notebook.cell, "save what you need now")


def test_idle_limit_warns_and_ends(slow_kernels):
    notebook = slow_kernels["idle"]
    notebook.wait_line(notebook.cell, "run any cell to keep the kernel", 240)
    notebook.wait_line(notebook.cell, "no cell had run for 1 min", 240)
    assert "no cell had run for 1 min" in notebook.run("1")["evalue"]
