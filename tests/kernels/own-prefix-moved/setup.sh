mkenv envs/mine
kernelwright create prefix own-prefix-moved envs/mine --no-test
mv envs/mine envs/renamed
