mkenv envs/mine
mv envs/mine envs/renamed
