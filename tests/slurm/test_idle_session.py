"""`limits.idle` of a session: a Slurm kernel is left to its broker's own clock."""

import time

from session.bare import PATIENCE, Page, serve
from session.ood import wait_for
from slurm.notebook import publish

LIMIT = 6  # seconds, for the kernels of the session's own node


def test_the_sessions_clock_leaves_a_slurm_kernel_alone(bench, tmp_path):
    bench.kernel()
    names = ("SLURM_CONF", "KERNELWRIGHT_HOME", "KERNELWRIGHT_RUNTIME", "KERNELWRIGHT_CATALOG")
    environ = {name: bench.environ[name] for name in names}
    with serve(tmp_path / "server", LIMIT, environ=environ) as server:
        publish(server.folder / "jupyter", bench.generation)
        in_job, here = (Page(server, server.start(name)) for name in ("demo", "python3"))
        in_job.run("1")
        begun = time.monotonic()
        here.run("1")
        wait_for(lambda: here.kernel not in server.kernels(), PATIENCE, lambda: server.log)
        time.sleep(max(0, 2 * LIMIT - (time.monotonic() - begun)))
        assert in_job.kernel in server.kernels()
        assert in_job.lines == []
        ((_, state),) = bench.cluster.jobs()
        assert state == "RUNNING"
        for page in (in_job, here):
            page.close()
