mkenv envs/mine
kernelwright create prefix launch-script-gone envs/mine --no-test
rm .local/share/kernelwright/kernels/*/1/launch.sh .local/share/kernelwright/kernels/*/1/start.sh
