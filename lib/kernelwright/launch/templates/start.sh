# shellcheck shell=bash
# What all launch scripts do before the kernel's start; sourced by launch.sh beside it, on the kernel's
# node, as its user, in bash 4.2 or later. Builtins alone: every program started here would cost each
# kernel start a millisecond or more. launch.sh sets kw_name, kw_generation, kw_runtime and kw_entry;
# watch.sh, which it sources next, has the start itself and all that comes after.
# shellcheck disable=SC2034,SC2154 # variables of the other files

kw_wrap=()      # stands before the command, for the kernel and for --shell (a container's `exec`)
kw_step=begin   # what is being done: the message when something ends this shell

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

# --- hooks ---------------------------------------------------------------------------------------

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
