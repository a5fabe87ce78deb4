mkenv --bare envs/mine
