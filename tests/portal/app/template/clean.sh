# shellcheck shell=bash
echo "clean" > clean-ran
