#/bin/bash
export OMP_NUM_THREADS=8
exec "$@"
