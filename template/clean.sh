# Sourced (not executed) by `clean_up` of Open OnDemand's job script, in bash, on the compute node, as the user: nothing of the
# session goes on running, and its folder for secrets goes. It does not run when the job is killed; Slurm ends all then.
# shellcheck shell=bash

if [ -n "${KERNELWRIGHT_SESSION:-}" ] && [ -d "$KERNELWRIGHT_SESSION" ]; then
    "$KERNELWRIGHT_RUNTIME/bin/kernelwright" session clean --dir "$KERNELWRIGHT_SESSION" || rm -rf "$KERNELWRIGHT_SESSION"
fi
