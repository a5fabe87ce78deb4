#!/bin/bash
# Stand-in for sacct where there is no accounting database: what jupyter-slurm-provisioner asks, answered from squeue.
fields=jobid states=RUNNING name=
while [ $# -gt 0 ]; do
    case $1 in
        -o) fields=$2; shift ;;
        -s) states=$2; shift ;;
        --name) name=$2; shift ;;
        --delimiter) shift ;;
    esac
    shift
done
case $fields in
    jobid) format=%i ;;
    nodelist) format=%N ;;
    *) format='%i;%j' ;;
esac
squeue -h -t "$states" ${name:+--name="$name"} -o "$format"
[ "$fields" != nodelist ] || exit 0
for job in $(squeue -h -t "$states" ${name:+--name="$name"} -o %i); do
    squeue -h -s -o "$format" | grep "^$job\\."
done
exit 0
