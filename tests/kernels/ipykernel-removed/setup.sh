mkenv envs/mine
kernelwright create prefix ipykernel-removed envs/mine --no-test
rm -r envs/mine/lib/python3.*/site-packages/ipykernel*
