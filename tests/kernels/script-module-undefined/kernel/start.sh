#!/bin/bash
set -e
module load gcc/12
exec @PYTHON@ -m ipykernel_launcher "$@"
