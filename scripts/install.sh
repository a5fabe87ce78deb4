#!/bin/sh
# Run by `make install` as an admin or an ordinary user, executed: makes or upgrades the runtime in PREFIX.
#   scripts/install.sh PREFIX        environment: JUPYTER=0  BUNDLE=file  PYTHON=/path/to/python3
# PREFIX/versions/X.Y.Z is made whole before PREFIX/current is switched to it in one step; older versions
# stay, so that kernels and sessions that run on them never lose their files.
set -eu
umask 022
prefix=${1:?usage: scripts/install.sh PREFIX}
source=$(cd "$(dirname "$0")/.." && pwd)
jupyter=${JUPYTER:-1}
bundle=${BUNDLE:-}
export UV_NATIVE_TLS=1 UV_SYSTEM_CERTS=1 # the certificates that the site trusts (older and newer name)

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

mkdir -p "$prefix/bin" "$prefix/versions" "$prefix/etc" || fail "\`$prefix\` cannot be written"
prefix=$(cd "$prefix" && pwd -P)
for folder in "$prefix" "$source"; do
    case $folder in *[[:space:]]*) fail "\`$folder\` holds a space, which the first lines of scripts cannot hold" ;; esac
done
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$source/lib/kernelwright/__init__.py")

# What is installed is known by the content of the tree: the same content again is nothing to do.
digest=$(cd "$source" && find lib/kernelwright pyproject.toml scripts/install.sh bin -type f ! -name '*.pyc' \
    -exec sha256sum {} + | LC_ALL=C sort | { cat; echo "$jupyter $bundle"; } | sha256sum | cut -c1-16)
for old in "$prefix"/versions/*/; do
    if [ -f "$old/complete" ] && [ "$(cat "$old/complete")" = "$digest" ]; then
        target=${old%/}
    fi
done

find_python() {
    for candidate in ${PYTHON:-} /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11 /usr/bin/python3.10 \
        /usr/bin/python3 "$(command -v python3 || true)"; do
        if [ -x "$candidate" ] && "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            say "$candidate"
            return
        fi
    done
    fail "no Python >= 3.10 with venv was found: install python3-venv, or name one with PYTHON=/path/to/python3"
}

if [ -z "${target:-}" ]; then
    target=$prefix/versions/$version
    number=1
    while [ -e "$target" ]; do # never touch a version that may be running
        if [ ! -f "$target/complete" ] && mv "$target" "$target.broken.$$" 2>/dev/null; then
            rm -rf "$target.broken.$$"
        else
            target=$prefix/versions/$version+$number
            number=$((number + 1))
        fi
    done
    say "making $target"
    mkdir "$target"
    extras=runtime
    [ "$jupyter" = 0 ] || extras=runtime,jupyter
    if [ -n "$bundle" ]; then
        [ -f "$bundle" ] || fail "\`$bundle\` does not exist"
        mkdir "$target/bundle"
        tar -C "$target/bundle" -xf "$bundle" || fail "\`$bundle\` is not a bundle: make one with \`make bundle\`"
        mv "$target/bundle/python" "$target/python"
        python=$(echo "$target"/python/bin/python3.*)
        "$python" -m venv --without-pip "$target/venv" || fail "the bundle's Python does not run here"
        uv=$target/bundle/uv
        what="--offline --no-index --find-links $target/bundle/wheels kernelwright[$extras]"
    else
        python=$(find_python)
        "$python" -m venv "$target/venv" || fail "\`$python\` cannot make virtual environments"
        "$target/venv/bin/python" -m pip install -q --disable-pip-version-check uv || fail "uv could not be installed"
        uv=$target/venv/bin/uv
        what="${source}[$extras]"
    fi
    # shellcheck disable=SC2086 # words on purpose; neither folder may hold a space
    "$uv" pip install -q --compile-bytecode --python "$target/venv/bin/python" $what ||
        fail "the packages of the runtime could not be installed"
    rm -rf "$target/bundle"
    say "$digest" >"$target/complete"
fi

# Switch: a new link beside the old one, renamed over it.
switch() { ln -sfn "$1" "$2.new.$$" && mv -T "$2.new.$$" "$2"; }
cp "$source/bin/kernelwright" "$prefix/bin/.kernelwright.$$"
chmod 755 "$prefix/bin/.kernelwright.$$"
mv "$prefix/bin/.kernelwright.$$" "$prefix/bin/kernelwright"
switch "versions/$(basename "$target")" "$prefix/current"
switch "current/venv" "$prefix/venv"
say "kernelwright $version is installed: $prefix/bin/kernelwright"
