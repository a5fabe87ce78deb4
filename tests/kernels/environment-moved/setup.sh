mkenv envs/work
mv envs/work envs/renamed
