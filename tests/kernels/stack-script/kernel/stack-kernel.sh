#!/bin/bash
set -e
source /path/to/stack/loadStack.bash
setup stack_distrib
exec python -m ipykernel $@
