mkenv envs/work
kernelwright create prefix ipykernel-removed envs/work --no-test
rm -r envs/work/lib/python3.*/site-packages/ipykernel*
