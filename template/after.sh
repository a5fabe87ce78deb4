# Sourced (not executed) by Open OnDemand's job script, in bash, on the compute node, as the user, right after script.sh was
# started: waits until the server answers, or until it is dead. Then connection.yml is made, with the port that counts.
# All of it stays in the job script: no exit, no cd, no change of the shell's options here.
# shellcheck shell=bash

# The server writes its info file when it listens: a port that answers could be another process's.
kw_answers() {
    local file number
    for file in "$KERNELWRIGHT_SESSION"/runtime/jpserver-*.json; do
        if [ ! -e "$file" ]; then continue; fi
        IFS= read -r number <"$KERNELWRIGHT_SESSION/port" || return 1
        case $number in
        '' | *[!0-9]*) return 1 ;;
        esac
        export port=$number
        return 0
    done
    return 1
}

kw_wait_for_server() {
    local begun=$SECONDS
    while kill -0 "$SCRIPT_PID" 2>/dev/null; do
        if kw_answers; then
            : >|"$KERNELWRIGHT_SESSION/answered"
            "$KERNELWRIGHT_RUNTIME/bin/kernelwright" session running --root "$PWD"
            return 0
        fi
        if [ $((SECONDS - begun)) -gt "${KERNELWRIGHT_PATIENCE:-900}" ]; then
            echo "kernelwright: server-slow: the notebook server did not answer in time" >&2
            break
        fi
        sleep 0.2
    done
    # script.sh has said why, unless it was killed or still waits
    "$KERNELWRIGHT_RUNTIME/bin/kernelwright" session ended --dir "$KERNELWRIGHT_SESSION" --root "$PWD" --status 1
    return 1
}

kw_wait_for_server || clean_up 1
