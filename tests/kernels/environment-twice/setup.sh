mkenv envs/mine
cp -a envs/mine envs/a
mv envs/mine envs/b
