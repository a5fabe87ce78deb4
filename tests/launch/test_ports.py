"""A port of the kernel that another program has: the start ends soon, and Jupyter's next one has other ports."""

import asyncio
import socket
import time

import pytest
from jupyter_client.ioloop import AsyncIOLoopKernelManager

CHANNELS = ("shell", "iopub", "stdin", "control")


@pytest.fixture
def taken():
    """Listen on a port that a kernel was promised."""
    held = []

    def take(port):
        held.append(socket.create_server(("127.0.0.1", port)))

    yield take
    for each in held:
        each.close()


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_start_whose_port_is_taken_ends(make, taken, channel):
    kernel = make()
    taken(getattr(kernel.manager, f"{channel}_port"))
    kernel.manager.start_kernel(env=kernel.env, cwd=str(kernel.cwd))
    try:
        deadline = time.monotonic() + 60
        while kernel.manager.is_alive():
            assert time.monotonic() < deadline, kernel.said()
            time.sleep(0.1)
    finally:
        kernel.manager.shutdown_kernel(now=True)
    said = kernel.said()
    assert "address-in-use" in said
    assert f"{channel}_port {getattr(kernel.manager, f'{channel}_port')} of this kernel" in said


def test_jupyters_next_start_has_other_ports(make, taken):
    kernel = make()

    async def story():
        manager = AsyncIOLoopKernelManager(cache_ports=False)
        manager._kernel_spec = kernel.manager._kernel_spec
        manager.write_connection_file()
        first = manager.iopub_port
        taken(first)
        await manager.start_kernel(env=kernel.env, cwd=str(kernel.cwd))
        try:
            deadline = time.monotonic() + 60
            while manager.iopub_port == first:
                assert time.monotonic() < deadline, kernel.said()
                await asyncio.sleep(0.1)
            client = manager.client()
            client.start_channels()
            await client.wait_for_ready(timeout=60)
            client.stop_channels()
        finally:
            await manager.shutdown_kernel(now=True)

    asyncio.run(story())
