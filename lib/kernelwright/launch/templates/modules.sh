# shellcheck shell=bash
# Environment modules, for kernels whose recipe names some; sourced by launch.sh after start.sh.
# Lmod and Environment Modules, in a shell that is not interactive: there `module` is not defined
# unless somebody does it, and sourcing Lmod's init/bash alone leaves MODULEPATH empty.
# shellcheck disable=SC2034,SC2154 # kw_step is read by start.sh, kw_generation set by launch.sh

kw_modules_init() { # SITE'S INIT FILE or '' [purge]
  local outer=${MODULEPATH-} file purge=${2-}
  kw_step='the start of the module system'
  if [[ -n ${LOADEDMODULES-} ]]; then
    # The session's modules are not the kernel's: begin with an empty list. PATH stays as it is, so
    # that what the site loads for everybody (srun, for one) is still found.
    if [[ -n $purge ]]; then kw_source_modules "$1" && module purge; fi
    unset LOADEDMODULES _LMFILES_ MODULEPATH MODULEPATH_ROOT __MODULES_LMINIT LMOD_SYSTEM_DEFAULT_MODULES \
      "${!_ModuleTable@}" "${!__LMOD_REF_COUNT_@}" "${!__MODULES_LM@}" "${!__MODULES_SHARE_@}" "${!_LMFILES_@}"
    unset -f module
  fi
  kw_source_modules "$1"
  [[ -n ${MODULEPATH-} ]] || export MODULEPATH=$outer
  kw_settle
  if ! declare -F module >/dev/null; then
    kw_fail modules-unavailable
  fi
}

kw_source_modules() {
  local file
  declare -F module >/dev/null && [[ -n ${MODULEPATH-} ]] && return
  for file in "$1" "${MODULEPATH:+${LMOD_PKG:-${MODULESHOME-}}/init/bash}" \
    /etc/profile.d/{lmod,z00_lmod,00-lmod,modules,z00-modules}.sh \
    "${LMOD_PKG:-${MODULESHOME-}}/init/bash" /usr/share/lmod/lmod/init/bash /usr/share/{m,M}odules/init/bash; do
    [[ -r $file && -f $file ]] || continue
    set --
    # shellcheck disable=SC1090 # found on the node
    . "$file"
    kw_settle
    declare -F module >/dev/null && return
  done
}

kw_module() { # use FOLDER... | load NAME...
  local name before
  kw_step="module $*"
  if [[ $1 == use || -n ${LMOD_CMD-}${MODULES_CMD-} ]]; then
    module "$@" || kw_fail module-failed
  else # Environment Modules before 4, which set neither, return 0 for a module that does not exist
    shift
    for name; do
      before=${LOADEDMODULES-}
      module load "$name" || kw_fail module-failed
      [[ ${LOADEDMODULES-} != "$before" || :$before: == *:"$name"[:/]* ]] || kw_fail module-failed
    done
  fi
  kw_settle
}

kw_compare_modules() { # with what the first start of this generation loaded
  local made
  if [[ -r $kw_generation/modules.loaded ]]; then
    # half a line: another start is writing it just now
    IFS= read -r made <"$kw_generation/modules.loaded" || return 0
    [[ $made == "${LOADEDMODULES-}" ]] || export KERNELWRIGHT_MODULES_MADE=$made
  elif [[ -O $kw_generation && $kw_mode == kernel ]]; then
    { printf '%s\n' "${LOADEDMODULES-}" >"$kw_generation/modules.loaded"; } 2>/dev/null
  fi
}
