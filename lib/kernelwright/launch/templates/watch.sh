# shellcheck shell=bash
# The start of the kernel, the eye on it while it runs, and what is said at its end; sourced by launch.sh
# after start.sh. Builtins alone, as there.
# shellcheck disable=SC2154 # variables of start.sh and launch.sh

kw_up=   # set once the kernel answers
kw_told= # the signal that was passed on, when it is one that ends kernels
kw_child=

kw_start() { # COMMAND...
  kw_step='the start of the kernel'
  kw_tidy PATH LD_LIBRARY_PATH
  if [[ $kw_mode == shell ]]; then
    kw_open_shell
  fi
  kw_limit=${KERNELWRIGHT_START_LIMIT-} # seconds until a kernel must answer
  kw_limit=${kw_limit%%[!0-9]*}
  : "${kw_limit:=40}" # front ends give up after 60 s: the diagnosis must be there before
  printf 'modules=%s\n' "${LOADEDMODULES-}" >>"$kw_state/$kw_key.start"
  trap 'kw_pass INT' INT
  trap 'kw_pass TERM' TERM
  trap 'kw_pass HUP' HUP
  trap 'kw_pass USR1' USR1
  trap 'kw_pass USR2' USR2
  # Job control puts the kernel into a process group of its own: it leads it, as without this shell,
  # SIGINT is not ignored as it is in an ordinary background job, and each signal arrives once.
  set -m
  coproc kw_watch
  kw_from=${COPROC[0]} kw_to=${COPROC[1]}
  exec {kw_ready}>"/dev/fd/$kw_from"
  KERNELWRIGHT_READY=$kw_ready JPY_PARENT_PID=$$ "${kw_wrap[@]}" "$@" 3>&- 4>&- </dev/null &
  kw_child=$!
  set +m
  exec {kw_ready}>&-
  echo "$kw_child" >&"$kw_to"
  [[ -z $kw_told ]] || kw_pass "$kw_told" # it came before there was a kernel
  kw_await
}

kw_pass() {
  [[ $1 != TERM && $1 != HUP ]] || kw_told=$1
  kw_passed=$1
  [[ -z $kw_child ]] || kill -s "$1" -- "-$kw_child" 2>/dev/null
}

kw_kill() { kill -KILL -- "-$1"; } # CHILD: the kernel's whole process group; containers do more

kw_watch() { # ends the kernel when this shell is killed, and both when the Jupyter server is gone
  local child word parent=$PPID shell=$$ asked=0 ask_at=
  trap '' INT TERM HUP USR1 USR2
  exec 3>&2 2>/dev/null 4>&-
  read -r child || return
  exec >&-
  while :; do
    kw_trim_log
    read -r -t 2 word
    case $? in
      0) [[ $word != end ]] || return
        ask_at=$word ;;
      1) kw_kill "$child"; return ;;
    esac
    if [[ -n $ask_at ]] && ((SECONDS >= ask_at)); then
      kw_ask "$child" &
      ask_at=
    fi
    [[ -z $kw_outer_parent ]] || kw_is_child_of "$parent" && continue
    if ((asked++ < 3)); then kill -TERM "$shell"; else kw_kill "$child"; kill -KILL "$shell"; fi
  done
}

kw_ask() { # CHILD: one that has its port open and never answered anyone is ended, for kw_end to explain
  "$kw_runtime/venv/bin/python" -I -m kernelwright.launch.silence "$kw_connection_file" "$1" \
    "$((kw_limit < 5 ? kw_limit : 5))" "$((4 * kw_limit))" 2>&3
  [[ $? == 3 ]] || return
  : >"$kw_state/$kw_key.silent"
  kw_kill "$1"
}

kw_trim_log() { # a program that writes on and on must not fill the home; file descriptor 3 shares the log's position
  local _ position
  read -r _ position </proc/self/fdinfo/3
  [[ -z $kw_log ]] || ((position < 1048576)) || echo '(what was written before is dropped)' >"$kw_log"
}

kw_is_child_of() { # whether this shell's parent is still the process that started it
  local line
  IFS= read -r line </proc/$$/stat || return
  line=${line##*) }
  line=${line#* }
  [[ ${line%% *} == "$1" ]]
}

kw_await() { # the kernel's end; until it answers, also an eye on the time
  local word status
  if [[ -n $kw_entry ]]; then
    read -r -t "$kw_limit" word <&"$kw_from"
    status=$?
    [[ $word != up ]] || kw_up=1
    while ((status > 128 && SECONDS < 5 * kw_limit)) && [[ -z $kw_up ]] && kw_is_busy; do
      read -r -t "$((kw_limit < 10 ? kw_limit : 10))" word <&"$kw_from"
      status=$?
      [[ $word != up ]] || kw_up=1
    done
    ((status <= 128)) || [[ -n $kw_up ]] || kw_hung
  fi
  [[ -n $kw_up ]] || kw_await_port # also where a container runtime closes what the kernel should write to
  kw_forget_problems
  kw_wait
  kw_end "$kw_status"
}

kw_forget_problems() { # of earlier starts: this one has answered
  local file
  for file in "$kw_state"/*.problem; do
    [[ -z $kw_up || ! -e $file ]] || rm -f -- "$file"
  done
}

kw_wait() {
  while :; do
    kw_passed=''
    wait "$kw_child"
    kw_status=$?
    [[ -n $kw_passed ]] || return
  done
}

kw_is_busy() { # whether the kernel's process used the processor since the last question
  local line
  local -a field
  IFS= read -r line <"/proc/$kw_child/stat" || return
  read -r -a field <<<"${line##*) }"
  [[ ${kw_ticks-} != "${field[11]} ${field[12]}" ]] || return
  kw_ticks="${field[11]} ${field[12]}"
}

kw_await_port() { # a kernel that cannot tell us is up when its shell port takes connections; kw_ask looks again
  local hold polls=0 transport='' ip='' port=''
  exec {hold}>"/dev/fd/$kw_from" # else `read` would not wait once the kernel has closed its end
  while [[ -z $kw_up ]] && kill -0 "$kw_child" 2>/dev/null; do
    if [[ -n $kw_entry ]] && ((polls++ < 5)); then # it closed its end unheard: it may be ending, its ports still open
      read -r -t 0.05 <&"$kw_from"
      continue
    elif [[ -z $port ]]; then
      kw_read_address # ipykernel writes its file anew: there may be nothing in it at this moment
      [[ -z $port ]] || continue
    elif [[ $transport == ipc ]]; then
      [[ ! -S $ip-$port ]] || kw_up=1
    elif (exec 5<>"/dev/tcp/$ip/$port") 2>/dev/null; then
      kw_up=1
    fi
    ((SECONDS < 5 * kw_limit)) || kw_hung
    [[ -n $kw_up ]] || read -r -t 0.2 <&"$kw_from"
  done
  exec {hold}>&-
  [[ -n $kw_up ]] || return
  polls=$((SECONDS + kw_limit / 4))
  echo "$((polls > kw_limit ? polls : kw_limit))" >&"$kw_to"
}

kw_read_address() { # sets transport, ip and port
  local text=''
  local string='"[[:space:]]*:[[:space:]]*"([^"]*)"' number='"[[:space:]]*:[[:space:]]*([0-9]+)'
  transport=tcp ip=127.0.0.1 port=''
  IFS= read -r -d '' text <"$kw_connection_file"
  [[ ! $text =~ '"transport'$string ]] || transport=${BASH_REMATCH[1]}
  [[ ! $text =~ '"ip'$string ]] || ip=${BASH_REMATCH[1]}
  [[ ! $text =~ '"shell_port'$number ]] || port=${BASH_REMATCH[1]}
}

kw_hung() {
  kw_kill "$kw_child"
  kw_wait
  kw_close_watch
  kw_diagnose kernel-silent "$kw_status"
}

# --- end -----------------------------------------------------------------------------------------

kw_close_watch() { echo end >&"$kw_to"; }

kw_end() { # STATUS
  local now
  kw_close_watch
  if [[ -e $kw_state/$kw_key.silent ]]; then
    rm -f -- "$kw_state/$kw_key.silent"
    kw_diagnose kernel-silent "$1"
  fi
  printf -v now '%(%s)T' -1
  if [[ -n $kw_told && ${SLURM_JOB_END_TIME:-$((now + 999))} -gt $((now + 120)) ]] || [[ $1 == 0 && -n $kw_up ]]; then
    trap - EXIT
    rm -f -- "$kw_state/$kw_key".{start,log,died}
    exit "$1"
  fi
  [[ -n $kw_up || -n $kw_told ]] || kw_diagnose exited "$1"
  kw_diagnose ended "$1"
}

kw_exited() { # something called `exit` before the kernel was started
  local status=$?
  trap - EXIT
  kw_diagnose launch-ended "$status"
}

kw_fail() { # CODE
  if [[ $kw_mode == shell ]]; then
    echo "kernelwright: $1: $kw_step" >&2
    exit 1
  fi
  kw_diagnose "$1" 1
}

kw_diagnose() { # WHAT STATUS: the runtime's Python explains; before the first reply it stays, as a kernel
  local line now
  trap - EXIT INT TERM HUP USR1 USR2
  printf -v now '%(%s)T' -1
  kw_count_kills
  printf '%s\n' "what=$1" "status=$2" "step=$kw_step" "ended=$now" "told=$kw_told" "kills_now=$kw_kills" \
    "home_full=${KERNELWRIGHT_HOME_FULL-}" "runtime=$kw_runtime" >>"$kw_state/$kw_key.start"
  cd -- "$kw_folder" 2>/dev/null || cd /
  unset LD_LIBRARY_PATH
  [[ -z $kw_outer_libraries ]] || export LD_LIBRARY_PATH="$kw_outer_libraries"
  export JPY_PARENT_PID=$kw_outer_parent
  set -- "$1" "$2" "$kw_runtime/venv/bin/python" -I -m kernelwright.launch.explain "$kw_generation" "$kw_state/$kw_key"
  if [[ $1 == ended ]]; then
    [[ ! -x $3 ]] || "${@:3}" 3>&- 4>&-
    exit "$2"
  fi
  if [[ -z ${KERNELWRIGHT_NO_DIAGNOSIS-} && -x $3 ]]; then
    shopt -s execfail
    exec "${@:3}" --kernel "$kw_connection_file" 3>&- 4>&-
  fi
  [[ ! -s $kw_log ]] || while IFS= read -r line; do printf '%s\n' "$line"; done <"$kw_log" >&4
  echo "kernelwright: the kernel $kw_name did not start ($1, exit status $2)" >&4
  exit "$(($2 == 0 ? 1 : $2))"
}

kw_open_shell() {
  if [[ ${#kw_command[@]} == 0 ]]; then
    export PS1="($kw_name) \w \$ "
    kw_command=(bash --norc --noprofile)
  fi
  exec "${kw_wrap[@]}" "${kw_command[@]}"
}
