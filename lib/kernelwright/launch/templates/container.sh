# shellcheck shell=bash
# Kernels in a container image, with Apptainer or Singularity; sourced by launch.sh after start.sh.
# shellcheck disable=SC2034,SC2154 # variables of start.sh and launch.sh

kw_options=()           # of the runtime's `exec`
declare -A kw_bound=()  # what has been bound, by its place in the container

kw_find_runtime() { # RECORDED PATH or '' | MODULE or '' | SITE'S MODULE INIT or '' | PROGRAM...
  local path=$1 module=$2 init=$3 name
  shift 3
  kw_step='the search for the container runtime'
  if [[ -n $path && -x $path && ! -d $path ]]; then
    kw_program=$path
  else
    if [[ -n $module && -r $kw_generation/modules.sh ]]; then
      # shellcheck source=/dev/null # beside it
      . "$kw_generation/modules.sh"
      kw_modules_init "$init"
      kw_module load "$module"
    fi
    for name; do
      kw_program=$(type -P "$name") && break
    done
    [[ -n $kw_program ]] || kw_fail runtime-missing
  fi
  unset APPTAINER_NO_EVAL SINGULARITY_NO_EVAL # values are escaped for the evaluation below
  kw_prefix=APPTAINER
  [[ ${kw_program##*/} != *singularity* ]] || kw_prefix=SINGULARITY
}

kw_gpu() { # auto | none | nvidia | rocm, DEVICES' FOLDER
  local device
  case $1 in
    nvidia) kw_options+=(--nv) ;;
    rocm) kw_options+=(--rocm) ;;
    auto)
      for device in "$2"/nvidia[0-9]*; do
        [[ ! -e $device ]] || kw_options+=(--nv)
        break
      done
      [[ ! -e $2/kfd ]] || kw_options+=(--rocm)
      ;;
  esac
}

# --- folders -------------------------------------------------------------------------------------

kw_bind() { # SOURCE TARGET ro|rw required|optional: ~ and ${NAME} are filled in here, on the node
  local source target missing
  kw_step="the bind of $1"
  if ! kw_expand source "$1" || ! kw_expand target "$2"; then
    missing="a variable in $1:$2 is not set"
  elif [[ ! -e $source ]]; then
    missing="$source is not there"
  elif [[ $target != /* || $target == / ]]; then
    missing="$target is no place in a container"
  else
    kw_mount "$source" "$target" "$3"
    return
  fi
  if [[ $4 == required ]]; then
    echo "kernelwright: bind-missing: $missing" >&2
    kw_fail bind-missing
  fi
  echo "kernelwright: not bound: $missing" >&2
}

kw_expand() { # NAME TEXT: sets NAME; fails where a variable of TEXT is not set
  # shellcheck disable=SC2016 # the recipe's text, not this script's
  local text=$2 out='' name pattern='^([^$]*)\$(\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))(.*)$'
  # shellcheck disable=SC2088 # as above
  [[ $text != '~' && $text != '~/'* ]] || text=$kw_home${text:1}
  while [[ $text =~ $pattern ]]; do
    name=${BASH_REMATCH[3]}${BASH_REMATCH[4]}
    [[ -n ${!name-} ]] || return 1
    out+=${BASH_REMATCH[1]}${!name}
    text=${BASH_REMATCH[5]}
  done
  printf -v "$1" %s "$out$text"
}

kw_mount() { # SOURCE TARGET ro|rw, as they are
  local mode=
  [[ -z ${kw_bound[$2]-} ]] || return 0
  kw_bound[$2]=1
  if [[ $1$2 == *[,:\"\\$'\n']* ]]; then # --bind would split these; --mount reads one line of CSV
    [[ $3 != ro ]] || mode=,ro
    kw_options+=(--mount "type=bind,\"source=${1//\"/\"\"}\",\"destination=${2//\"/\"\"}\"$mode")
  else
    kw_options+=(--bind "$1:$2:$3")
  fi
}

kw_own_folders() { # FOLDER...: read-only ones of the kernel, beside those that every start needs
  local folder
  kw_find_home
  kw_mount "$kw_generation" "$kw_generation" ro
  for folder; do
    kw_step="the bind of $folder"
    [[ -d $folder ]] || kw_fail inject-missing
    kw_mount "$folder" "$folder" ro
  done
  if [[ $kw_mode == kernel ]]; then
    kw_mount "$kw_state" "$kw_state" rw
    folder=${kw_connection_file%/*}
    kw_mount "${folder:-/}" "${folder:-/}" rw
  fi
  case $kw_folder in
    / | /bin* | /boot* | /dev* | /etc* | /lib* | /proc* | /sbin* | /sys* | /usr*) # of the image, not of the node
      kw_options+=(--pwd /)
      kw_folder=/
      cd / # else the runtime would bind it by itself
      ;;
    *)
      kw_mount "$kw_folder" "$kw_folder" rw
      kw_options+=(--pwd "$kw_folder")
      ;;
  esac
}

kw_find_home() { # the runtime takes the home from passwd, whatever the session made of HOME
  local outer=${HOME-}
  unset HOME
  kw_home=~
  [[ -z $outer ]] || export HOME=$outer
  if [[ -n $outer && $outer != "$kw_home" && -d $outer && $outer != *[,:]* ]]; then
    kw_home=$outer
    kw_options+=(--home "$outer")
  elif [[ ! -d $kw_home ]]; then
    kw_options+=(--no-home)
  fi
}

# --- variables -----------------------------------------------------------------------------------

kw_give() { # NAME...: what is set of these is set inside too, exactly as it is
  local name
  for name; do
    [[ -z ${!name+set} ]] || kw_give_as "$name" "${!name}"
  done
}

kw_give_as() { # NAME VALUE: the runtimes evaluate a value as between double quotes, and escape `"` alone
  local value=$2
  value=${value//\\/\\\\}
  value=${value//\$/\\\$}
  value=${value//\`/\\\`}
  export "${kw_prefix}ENV_$1=$value"
}

# --- the start -----------------------------------------------------------------------------------

kw_enter() { # IMAGE UNPACK: from now on every command runs in it; UNPACK is 1 where it could not be mounted
  kw_step="the image $1"
  [[ -e $1 ]] || kw_fail image-missing
  if [[ -f $1 ]] && kw_must_unpack "$2" /dev/fuse; then
    kw_options+=(--unsquash)
  fi
  kw_wrap=("$kw_program" -s exec --cleanenv "${kw_options[@]}" "$1")
  if [[ $kw_mode == kernel ]]; then
    kw_wrap=(kw_contained "${kw_wrap[@]}")
  elif [[ ${#kw_command[@]} == 0 ]]; then
    kw_give_as PS1 "($kw_name) \\w \\$ "
    kw_command=(/bin/sh -c 'command -v bash >/dev/null && exec bash --norc --noprofile; exec /bin/sh')
  fi
}

kw_must_unpack() { # 1 where the build saw it | FUSE's device: whether an image file cannot be mounted on this node
  local base=${kw_program%/bin/*} folder
  [[ ! -w $2 ]] || return 1
  [[ -z $1 ]] || return 0
  for folder in "$base"/{libexec,lib,lib64,lib/*}/{apptainer,singularity}/bin; do
    [[ ! -x $folder/starter ]] || break
  done
  [[ -x $folder/starter && ! -e $folder/starter-suid ]] # set-uid installations mount without FUSE
}

kw_contained() { # in the kernel's own process, before it becomes the runtime
  kw_give KERNELWRIGHT_READY
  exec "$@"
}

# These three stand for those of start.sh: between this shell and the kernel there is the runtime.

kw_pass() { # to the runtime alone, which passes it on; a kernel that gets SIGINT twice loses its traceback
  [[ $1 != TERM && $1 != HUP ]] || kw_told=$1
  kw_passed=$1
  [[ -z $kw_child ]] || kill -s "$1" "$kw_child" 2>/dev/null
}

kw_is_busy() { # whether a process in the container used the processor since the last question
  local pid line ticks=
  local -a field inner
  kw_list_inner "$kw_child"
  for pid in "${inner[@]}"; do
    IFS= read -r line <"/proc/$pid/stat" || continue
    read -r -a field <<<"${line##*) }"
    ticks+=" ${field[11]} ${field[12]}"
  done 2>/dev/null
  [[ -n $ticks && ${kw_ticks-} != "$ticks" ]] || return
  kw_ticks=$ticks
}

kw_kill() { # CHILD: the kernel at once, its ports are wanted; the runtime then unmounts the image and ends
  local pid name round
  local -a inner helpers=()
  kw_list_inner "$1"
  for pid in "${inner[@]}"; do
    name=
    IFS= read -r name 2>/dev/null <"/proc/$pid/comm"
    if [[ $name == *fuse* ]]; then
      helpers+=("$pid")
    else
      kill -KILL "$pid"
    fi
  done 2>/dev/null
  for round in {1..30}; do
    kill -0 "$1" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL -- "-$1" "${helpers[@]}" 2>/dev/null
}

kw_list_inner() { # PID: sets `inner` to the children of all its threads
  local file
  local -a more
  inner=()
  for file in "/proc/$1/task"/*/children; do
    read -r -a more <"$file"
    inner+=("${more[@]}")
  done 2>/dev/null
}
