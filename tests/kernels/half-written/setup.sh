mkenv envs/mine
kernelwright create prefix half-written envs/mine --no-test
truncate -s 60 .local/share/jupyter/kernels/half-written/kernel.json
