kernelwright create venv scratch-purged --python /usr/bin/python3 --no-test
rm -r .local/share/kernelwright/kernels/*/1/env
