mkenv envs/work
cp -a envs/work envs/a
mv envs/work envs/b
