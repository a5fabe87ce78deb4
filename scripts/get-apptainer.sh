#!/bin/bash
# Installs Debian's Apptainer into DIR, for this checkout's tests: relocatable, nothing outside DIR, no root.
# usage: scripts/get-apptainer.sh DIR     run by the test fixtures, as whoever runs the tests, executed
# Needs apt-get on a Debian (Apptainer is in Debian's unstable suite alone), dpkg-deb and patchelf. The
# programs bring unstable's own C library, so that the host's may be older.
set -euo pipefail

target=$(realpath -m "${1:?usage: scripts/get-apptainer.sh DIR}")
for program in apt-get dpkg-deb patchelf; do
  command -v "$program" >/dev/null || { echo "get-apptainer: $program is missing" >&2; exit 3; }
done
triplet=$(uname -m)-linux-gnu
# shellcheck disable=SC2016 # apt fills these in
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' | awk '$1 == "Debian" && $2 !~ /security/ {print $2; exit}')}
[[ -n $mirror ]] || { echo "get-apptainer: no Debian archive in the sources of apt; set DEBIAN_MIRROR" >&2; exit 3; }
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[[ -r $keyring ]] || { echo "get-apptainer: $keyring is missing (package debian-archive-keyring)" >&2; exit 3; }

mkdir -p "$target"
work=$(mktemp -d "$target/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,unpacked}
cp /var/lib/dpkg/status "$work/status"
echo "deb [signed-by=$keyring] $mirror sid main" >"$work/sources.list"
cat >"$work/apt.conf" <<EOF
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::Lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "";
EOF
export APT_CONFIG=$work/apt.conf
apt-get -qq update
(cd "$work/cache" && apt-get -qq download apptainer/sid libc6/sid libseccomp2/sid libsqlite3-0/sid)
for package in "$work"/cache/*.deb; do
  dpkg-deb -x "$package" "$work/unpacked"
done

found() { find "$work/unpacked" -name "$1" -not -type d -print -quit; }
rm -rf "${target:?}"/{usr,libraries}
mkdir -p "$target/usr/bin" "$target/usr/lib/$triplet" "$target/usr/etc" "$target/libraries"
cp -a "$work/unpacked/usr/bin/apptainer" "$target/usr/bin/"
ln -s apptainer "$target/usr/bin/singularity"
cp -a "$work/unpacked/usr/lib/$triplet/apptainer" "$target/usr/lib/$triplet/"
cp -a "$work/unpacked/etc/apptainer" "$target/usr/etc/"
loader=$(basename "$(found 'ld-linux-*.so.*')")
for library in "$loader" libc.so.6 libm.so.6 libresolv.so.2 libpthread.so.0 libdl.so.2 libnss_files.so.2 libnss_dns.so.2 \
  libseccomp.so.2 libsqlite3.so.0; do
  cp -L "$(found "$library")" "$target/libraries/"
done
for program in "$target/usr/bin/apptainer" "$target/usr/lib/$triplet/apptainer/bin/starter"; do
  patchelf --set-interpreter "$target/libraries/$loader" --force-rpath --set-rpath "$target/libraries" "$program"
done
# Debian's libexec folder makes the starter take usr/lib for its prefix: give it its settings and folders there.
ln -sfn ../etc "$target/usr/lib/etc"
mkdir -p "$target"/usr{,/lib}/var/lib/apptainer/mnt/session
# Root in a machine that is itself a container may lack some of the capabilities that "full" wants to give.
sed -i 's/^root default capabilities = full/root default capabilities = file/' "$target/usr/etc/apptainer/apptainer.conf"
chmod -R a+rX "$target"
"$target/usr/bin/apptainer" --version
