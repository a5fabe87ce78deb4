#!/bin/bash
# Executed by Open OnDemand's job script in the background, on the compute node, as the user: starts the Jupyter server
# that before.sh prepared, on another port when the first was taken meanwhile, and says on the card why it ended.

kw_session() {
    "$KERNELWRIGHT_RUNTIME/bin/kernelwright" session "$@"
}

kw_server=
kw_told=
kw_watchdog=
kw_command=() kw_modules=() kw_modules_use=() kw_modules_init= # server.sh sets them

# The server ends its kernels in order; a server that hangs is killed before Slurm kills everything.
# shellcheck disable=SC2317 # called by the traps
kw_end() {
    kw_told=1
    trap '' TERM INT HUP
    if [ -n "$kw_server" ]; then
        kill -TERM "$kw_server" 2>/dev/null
        (
            trap - TERM
            sleep 15
            kill -KILL "$kw_server"
        ) </dev/null >/dev/null 2>&1 &
        kw_watchdog=$!
    fi
}

# Modules for the server; one that cannot be loaded ends the session with its name.
kw_load_modules() {
    local folder module
    if [ "${#kw_modules[@]}" -eq 0 ]; then return 0; fi
    set +eu # the start files of module systems use unset variables
    if ! type module >/dev/null 2>&1 && [ -n "$kw_modules_init" ]; then
        # shellcheck source=/dev/null
        . "$kw_modules_init"
    fi
    if ! type module >/dev/null 2>&1; then
        echo "kernelwright: modules-not-loaded: there is no \`module\` command on this node" >&2
        return 1
    fi
    for folder in "${kw_modules_use[@]}"; do
        module use "$folder"
    done
    for module in "${kw_modules[@]}"; do
        # old module systems return 0 for a name that is not there
        if ! module load "$module" || [[ ":${LOADEDMODULES:-}:" != *":$module"[:/]* ]]; then
            echo "kernelwright: modules-not-loaded: the module \`$module\` cannot be loaded" >&2
            return 1
        fi
    done
}

# One life of the server: its status is that of the server, whatever signals came in between.
kw_serve() {
    local status=0
    "${kw_command[@]}" &
    kw_server=$!
    wait "$kw_server" || status=$?
    while kill -0 "$kw_server" 2>/dev/null; do
        status=0
        wait "$kw_server" || status=$?
    done
    kw_server=
    return "$status"
}

# The server's own word: an outgoing connection can hold a port on which nobody listens.
kw_port_refused() {
    tail -n 20 output.log 2>/dev/null | grep -qE "port ${port:-} is (already in use|not available)|Address already in use"
}

# Serve; when the port was taken before the server could have it, move to a new one.
kw_serve_somewhere() {
    local status=0 try new
    if ! command -v "${kw_command[0]}" >/dev/null; then
        echo "kernelwright: server-command-missing: \`${kw_command[0]}\` is not found on this node" >&2
        return 127
    fi
    for try in 1 2 3 4 5 6; do
        status=0
        kw_serve || status=$?
        if [ "$status" -eq 0 ] || [ -n "$kw_told" ] || [ -e "$KERNELWRIGHT_SESSION/answered" ]; then break; fi
        if ! port_used "${host:-}:${port:-}" && ! kw_port_refused; then break; fi
        new=$(find_port "${host:-}") || new=
        echo "kernelwright: port $port was taken by another process; trying port $new ($try of 5)" >&2
        if [ "$try" -eq 6 ] || ! kw_session port "$new" --dir "$KERNELWRIGHT_SESSION"; then
            echo "kernelwright: no-free-port: no port of this node stayed free" >&2
            break
        fi
        port=$new
    done
    return "$status"
}

trap kw_end TERM INT HUP
kw_status=0
# shellcheck source=/dev/null
. "$KERNELWRIGHT_SESSION/server.sh"
nice "$KERNELWRIGHT_RUNTIME/bin/kernelwright" session index </dev/null >/dev/null 2>&1 &
if kw_load_modules; then
    kw_serve_somewhere || kw_status=$?
else
    kw_status=1
fi
if [ -n "$kw_watchdog" ]; then
    kill "$kw_watchdog" 2>/dev/null
fi
kw_session ended --dir "$KERNELWRIGHT_SESSION" --root "$PWD" --status "$kw_status" ${kw_told:+--asked}
exit "$kw_status"
