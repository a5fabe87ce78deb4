"""The four example sites of docs/admins/examples: checked, compiled, and used."""

import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from kernelwright import catalog
from kernelwright.catalog import templates
from kernelwright.cli import main
from kernelwright.config.load import load

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs/admins/examples"
HELPER = '#!/bin/bash\nexport FROM_HELPER=yes\nexec "$@"\n'


class Example:
    """An example whose /shared is a folder of the test."""

    def __init__(self, name, base, capsys):
        self.base, self.capsys = base, capsys
        self.shared = base / "shared"
        self.conf = base / "etc/conf.d"
        shutil.copytree(EXAMPLES / name / "conf.d", self.conf)
        for path in self.conf.iterdir():
            path.write_text(path.read_text().replace("/shared/", f"{self.shared}/"))
        runtime = self.shared / "apps/kernelwright"
        (runtime / "bin").mkdir(parents=True)
        (runtime / "bin/kernelwright").write_text("#!/bin/sh\n")
        (runtime / "venv").symlink_to(sys.prefix)
        for folder in ("modulefiles", "init", "envs", "images", "data"):
            (self.shared / folder).mkdir()
        (self.shared / "init/lmod.sh").write_text("module() { :; }\n")

    def kernel(self, name, argv=None):
        folder = self.shared / "kernels" / name
        folder.mkdir(parents=True)
        argv = argv or [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        (folder / "kernel.json").write_text(
            json.dumps({"argv": argv, "display_name": name, "language": "python"})
        )
        return folder

    def run(self, *words):
        self.capsys.readouterr()
        status = main([*map(str, words)])
        said = self.capsys.readouterr()
        assert "Traceback" not in said.err
        return status, said.out, said.err

    @property
    def site(self):
        return load(str(self.conf)).site


@pytest.fixture
def example(tmp_path, home, monkeypatch, capsys):
    def make(name):
        made = Example(name, tmp_path, capsys)
        monkeypatch.setenv("KERNELWRIGHT_SITE_CONFIG", str(made.conf))
        monkeypatch.setenv("KERNELWRIGHT_RUNTIME", str(made.shared / "apps/kernelwright"))
        return made

    return make


def test_every_example_is_tested_here():
    assert sorted(p.name for p in EXAMPLES.iterdir()) == [
        "course",
        "marwan",
        "mit",
        "nersc",
        "tacc",
    ]


def test_marwan_templates_give_the_jobs_that_people_ask_for(example, home):
    site = example("marwan")
    site.kernel("python")
    (site.shared / "envs/python/bin").mkdir(parents=True)
    assert site.run("site", "check")[0] == 0
    assert site.run("site", "compile")[0] == 0
    recipe = templates.instantiate(
        site.site,
        "python-slurm",
        {"ntasks": "8", "partition": "gpu", "gpu": "a100", "account": "phys"},
        name="sim",
    )
    assert recipe.modules.load == ("gcc", "openmpi", "hdf5", "netcdf", "fftw", "openblas", "boost")
    assert (
        recipe.slurm.ntasks,
        recipe.slurm.partition,
        recipe.slurm.gres,
        recipe.slurm.account,
    ) == (8, "gpu", "gpu:a100:1", "phys")
    plain = templates.instantiate(site.site, "python-slurm", {}, name="sim")
    assert (plain.slurm.ntasks, plain.slurm.partition, plain.slurm.gres) == (1, "defq", None)

    (home / "miniforge3/envs/analysis").mkdir(parents=True)
    status, out, err = site.run(
        "create",
        "template",
        "My analysis",
        "conda-slurm",
        "env=analysis",
        "ntasks=4",
        "partition=shortq",
        "--dry-run",
    )
    assert status == 0, err
    assert "#SBATCH --ntasks=4" in out
    assert "#SBATCH --partition=shortq" in out
    assert f"{home}/miniforge3/envs/analysis" in out
    status, _, err = site.run(
        "create", "template", "x", "conda-slurm", "env=analysis", "ntasks=65", "--dry-run"
    )
    assert status == 1
    assert "between 1 and 64" in err
    assert "$HOME" not in err


def test_nersc_script_kernels_start_and_the_image_template_is_hidden_where_its_runtime_is_missing(
    example, home, monkeypatch
):
    site = example("nersc")
    folder = site.kernel(
        "python-modules",
        [
            "{resource_dir}/kernel-helper.sh",
            sys.executable,
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
        ],
    )
    helper = folder / "kernel-helper.sh"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    status, out, err = site.run("site", "check", "--start", "--test-timeout", "200")
    assert status == 0, out + err
    assert "python-modules: started in" in out
    assert "`shifter-image` is hidden: its check failed" in out
    with pytest.raises(Exception, match="cannot be used now"):
        templates.instantiate(site.site, "shifter-image", {"image": "ubuntu:24.04"})
    programs = site.base / "programs"
    programs.mkdir()
    (programs / "shifter").write_text("#!/bin/sh\n")
    (programs / "shifter").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    recipe = templates.instantiate(
        site.site, "shifter-image", {"image": "ubuntu:24.04"}, name="image"
    )
    assert recipe.env["SHIFTER_IMAGE"] == "ubuntu:24.04"
    with pytest.raises(Exception, match="cannot be"):
        templates.instantiate(site.site, "shifter-image", {"image": "x:1; rm -rf /"}, name="image")

    script = home / "my-helper.sh"
    script.write_text(HELPER.replace("exec", f"export PATH={sys.prefix}/bin:$PATH\nexec"))
    script.chmod(0o755)
    status, _, err = site.run(
        "create",
        "template",
        "mine",
        "start-script",
        f"script={script}",
        "threads=2",
        "--test-timeout",
        "200",
    )
    assert status == 0, err
    launch = next((home / ".local/share/kernelwright/kernels").glob("*/1/launch.sh"))
    assert "OMP_NUM_THREADS" in launch.read_text()


def test_tacc_images_are_limited_to_the_sites_folders_and_get_its_module_and_binds(
    example, home, monkeypatch
):
    site = example("tacc")
    monkeypatch.setenv("SCRATCH", str(home / "scratch"))
    assert site.run("site", "check")[0] == 0
    assert site.run("site", "compile")[0] == 0
    made = json.loads((site.conf.parent / "catalog.json").read_text())
    assert [(k["name"], k["gpu"], k["state"], k["problem"]) for k in made["kernels"]] == [
        ("pytorch", "required", "unavailable", "it was not made yet")
    ]
    assert made["form"]["kinds"] == ["container", "conda", "venv"]
    status, out, err = site.run(
        "create",
        "template",
        "rna",
        "my-image",
        "image=/scratch/me/rnaseq_1.0.sif",
        "gpu=yes",
        "--dry-run",
    )
    assert status == 0, err
    assert f"{site.shared}/init/lmod.sh" in out
    assert "/scratch/me/rnaseq_1.0.sif" in out
    status, _, err = site.run("create", "container", "own", "/home/me/x.sif", "--dry-run")
    assert (status, "error: policy-image" in err) == (1, True)
    status, _, err = site.run("create", "script", "own", "/bin/true", "--dry-run")
    assert (status, "error: policy-kind" in err) == (1, True)


def test_mit_kernels_hand_over_to_their_successors_and_templates_pass_a_licence(example):
    site = example("mit")
    site.kernel("python-2025")
    (site.shared / "envs/python-2026").symlink_to(sys.prefix)
    assert site.run("site", "check")[0] == 0
    status, _, err = site.run("site", "build", "python-2026", "--no-test")
    assert status == 0, err
    found = {k.name: k for k in catalog.central(site.site)}
    assert found["python-2025"].target == "python-2026"
    assert found["anaconda-2023"].notice == "Anaconda 2023 was replaced: this is Python 2026"
    folder = found["anaconda-2023"].folder
    assert catalog.resolve(found["anaconda-2023"]).problem is None
    assert stat.S_IMODE((folder / "kernel.json").stat().st_mode) == 0o644
    recipe = templates.instantiate(
        site.site, "vendor-tools", {"packages": "scipy pandas", "licence": "1"}, name="tools"
    )
    assert recipe.environment.dependencies == ("python=3.12", "vendor-tools", "scipy", "pandas")
    assert recipe.build_env == {"VENDOR_LICENSE_ACCEPTED": "yes"}
    status, _, err = site.run(
        "create", "conda", "own", "x", "--channel", "https://elsewhere.example.org/c", "--dry-run"
    )
    assert (status, "error: policy-channel" in err) == (1, True)
