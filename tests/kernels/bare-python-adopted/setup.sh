mkenv envs/mine
