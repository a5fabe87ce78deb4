mkenv envs/work
