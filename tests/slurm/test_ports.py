"""A port of the broker that another program has: the start ends at once, without a job."""

import socket
import time

import pytest
from jupyter_client import KernelManager


@pytest.mark.parametrize("channel", ["shell", "iopub", "stdin", "control", "hb"])
def test_a_start_whose_port_is_taken_ends(bench, channel, capfd):
    bench.kernel()
    manager = KernelManager(kernel_name="demo", cache_ports=False)
    manager.write_connection_file()
    port = getattr(manager, f"{channel}_port")
    with socket.create_server(("127.0.0.1", port)):
        manager.start_kernel(env=dict(bench.environ))
        try:
            begun = time.monotonic()
            while manager.is_alive():
                assert time.monotonic() - begun < 30
                time.sleep(0.05)
        finally:
            manager.shutdown_kernel(now=True)
    said = capfd.readouterr().err
    assert f"the kernel's {channel} port {port} cannot be used: Address already in use" in said
    assert "Traceback" not in said
    bench.cluster.wait_no_jobs()
