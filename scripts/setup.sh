#!/bin/sh
# Run by make before demo, test, lint and docs, executed: installs what a fresh machine lacks.
#   scripts/setup.sh [GROUP...]   dependency groups of pyproject.toml for .venv (default: dev)
# Debian packages need root; without it their names are printed when one is missing.
set -eu
cd "$(dirname "$0")/.."
groups=${*:-dev}

missing=
while read -r package; do
    case $package in '' | '#'*) continue ;; esac
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing="$missing $package"
done <scripts/apt-packages.txt
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing Debian packages:$missing"
        export DEBIAN_FRONTEND=noninteractive
        for try in 1 2 3; do
            # shellcheck disable=SC2086 # words on purpose
            if apt-get -qq update && apt-get -qq install -y --no-install-recommends $missing >/dev/null; then break; fi
            [ "$try" != 3 ] || { echo "error: apt-get could not install:$missing" >&2; exit 1; }
            sleep 5
        done
    else
        echo "error: these Debian packages are missing, ask an administrator: apt-get install$missing" >&2
        exit 1
    fi
fi

stamp=.venv/.stamp-$(printf '%s' "$groups" | tr ' ' -)
want=$(sha256sum pyproject.toml | cut -d' ' -f1)
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$want" ]; then
    [ -x .venv/bin/python ] || /usr/bin/python3 -m venv .venv
    [ -x .venv/bin/uv ] || .venv/bin/python -m pip install -q --disable-pip-version-check uv
    options=
    for group in $groups; do options="$options --group $group"; done
    echo "installing Python packages into .venv"
    # shellcheck disable=SC2086 # words on purpose
    .venv/bin/uv pip install -q --python .venv/bin/python -e '.[runtime,jupyter]' $options
    echo "$want" >"$stamp"
fi
