# shellcheck shell=bash
echo "after $SCRIPT_PID"
wait_until_port_used "127.0.0.1:${port:?}" 60
echo "port is used"
