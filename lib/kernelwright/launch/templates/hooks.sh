# shellcheck shell=bash
# Activation hooks of an environment, one start at a time; sourced by launch.sh after start.sh.
# Hooks write into their environment: that of R's package rewrites R's own settings at each
# activation, and a start that reads them at that moment gets half a file.
# shellcheck disable=SC2034,SC2154 # variables of start.sh

kw_hooks() { # FILE...
  local file
  kw_step='the wait for other starts of this environment'
  kw_close_gate "$1"
  for file; do
    [[ $kw_mode != kernel ]] || trap 'kw_open_gate; kw_exited' EXIT
    kw_hook "$file"
  done
  kw_open_gate
}

kw_close_gate() { # FILE: it is locked while hooks run; where that cannot be, or takes too long, they run all the same
  if [[ -w $1 ]]; then # NFS locks only what is open for writing
    exec {kw_gate}<>"$1"
  elif [[ -r $1 ]]; then
    exec {kw_gate}<"$1"
  fi
  [[ -z ${kw_gate-} ]] || flock -w 20 "$kw_gate" 2>/dev/null
}

kw_open_gate() { # a process that a hook left behind, or the diagnostic kernel, must not keep it closed
  local status=$?
  if [[ -n ${kw_gate-} ]]; then
    flock -u "$kw_gate" 2>/dev/null
    exec {kw_gate}>&-
    unset kw_gate
  fi
  return "$status"
}
