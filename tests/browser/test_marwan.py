"""HPC-MARWAN's page as one form: a template, tasks, modules and a partition; the job in squeue, and empty after shutdown."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from browser.conftest import PATIENCE, PREFIX
from browser.sites import central_kernel, private_runtime, site_app, visit
from browser.steps import alert, cancel, choose, launch, open_form, picture, wait_state
from conda.channel import build
from conda.conftest import ROOT, Log
from conda.server import ChannelServer
from slurm.cluster import Cluster, missing_parts

from kernelwright.config.model import Conda, SiteConfig
from kernelwright.environments import conda
from kernelwright.environments.base import Place
from kernelwright.model import CondaSpec, Recipe
from portal.lab import PANEL, new_notebook, open_lab, run_cell

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slurm,
    pytest.mark.root,
    pytest.mark.timeout(900),
]
EXAMPLE = ROOT / "docs/admins/examples/marwan/conf.d"
CELL = """\
import greetings, os, sys
print(os.environ["SLURM_JOB_ID"], os.environ["SLURM_NTASKS"], os.environ["SLURM_JOB_PARTITION"], os.environ["GCC_HOME"], sys.prefix)
"""


@pytest.fixture(scope="module")
def cluster():
    """A real Slurm with two of MARWAN's partitions; the two with GPUs are in the form only."""
    if os.getuid() != 0:
        pytest.skip("a private Slurm cluster needs root")
    if missing := missing_parts():
        pytest.skip(f"missing for a private Slurm cluster: {', '.join(missing)}")
    made = Cluster().start()
    try:
        for name in ("defq", "shortq"):
            made.run("scontrol", "create", f"PartitionName={name}", "Nodes=n1,n2", "State=UP")
        made.wait(lambda: {"defq", "shortq"} <= set(made.run("sinfo", "-h", "-o", "%R").split()), 60, "the partitions")  # fmt: skip
        yield made
    finally:
        made.stop()


def conda_environment(prefix, home, keep, runtime):
    """An environment as a person has made it with conda, ipykernel included."""
    served = ChannelServer(build(ROOT / ".cache/conda-channel"))
    try:
        keep.mkdir()
        environ = {"PATH": os.environ["PATH"], "HOME": str(home), "KERNELWRIGHT_COMPILE": "never"}
        site = SiteConfig(conda=Conda(channels=(served.url,)))
        recipe = Recipe("analysis", CondaSpec(dependencies=("greetings",)))
        place = Place(prefix, keep, home, environ, site, runtime)
        with ThreadPoolExecutor(1) as pool:  # this thread's event loop is Playwright's
            pool.submit(conda.make, recipe, place, Log()).result()
    finally:
        served.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory, runtime, cluster, uv_cache):
    """The example site as it is in the documentation; /shared and /scratch are folders of the test."""
    folder = tmp_path_factory.mktemp("marwan")
    shared = folder / "shared"
    own = private_runtime(shared / "apps/kernelwright", runtime)
    central_kernel(shared / "kernels/python", runtime)
    (shared / "envs").mkdir()
    (shared / "envs/python").symlink_to(runtime / "venv")
    (shared / "modulefiles/gcc").mkdir(parents=True)
    (shared / "modulefiles/gcc/12.lua").write_text('setenv("GCC_HOME", "/apps/gcc/12")\n')
    conf = folder / "etc/conf.d"
    shutil.copytree(EXAMPLE, conf)
    for path in conf.iterdir():
        text = path.read_text().replace("/shared/", f"{shared}/").replace("/scratch/", f"{folder}/scratch/")  # fmt: skip
        path.write_text(text)
    home = folder / "home"
    home.mkdir()
    conda_environment(home / "miniforge3/envs/analysis", home, folder / "keep", own)
    env = {"SLURM_CONF": cluster.environ["SLURM_CONF"]}
    with site_app(folder, own, conf, "--scheduler", "slurm", uv_cache=uv_cache, env=env) as app:
        yield app


def fields(site, template):
    """{name of a parameter: id of its field}."""
    found = json.loads(site.catalog.read_text())["templates"]
    one = next(t for t in found if t["name"] == template)
    assert not one["hidden"], one["reason"]
    return SimpleNamespace(**{p["name"]: p["id"] for p in one["parameters"]})


def rows(cluster):
    """(job id, partition, tasks, name) of every job that is not over."""
    lines = cluster.run("squeue", "-h", "-o", "%i|%P|%C|%j").splitlines()
    return [tuple(line.split("|")) for line in lines]


def test_conda_via_slurm_from_the_form_to_an_empty_queue(chromium, site, cluster):
    with visit(chromium, PATIENCE) as page:
        open_form(page, site.address)
        ids = fields(site, "conda-slurm")
        answers = {ids.env: "analysis", ids.ntasks: "4", ids.modules: "gcc/12", ids.partition: ["shortq"]}  # fmt: skip
        choose(page, "template:conda-slurm", kw_title="My analysis", **answers)
        picture(page, "marwan-form")
        assert "two jobs are charged" in page.inner_text(PREFIX + "kw_kernel_message")
        page.select_option(PREFIX + "bc_queue", "gpu_test")  # offered by the site, unknown to Slurm
        page.fill(PREFIX + "bc_num_hours", "1")  # the most that it gives
        page.get_by_role("button", name="Launch").click()
        assert "invalid partition specified: gpu_test" in alert(page)
        picture(page, "marwan-partition")
        assert rows(cluster) == []
        assert page.input_value(PREFIX + ids.env) == "analysis"
        page.select_option(PREFIX + "bc_queue", "defq")
        card = launch(page)
        wait_state(page, card, "running")
        picture(page, "marwan-card", card)
        lab = open_lab(page, card)
        assert new_notebook(lab) == "My analysis"
        job, tasks, partition, module, prefix = run_cell(lab, CELL).split()
        assert (tasks, partition, module) == ("4", "shortq", "/apps/gcc/12")
        assert prefix == str(site.home / "miniforge3/envs/analysis")
        ours = {row[0]: row for row in rows(cluster)}
        assert ours[job][1:3] == ("shortq", "4")
        assert sorted(row[1] for row in ours.values()) == ["defq", "shortq"]
        picture(lab, "marwan-lab")
        lab.get_by_role("menuitem", name="Kernel", exact=True).click()
        lab.get_by_text("Shut Down Kernel", exact=True).click()
        lab.wait_for_selector(f"{PANEL} .jp-KernelName:has-text('No Kernel')")
        cluster.wait(lambda: [row[1] for row in rows(cluster)] == ["defq"], 120, "the kernel's job to go")  # fmt: skip
        lab.close()
        cancel(page, card)
        cluster.wait(lambda: rows(cluster) == [], 120, "the session's job to go")
