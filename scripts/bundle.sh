#!/bin/sh
# Run by `make bundle`, executed, on a machine with network of the same kind as the target (architecture,
# glibc not newer than there): writes dist/kernelwright-VERSION-ARCH.tar with every wheel of the runtime, uv
# and a Python that runs from any folder, so that `make install BUNDLE=file` needs neither network nor a Python.
#   environment: PYTHON=/usr/bin/python3  JUPYTER=0
set -eu
umask 022
cd "$(dirname "$0")/.."
python=${PYTHON:-/usr/bin/python3}
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' lib/kernelwright/__init__.py)
out=$PWD/dist/kernelwright-$version-$(uname -m).tar
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p dist "$work/wheels" "$work/python/bin" "$work/python/lib"

echo "collecting wheels"
"$python" -m venv "$work/tool"
extras=runtime
[ "${JUPYTER:-1}" = 0 ] || extras=runtime,jupyter
"$work/tool/bin/python" -m pip wheel -q --disable-pip-version-check -w "$work/wheels" ".[$extras]" uv
unzip -q -j -o "$work"/wheels/uv-*.whl '*/scripts/uv' -d "$work"
chmod 755 "$work/uv"

echo "copying $python"
ask() { "$python" -c "import os, sys, sysconfig; print($1)"; }
exe=$(ask 'os.path.realpath(sys.executable)')
lib=$(ask 'sysconfig.get_path("stdlib")')
xy=$(ask '"%d.%d" % sys.version_info[:2]')
cp "$exe" "$work/python/bin/python$xy"
tar -C "$(dirname "$lib")" --exclude=__pycache__ --exclude=test --exclude=tests --exclude=idlelib --exclude=tkinter \
    --exclude=lib2to3 --exclude=dist-packages --exclude=site-packages --exclude='config-*' -cf - "python$xy" | tar -C "$work/python/lib" -xf -
mkdir -p "$work/python/lib/python$xy/site-packages"
# The libraries that Python itself needs, but for those that must be the target's own (glibc).
{ ldd "$exe"; find "$lib/lib-dynload" -name '*.so' -exec ldd {} +; } | awk '$3 ~ /^\// {print $3}' | sort -u |
    grep -Ev '/(libc|libm|libdl|librt|libutil|libpthread|libresolv|ld-linux[^/]*)\.so' | while read -r library; do
    cp -L "$library" "$work/python/lib/"
done
patchelf --set-rpath "\$ORIGIN/../lib" "$work/python/bin/python$xy"
find "$work/python/lib/python$xy/lib-dynload" -name '*.so' -exec patchelf --set-rpath "\$ORIGIN/../.." {} +

rm -rf "$work/tool"
tar -C "$work" -cf "$out.new" wheels uv python
mv "$out.new" "$out"
echo "$out"
