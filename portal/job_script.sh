#!/bin/bash
# The job as the dashboard would generate it (template "basic"): the order of the steps is what counts.
# Run by bash on the compute node, as the user, in the staged root; before.sh, after.sh and clean.sh are
# sourced, script.sh is run. Each name between @ signs is filled in by portal/jobscript.py.
# As generated there: it sources files of the app, does not check its cd, and has helpers that they may call.
# shellcheck disable=SC1091,SC2164,SC2317
@HEADER@
cd @ROOT@
export host
export port

create_yml () {
  echo "Generating connection YAML file..."
  (
    umask 077
    {
@PARAMS@
    } > connection.yml
  )
}

clean_up () {
  echo "Cleaning up..."
  [[ -e clean.sh ]] && source "$PWD/clean.sh"
  [[ ${SCRIPT_PID} ]] && pkill -P "${SCRIPT_PID}"
  pkill -P $$
  exit "${1:-0}"
}

random_number () {
  shuf -i "${1}-${2}" -n 1
}

create_passwd () {
  tr -cd 'a-zA-Z0-9' < /dev/urandom 2>/dev/null | head -c "${1:-8}"
}

port_used () {
  local target="${1#*://}"
  (exec 3<> "/dev/tcp/${target%%:*}/${target##*:}") 2>/dev/null
}

find_port () {
  local candidate
  for candidate in $(shuf -i "${2:-2000}-${3:-65535}" -n 100); do
    port_used "${1:-localhost}:${candidate}" || { echo "${candidate}"; return 0; }
  done
  return 1
}

wait_until_port_used () {
  local until=$((SECONDS + ${2:-30}))
  while ((SECONDS < until)); do
    port_used "${1}" && return 0
    sleep 1
  done
  return 1
}
export -f random_number create_passwd port_used find_port wait_until_port_used

@SET_HOST@

[[ -e before.sh ]] && source "$PWD/before.sh"

echo "Script starting..."
@RUN@ &
SCRIPT_PID=$!

[[ -e after.sh ]] && source "$PWD/after.sh"

create_yml
wait "${SCRIPT_PID}" || clean_up 1
clean_up
