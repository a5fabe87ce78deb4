"""A shared file system that answers nothing for longer than the lease: kernels that run go on."""

import contextlib
import subprocess
import time

import pytest

from slurm.conftest import make_bench
from slurm.notebook import is_idle

LEASE = 8


def run(*argv):
    subprocess.run(argv, check=True, timeout=60, stdout=subprocess.DEVNULL)


@pytest.fixture
def frozen(home, tmp_path):
    """The home on a file system of its own, and a context in which every write to it hangs."""
    image = tmp_path / "home.img"
    with open(image, "wb") as file:
        file.truncate(32 << 20)
    run("mkfs.ext4", "-q", str(image))
    mounted = subprocess.run(["mount", "-o", "loop", image, home], check=False, timeout=60)
    if mounted.returncode:
        pytest.skip("no loop device can be mounted here")

    @contextlib.contextmanager
    def freeze():
        run("fsfreeze", "-f", str(home))
        try:
            yield
        finally:
            run("fsfreeze", "-u", str(home))

    try:
        yield freeze
    finally:
        run("umount", "-l", str(home))


@pytest.fixture
def bench(frozen, cluster, home, runtime, tmp_path, monkeypatch):
    yield from make_bench(cluster, home, runtime, tmp_path, monkeypatch)


def test_a_running_kernel_outlives_a_home_that_hangs(bench, frozen):
    bench.site(lease=LEASE)
    bench.kernel()
    notebook = bench.start()
    job = notebook.ready()
    cell = notebook.send(
        f"import time\nfor i in range({4 * LEASE}):\n    time.sleep(1); print(i, flush=True)"
    )
    with frozen():
        # longer than the lease and than the 30 s between a broker's signs of life
        notebook.wait(lambda m: is_idle(m, cell), 8 * LEASE)
        begun = time.monotonic()
        assert notebook.text_of("print('here')") == "here\n"
        assert time.monotonic() - begun < 5
    assert notebook.ready() == job
    notebook.shutdown()
    bench.cluster.wait_no_jobs()
