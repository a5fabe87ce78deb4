"""Plays the Jupyter server for slurm_others.py, in the environment of what is measured; jupyter_client alone is needed.

    python server.py KERNEL [NODE...]

The manager is the one that a Jupyter server has, asked every 3 s whether the kernel lives, as its restarter does.
Each line that it prints is an event and its time; a line on stdin makes it go on to the restart. NODE: names of
this machine, which a cluster's name service would know.
"""

import asyncio
import json
import os
import socket
import sys
import time
import traceback
import uuid
from queue import Empty
from textwrap import shorten

from jupyter_client import AsyncMultiKernelManager

LIMIT = 120.0  # seconds for each step
ASK = "import os; print(os.environ['SLURM_JOB_ID'])"


def say(event, **more):
    print(json.dumps({"event": event, "at": time.time(), **more}), flush=True)


def know(nodes):
    real = socket.gethostbyname
    socket.gethostbyname = lambda name: "127.0.0.1" if name in nodes else real(name)


async def polled(manager, kernel):
    while True:
        await asyncio.sleep(3)
        if kernel in manager and not await manager.is_alive(kernel):
            say("dead")


async def cell(manager, kernel):
    """Send one cell; say when the first sign of it came, when it ran, and what it printed."""
    client = manager.get_kernel(kernel).client()
    client.start_channels()
    await client.wait_for_ready(timeout=LIMIT)
    deadline = time.time() + LIMIT
    signs, asked = set(), client.execute(ASK)
    while time.time() < deadline:
        try:
            message = await client.get_iopub_msg(timeout=1)
        except Empty:
            continue
        if message["parent_header"].get("msg_id") != asked:
            continue
        kind = message["msg_type"]
        if kind == "display_data" or kind == "execute_input":
            if not signs:
                say("sign", what=kind)
            if kind == "execute_input":
                say("ran")
            signs.add(kind)
        elif kind == "stream":
            say("job", job=message["content"]["text"].strip())
            break
    else:
        say("silent", seconds=LIMIT)
    client.stop_channels()


async def main(name, nodes):
    know(nodes)
    manager, kernel = AsyncMultiKernelManager(), str(uuid.uuid4())
    say("start")
    asking = asyncio.create_task(polled(manager, kernel))
    try:
        await manager.start_kernel(kernel_name=name, kernel_id=kernel)
        say("started")
        await cell(manager, kernel)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.wait_for(manager.restart_kernel(kernel), LIMIT)
        say("restarted")
        await cell(manager, kernel)
    except BaseException as error:
        traceback.print_exc()
        say("failed", why=f"{type(error).__name__}: {shorten(str(error), 190)}")
    await asyncio.sleep(600)


if os.path.basename(sys.argv[0]) == "server.py":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
