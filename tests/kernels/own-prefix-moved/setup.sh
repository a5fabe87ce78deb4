mkenv envs/work
kernelwright create prefix own-prefix-moved envs/work --no-test
mv envs/work envs/renamed
