"""The agent: the first process of a kernel's job.

    python -I -m kernelwright.slurm.agent SECRETS_FILE

It reads its keys and removes their file, starts the real kernel at once, and only then loads what it
needs to dial back to the broker (`jobside`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from . import record
from .jobstate import JobState
from .nodefolder import make_folder, say
from .spawn import Spawner


def main(argv: list[str]) -> int:
    """Run as a process; see the module's docstring."""
    if len(argv) != 1:
        print("usage: python -m kernelwright.slurm.agent SECRETS_FILE", file=sys.stderr)
        return 2
    secrets = record.read_once(Path(argv[0]))
    if not secrets:
        say("the notebook that asked for this job is gone; the job ends")
        return 0
    try:
        folder = make_folder()
    except OSError as error:
        say(f"the node has no room for the kernel's sockets: {error}")
        return 1
    state = JobState(folder, os.environ)
    launch = Path(secrets["generation"]) / "launch.sh"
    spawner = Spawner(launch, folder, state.kernel_environment(os.environ))
    first = spawner.spawn(secrets["key"], secrets["signature_scheme"])

    from .child import Child
    from .jobside import Agent

    return Agent(secrets, folder, state, Child(spawner, first)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
