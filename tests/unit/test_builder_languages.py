"""Kernels of other languages, from a prefix that is there."""

import json
import subprocess

from kernelwright.recipe import load
from unit.building import run_cell


def test_bash_kernel_in_a_prefix(builder, tmp_path):
    prefix = tmp_path / "bash env"
    subprocess.run(
        [builder.runtime / "venv/bin/uv", "venv", "-q", "--python", "/usr/bin/python3", prefix],
        check=True,
        timeout=120,
    )
    subprocess.run(
        [
            builder.runtime / "venv/bin/uv",
            "pip",
            "install",
            "-q",
            "--python",
            prefix / "bin/python",
            "bash_kernel",
        ],
        check=True,
        timeout=180,
        env=builder.environ,
    )
    subprocess.run(
        [prefix / "bin/python", "-m", "bash_kernel.install", "--prefix", prefix],
        check=True,
        timeout=60,
        stdout=subprocess.DEVNULL,
    )
    builder.create(
        load(
            f"name: shell\nlanguage: bash\nenvironment: {{prefix: {{path: '{prefix}'}}}}",
            source="t",
        )
    )
    assert "42" in run_cell(builder, "shell", "echo $((6*7))")


def test_r_of_debian(builder):
    builder.create(load("name: r\nlanguage: r\nenvironment: {prefix: {path: /usr}}", source="t"))
    assert "[1] 42" in run_cell(builder, "r", "print(6 * 7)")


def test_a_recorded_julia_kernelspec_is_used_as_it_is(home, tmp_path):
    from kernelwright.environments import layout

    spec = tmp_path / "share/jupyter/kernels/julia-1.10"
    spec.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/julia").touch(0o755)
    argv = [
        "julia",
        "-i",
        "--color=yes",
        "--project=@.",
        "{resource_dir}/kernel.jl",
        "{connection_file}",
    ]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "Julia 1.10", "language": "julia"})
    )
    assert layout.language_command(tmp_path, "julia") == (
        str(tmp_path / "bin/julia"),
        "-i",
        "--color=yes",
        "--project=@.",
        f"{spec}/kernel.jl",
        "{connection_file}",
    )
