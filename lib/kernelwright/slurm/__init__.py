"""Kernels in a Slurm allocation of their own: broker, agent, reaper and the link between them.

    Jupyter <- five local sockets -> broker <- one Curve link -> agent (in the job) <- ipc -> kernel

`settings` and `script` say what is submitted, `scheduler` is the only module that knows Slurm's
clients, `reasons` puts Slurm's words into plain ones. `broker` is what Jupyter starts; `agent` is
the first process of the job; `reaper` cancels the job when the broker dies. See
docs/concepts/slurm-kernels.md.
"""
