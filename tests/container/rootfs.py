"""The steps by which a root file system is put together: programs with their libraries, packages, layers."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from kernelwright.environments.pip_settings import uv_environment

LIBRARY = re.compile(r"(/(?:usr/)?lib(?:32|64)?/\S*\.so\S*)")
TOOLS = (
    "cat",
    "ls",
    "env",
    "uname",
    "id",
    "sed",
    "head",
    "sleep",
    "rm",
    "mkdir",
    "dirname",
    "basename",
    "grep",
    "expr",
    "which",
)
PYTHON = Path(os.path.realpath("/usr/bin/python3"))  # such as /usr/bin/python3.11
SITE = f"usr/local/lib/{PYTHON.name}/dist-packages"
UNUSED = ("test", "tests", "idlelib", "tkinter", "lib2to3", "turtledemo", "ensurepip")
# Debian 11's Python 3.9 with what it is linked to
OLD_SUITE = "bullseye"
OLD_PACKAGES = (
    "python3.9-minimal libpython3.9-minimal libpython3.9-stdlib libc6 zlib1g libexpat1 libssl1.1 libffi7 libbz2-1.0 "
    "liblzma5 libreadline8 libtinfo6 libncursesw6 libuuid1 libdb5.3 libcrypt1 libnsl2 libtirpc3 libmpdec3 libsqlite3-0 "
    "libgssapi-krb5-2 libkrb5-3 libk5crypto3 libcom-err2 libkrb5support0 libkeyutils1 dash coreutils libacl1 libattr1 "
    "libselinux1 libpcre2-8-0 libgcc-s1 libstdc++6"
).split()


def skeleton(root):
    for name in ("bin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in (
        "etc",
        "proc",
        "sys",
        "dev",
        "tmp",
        "var/tmp",
        "root",
        "home",
        "run",
        "mnt",
        "srv",
    ):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/os-release").write_text('NAME="Kernelwright test image"\nID=kwtest\n')
    for name in ("resolv.conf", "hosts", "localtime"):
        (root / "etc" / name).touch()
    (root / "image.txt").write_text("inside\n")
    shutil.copytree("/usr/lib/locale/C.utf8", root / "usr/lib/locale/C.utf8")


def tools():
    return [found for name in TOOLS if (found := shutil.which(name, path="/usr/bin:/bin"))]


def add_programs(root, programs):
    for program in programs:
        shutil.copy(os.path.realpath(program), root / "usr/bin" / os.path.basename(program))
    add_libraries(root, programs)


def add_libraries(root, files):
    """Copy what the files are linked to, at the same places."""
    listing = subprocess.run(
        ["ldd", *map(str, files)], capture_output=True, text=True, timeout=60
    ).stdout
    for path in {
        line_path
        for line in listing.splitlines()
        if not line.endswith(":")
        for line_path in LIBRARY.findall(line)
    }:
        target = root / path.lstrip("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def copy_tree(source, target):
    shutil.copytree(
        source,
        target,
        symlinks=False,
        ignore=shutil.ignore_patterns(*UNUSED, "config-3*"),
        ignore_dangling_symlinks=True,
    )


def packages(target, wanted):
    """Wheels from the index, for the machine's own Python."""
    from uv import find_uv_bin

    environ = uv_environment(
        Path.home(), os.environ, cache=Path("/var/tmp/kernelwright-tests/uv"), index=None
    )
    words = [
        find_uv_bin(),
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        str(PYTHON),
        "--target",
        str(target),
        *wanted,
    ]
    subprocess.run(words, check=True, timeout=300, env=environ)


def unpack_debs(root, suite, names):
    """Debian packages of another suite, by apt, without installing them; OSError where that fails."""
    where = "$(ORIGIN) $(REPO_URI)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", where], capture_output=True, text=True, timeout=60
    ).stdout
    mirrors = [
        line.split()[1]
        for line in listed.splitlines()
        if line.startswith("Debian ") and "security" not in line
    ]
    if not mirrors:
        raise OSError("apt knows no Debian archive")
    work = root.with_name(root.name + ".apt")
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(f"deb [trusted=yes] {mirrors[0]} {suite} main\n")
    (work / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{work}/sources.list"; Dir::Etc::sourceparts "/dev/null"; Dir::State::Lists "{work}/lists";\n'
        f'Dir::State::status "{work}/status"; Dir::Cache "{work}/cache"; Acquire::Languages "none"; APT::Sandbox::User "";\n'
        'Acquire::Check-Valid-Until "false"; Acquire::Retries "3";\n'
    )
    try:
        environ = os.environ | {"APT_CONFIG": str(work / "apt.conf")}
        for words in (["update"], ["download", *(f"{name}/{suite}" for name in names)]):
            done = subprocess.run(
                ["apt-get", "-qq", *words],
                env=environ,
                cwd=work / "cache",
                capture_output=True,
                text=True,
                timeout=300,
            )
            if done.returncode:
                raise OSError(f"apt-get {words[0]}: {done.stderr[-300:]}")
        for package in (work / "cache").glob("*.deb"):
            unpacked = work / package.stem
            subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True, timeout=60)
            for top in ("bin", "sbin", "lib", "lib64"):  # before the merge of / and /usr
                if (unpacked / top).is_dir():
                    (unpacked / "usr").mkdir(exist_ok=True)
                    subprocess.run(
                        ["cp", "-a", f"{unpacked / top}/.", f"{root / 'usr' / top}/"],
                        check=True,
                        timeout=60,
                    )
                    shutil.rmtree(unpacked / top)
            subprocess.run(["cp", "-a", f"{unpacked}/.", f"{root}/"], check=True, timeout=60)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write_oci(folder, out, tag):
    """An OCI image layout of one layer; the specification asks for these three files and the blobs."""
    blobs = out / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    raw = subprocess.run(
        [
            "tar",
            "-C",
            folder,
            "--sort=name",
            "--mtime=@0",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "-cf",
            "-",
            ".",
        ],
        check=True,
        capture_output=True,
        timeout=300,
    ).stdout
    layer = put(gzip.compress(raw, 1, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    settings = {
        "architecture": machine,
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "FROM_IMAGE=yes"],
            "Cmd": ["/bin/sh"],
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(raw).hexdigest()]},
    }
    config = put(json.dumps(settings).encode(), "application/vnd.oci.image.config.v1+json")
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = put(
        json.dumps(
            {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}
        ).encode(),
        kind,
    )
    manifest["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (out / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (out / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def clean_environment(root):
    """For a call of Apptainer by the tests themselves: its files beside the images."""
    folder = root / ".apptainer"
    folder.mkdir(exist_ok=True)
    return {
        k: v for k, v in os.environ.items() if not k.startswith(("APPTAINER", "SINGULARITY"))
    } | {"APPTAINER_CACHEDIR": str(folder), "APPTAINER_TMPDIR": str(folder)}
