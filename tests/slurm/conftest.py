"""A real Slurm for every test here, and notebooks on it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from slurm.cluster import Cluster, missing_parts
from slurm.notebook import Notebook, make_generation, publish


def new_cluster(**options):
    """A cluster of its own, from start to stop; for `yield from` in a fixture."""
    if os.getuid() != 0:
        pytest.skip("a private Slurm cluster needs root")
    if missing := missing_parts():
        pytest.skip(f"missing for a private Slurm cluster: {', '.join(missing)}")
    made = Cluster(**options).start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def _one_cluster():
    yield from new_cluster(nodes=3)


@pytest.fixture
def cluster(_one_cluster):
    """Two nodes on this host; left empty and with `closed` closed after each test."""
    assert not _one_cluster.jobs(), "an earlier test left a job"
    yield _one_cluster
    if "slurmctld" not in _one_cluster.daemons:
        _one_cluster.start_controller()
    left = _one_cluster.jobs()
    _one_cluster.close_partition()
    _one_cluster.run("scontrol", "update", "NodeName=n[1-2]", "State=RESUME")
    if left:
        try:
            _one_cluster.wait_no_jobs(60)
        except Exception:
            _one_cluster.run("scancel", *[job for job, _ in _one_cluster.jobs()])
            _one_cluster.wait_no_jobs(60)
            raise


@pytest.fixture(scope="module")
def isolated_cluster():
    """Two nodes with networks, addresses, host names and process ids of their own."""
    yield from new_cluster(isolated=True)


class Bench:
    """Makes kernels and notebooks in one hermetic home on one cluster."""

    def __init__(self, cluster, home: Path, runtime: Path, folder: Path):
        self.cluster, self.home, self.runtime, self.folder = cluster, home, runtime, folder
        self.jupyter = folder / "jupyter"
        self.notebooks = []
        self.environ = {
            **cluster.environ,
            "HOME": str(home),
            "KERNELWRIGHT_HOME": str(home),
            "KERNELWRIGHT_RUNTIME": str(runtime),
            "KERNELWRIGHT_CATALOG": str(folder / "catalog.json"),
            "JUPYTER_PATH": str(self.jupyter),
            "JUPYTER_RUNTIME_DIR": str(folder / "run"),
            "IPYTHONDIR": str(folder / "ipython"),
        }
        self.generation = None
        self.site()

    def site(self, **slurm):
        """The site's Slurm settings; the lease and idle limit are short in tests."""
        config = {"slurm": {"lease": 30, **slurm}}
        (self.folder / "catalog.json").write_text(json.dumps({"version": 1, "config": config}))

    def kernel(self, **options):
        """Make and publish the kernel `demo`."""
        self.generation = make_generation(self.folder, self.runtime, **options)
        publish(self.jupyter, self.generation)
        return self.generation

    def start(self, environ=None, **options) -> Notebook:
        """Start the kernel in a new notebook; it is closed after the test."""
        made = Notebook({**self.environ, **(environ or {})}, **options)
        self.notebooks.append(made)
        return made

    @property
    def jobs_folder(self) -> Path:
        """Where the records lie."""
        return self.home / ".local/share/kernelwright/jobs"

    def close(self):
        for notebook in self.notebooks:
            notebook.close()


def make_bench(cluster, home, runtime, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir(mode=0o700)
    bench = Bench(cluster, home, runtime, tmp_path)
    for name in ("JUPYTER_PATH", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, bench.environ[name])
    try:
        yield bench
    finally:
        bench.close()


@pytest.fixture
def bench(cluster, home, runtime, tmp_path, monkeypatch):
    """Kernels and notebooks on the usual cluster."""
    yield from make_bench(cluster, home, runtime, tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def slow_kernels(_one_cluster, runtime, tmp_path_factory):
    """Kernels whose ends take a minute or two by Slurm's own clock: begun early, looked at late."""
    with pytest.MonkeyPatch.context() as patch:
        made = {}
        try:
            for name, slurm, site in (
                ("limit", {"partition": "apart", "time": "1"}, {}),
                ("idle", {"partition": "apart"}, {"limits": {"idle": 1}}),
            ):
                folder = tmp_path_factory.mktemp(f"slow-{name}")
                (folder / "run").mkdir(mode=0o700)
                (folder / "home").mkdir()
                bench = Bench(_one_cluster, folder / "home", runtime, folder)
                for variable in ("JUPYTER_PATH", "JUPYTER_RUNTIME_DIR"):
                    patch.setenv(variable, bench.environ[variable])
                bench.site(**site)
                bench.kernel(slurm=slurm)
                made[name] = bench, bench.start()
                made[name][1].cell = made[name][1].send(
                    "print('up')" if name == "idle" else "import time; print('up'); time.sleep(600)"
                )
            yield {name: notebook for name, (_, notebook) in made.items()}
        finally:
            for bench, _ in made.values():
                bench.close()


@pytest.fixture
def isolated_bench(isolated_cluster, home, runtime, tmp_path, monkeypatch):
    """Kernels and notebooks on the cluster whose nodes have addresses of their own."""
    yield from make_bench(isolated_cluster, home, runtime, tmp_path, monkeypatch)
