mkenv envs/work
kernelwright create prefix half-written envs/work --no-test
truncate -s 60 .local/share/jupyter/kernels/half-written/kernel.json
