# shellcheck shell=bash
# What all launch scripts have in common; sourced by launch.sh beside it, on the kernel's node, as
# its user, in bash 4.2 or later. Builtins alone: every program started here would cost each kernel
# start a millisecond or more. launch.sh sets kw_name, kw_generation, kw_runtime and kw_entry.
# shellcheck disable=SC2154 # these four

kw_wrap=()      # stands before the command, for the kernel and for --shell (a container's `exec`)
kw_step=begin   # what is being done: the message when something ends this shell
kw_up=          # set once the kernel answers
kw_told=        # the signal that was passed on, when it is one that ends kernels
kw_child=

# --- begin: arguments, record, isolation ---------------------------------------------------------

kw_begin() { # [--local] CONNECTION_FILE | --shell [-- COMMAND...]
  kw_mode=kernel
  kw_folder=$PWD
  kw_outer_libraries=${LD_LIBRARY_PATH-}
  kw_outer_parent=${JPY_PARENT_PID-}
  if [[ ${1-} == --shell ]]; then
    kw_mode=shell
    shift
    [[ ${1-} != -- ]] || shift
    kw_command=("$@")
    return
  fi
  [[ ${1-} != --local ]] || shift
  if [[ $# != 1 ]]; then
    echo "usage: launch.sh [--local] CONNECTION_FILE, or launch.sh --shell [-- COMMAND...]" >&2
    exit 2
  elif [[ ! -r $1 ]]; then
    echo "kernelwright: connection file $1 cannot be read" >&2
    exit 66
  fi
  kw_heed_interrupts "$1"
  kw_connection_file=$1
  [[ $1 == /* ]] || kw_connection_file=$PWD/$1
  kw_key=${1##*/}
  kw_key=${kw_key%.json}
  kw_open_state
  trap kw_exited EXIT
  kw_look_back
}

kw_heed_interrupts() { # a shell that was started with SIGINT ignored (behind `nohup` or `&`) can never trap it
  local python=$kw_runtime/venv/bin/python
  local -a line
  [[ -z ${KERNELWRIGHT_HEEDED-} && -r /proc/self/status ]] || return 0
  mapfile -t line </proc/self/status # a tenth of the time of a loop with `read`
  [[ ${line[*]} =~ SigIgn:[[:space:]]*[0-9a-f]*[2367abef]\  && -x $python ]] || return 0
  export KERNELWRIGHT_HEEDED=1
  exec "$python" -I -c 'import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])' \
    "$kw_generation/launch.sh" --local "$1"
}

kw_open_state() { # records lie with the kernel, else in the home, else in /tmp
  local folder
  for folder in "${KERNELWRIGHT_STARTS-}" "$kw_generation/starts" home "${TMPDIR:-/tmp}/kernelwright-$UID"; do
    [[ -n $folder ]] || continue
    [[ $folder != home ]] || kw_home_folder
    [[ $folder != "$kw_generation/starts" || -O $kw_generation ]] || continue
    [[ -d $folder ]] || (umask 077 && mkdir -p -- "$folder") 2>/dev/null || continue
    [[ -O $folder && ! -L $folder ]] || continue
    kw_state=$folder
    if { kw_record >"$kw_state/$kw_key.start"; } 2>/dev/null; then break; fi
    export KERNELWRIGHT_HOME_FULL=1 # entry.py then keeps IPython's files elsewhere
  done
  kw_log=$kw_state/$kw_key.log
  exec 3>&1 4>&2 </dev/null
  if [[ -n ${KERNELWRIGHT_NO_DIAGNOSIS-} ]]; then
    kw_log='' # the start test reads what the kernel says by itself
  elif { : >"$kw_log"; } 2>/dev/null; then
    exec >>"$kw_log" 2>&1
  else
    exec >/dev/null 2>&1
  fi
}

kw_home_folder() { # sets `folder`, below the home of passwd, whatever the session made of HOME
  local home=${KERNELWRIGHT_HOME-} outer=${HOME-}
  if [[ -z $home ]]; then
    unset HOME
    home=~
    [[ -z $outer ]] || export HOME="$outer"
  fi
  folder=$home/.local/share/kernelwright/starts${kw_generation//\//-}
}

kw_record() {
  local now
  printf -v now '%(%s)T' -1
  kw_count_kills
  printf '%s\n' "pid=$$" "host=$HOSTNAME" "started=$now" "job=${SLURM_JOB_ID-}" \
    "job_end=${SLURM_JOB_END_TIME-}" "cgroup=$kw_cgroup" "oom_kill=$kw_kills" "connection_file=$kw_connection_file"
}

kw_count_kills() { # of processes that the kernel's out-of-memory killer took from our cgroup
  local one file
  local -a line
  kw_cgroup='' kw_kills=''
  [[ -r /proc/self/cgroup ]] || return 0
  mapfile -t line </proc/self/cgroup
  for one in "${line[@]}"; do
    case $one in
      0::*) kw_cgroup=/sys/fs/cgroup${one#0::} file=memory.events ;;
      *:memory:*) kw_cgroup=/sys/fs/cgroup/memory${one#*:memory:} file=memory.oom_control ;;
      *) continue ;;
    esac
    [[ -r $kw_cgroup/$file ]] || continue
    mapfile -t line <"$kw_cgroup/$file"
    [[ ! " ${line[*]}" =~ \ oom_kill\ ([0-9]+) ]] || kw_kills=${BASH_REMATCH[1]}
    return 0
  done
}

kw_look_back() { # an earlier start that ended badly is explained at this one
  local file
  if [[ -e $kw_state/$kw_key.died && -z $kw_entry ]]; then
    kw_diagnose died 0 # this kernel cannot say it itself: ours says it once, until the next restart
  fi
  for file in "$kw_state"/*.died; do
    [[ ! -e $file ]] || export KERNELWRIGHT_DIED=$kw_state
  done
  for file in "$kw_state"/*.start; do
    if [[ $file != "$kw_state/$kw_key.start" ]] && kw_is_left_over "$file"; then
      export KERNELWRIGHT_DIED=$kw_state # the answer comes while the kernel starts
      "$kw_runtime/venv/bin/python" -I -m kernelwright.launch.leftovers "$kw_generation" "$kw_state" \
        "$kw_key" "${SLURM_JOB_ID-}" 3>&- 4>&- &
      return
    fi
  done
}

kw_is_left_over() { # RECORD of another start: of a job that is not this one, or of a process that is gone
  local name value pid='' host='' job='' alive=''
  [[ -e $1 && -x $kw_runtime/venv/bin/python ]] || return
  while IFS='=' read -r name value; do
    case $name in
      pid) pid=$value ;;
      host) host=$value ;;
      job) job=$value ;;
      alive_for) alive=$value ;;
    esac
  done <"$1"
  if [[ -n $job && $job != "${SLURM_JOB_ID-}" ]]; then
    [[ $alive != "${SLURM_JOB_ID-none}" ]]
  else
    [[ $host == "$HOSTNAME" && ! -e /proc/$pid ]]
  fi
}

kw_isolate() { # user_site=LEAVE pythonpath=LEAVE ld_library_path=LEAVE, LEAVE being 1 or empty
  local "$@"
  local folder
  for folder in "${VIRTUAL_ENV-}" "${CONDA_PREFIX-}" "$kw_runtime/venv"; do
    [[ -z $folder ]] || kw_drop_path "$folder/bin"
  done
  unset VIRTUAL_ENV VIRTUAL_ENV_PROMPT PYTHONHOME PYTHONEXECUTABLE _CE_M _CE_CONDA \
    CONDA_SHLVL CONDA_DEFAULT_ENV CONDA_PROMPT_MODIFIER CONDA_PYTHON_EXE "${!CONDA_PREFIX@}"
  if [[ -n $user_site ]]; then unset PYTHONNOUSERSITE; else export PYTHONNOUSERSITE=1; fi
  [[ -n $pythonpath ]] || unset PYTHONPATH
  [[ -n $ld_library_path ]] || unset LD_LIBRARY_PATH
}

kw_drop_path() {
  local rest=":$PATH:"
  while [[ $rest == *":$1:"* ]]; do rest=${rest/":$1:"/:}; done
  rest=${rest#:}
  PATH=${rest%:}
}

kw_tidy() { # NAME...: no empty element (that is the current folder), none twice, order kept
  local name rest element out
  for name; do
    rest=${!name-} out=
    while [[ -n $rest ]]; do
      element=${rest%%:*}
      if [[ $rest == *:* ]]; then rest=${rest#*:}; else rest=; fi
      [[ -z $element || :$out: == *":$element:"* ]] || out+=${out:+:}$element
    done
    if [[ -n $out ]]; then export "$name=$out"; else unset "$name"; fi
  done
}

# --- hooks and the start -------------------------------------------------------------------------

kw_hook() { # FILE: sourced as activation would; one that is gone is left out
  kw_step="the activation hook $1"
  [[ -r $1 ]] || return 0
  local file=$1
  set --
  # shellcheck disable=SC1090 # a file of the environment
  . "$file"
  kw_settle
}

kw_settle() { # after other people's code: options, IFS, traps and folder as they were
  set +euxvfC +o posix
  IFS=$' \t\n'
  cd -- "$kw_folder" 2>/dev/null || true
  [[ $kw_mode != kernel ]] || trap kw_exited EXIT
}

kw_start() { # COMMAND...
  kw_step='the start of the kernel'
  kw_tidy PATH LD_LIBRARY_PATH
  if [[ $kw_mode == shell ]]; then
    kw_open_shell
  fi
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
  local child word parent=$PPID shell=$$ asked=0
  trap '' INT TERM HUP USR1 USR2
  exec 3>&2 2>/dev/null 4>&-
  read -r child || return
  exec >&-
  while :; do
    kw_trim_log
    read -r -t 2 word
    case $? in
      0) return ;;
      1) kw_kill "$child"; return ;;
    esac
    [[ -z $kw_outer_parent ]] || kw_is_child_of "$parent" && continue
    if ((asked++ < 3)); then kill -TERM "$shell"; else kw_kill "$child"; kill -KILL "$shell"; fi
  done
}

kw_trim_log() { # a program that writes on and on must not fill the home; file descriptor 3 shares the log's position
  local name position
  read -r name position </proc/self/fdinfo/3
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
  local limit=${KERNELWRIGHT_START_LIMIT-}
  limit=${limit%%[!0-9]*}
  : "${limit:=40}" # front ends give up after 60 s: the diagnosis must be there before
  if [[ -n $kw_entry ]]; then
    read -r -t "$limit" word <&"$kw_from"
    status=$?
    [[ $word != up ]] || kw_up=1
    while ((status > 128 && SECONDS < 5 * limit)) && [[ -z $kw_up ]] && kw_is_busy; do
      read -r -t "$((limit < 10 ? limit : 10))" word <&"$kw_from"
      status=$?
      [[ $word != up ]] || kw_up=1
    done
    ((status <= 128)) || [[ -n $kw_up ]] || kw_hung
    [[ -n $kw_up ]] || kw_await_port "$limit" # some container runtimes close what the kernel should write to
  else
    kw_await_port "$limit"
  fi
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

kw_await_port() { # a kernel that cannot tell us is up when its shell port takes connections
  local limit=$((5 * $1)) text pattern='"shell_port"[[:space:]]*:[[:space:]]*([0-9]+)' port ip=127.0.0.1
  IFS= read -r -d '' text <"$kw_connection_file"
  [[ $text =~ $pattern ]] || return
  port=${BASH_REMATCH[1]}
  pattern='"ip"[[:space:]]*:[[:space:]]*"([^"]+)"'
  [[ ! $text =~ $pattern ]] || ip=${BASH_REMATCH[1]}
  while [[ -z $kw_up ]]; do
    kill -0 "$kw_child" 2>/dev/null || return
    if [[ $text == *'"ipc"'* ]]; then
      [[ ! -S $ip-$port ]] || kw_up=1
    elif (exec 5<>"/dev/tcp/$ip/$port") 2>/dev/null; then
      kw_up=1
    fi
    ((SECONDS < limit)) || kw_hung
    [[ -n $kw_up ]] || read -r -t 0.3 <&"$kw_from"
  done
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
