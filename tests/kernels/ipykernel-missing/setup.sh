mkenv --bare envs/work
