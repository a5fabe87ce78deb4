"""Small real root file systems for the tests, made from what the machine has: seconds, no download of an image.

Each is made once, below a folder that every user can read, and appears there by one rename.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
from contextlib import contextmanager
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


class Imagery:
    """The images of one test run; `root` is kept between runs while nothing that makes them changed."""

    def __init__(self, base: Path, apptainer: Path) -> None:
        key = hashlib.sha256(Path(__file__).read_bytes() + str(PYTHON).encode()).hexdigest()[:12]
        self.root = base / f"images-{key}"
        self.apptainer = apptainer
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)

    @contextmanager
    def once(self, name):
        """Yields the path to make `name` at, or None when it is there; whole or absent."""
        with open(self.root / f".{name}.gate", "w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            if (self.root / name).exists():
                yield None
                return
            part = self.root / f".{name}.part"
            if part.is_dir():
                shutil.rmtree(part)
            yield part
            part.rename(self.root / name)

    # --- root file systems -----------------------------------------------------------------------

    def bare(self):
        """Python without ipykernel, a POSIX shell, and /image.txt by which tests know where they are."""
        with self.once("bare") as root:
            if root:
                skeleton(root)
                add_programs(root, ["/usr/bin/dash", *tools(), str(PYTHON)])
                (root / "usr/bin/sh").symlink_to("dash")
                (root / "usr/bin/python3").symlink_to(PYTHON.name)
                copy_tree(Path(f"/usr/lib/{PYTHON.name}"), root / f"usr/lib/{PYTHON.name}")
                add_libraries(root, (root / f"usr/lib/{PYTHON.name}/lib-dynload").glob("*.so"))
                for name in (
                    "libstdc++.so.6",
                    "libgcc_s.so.1",
                    "librt.so.1",
                    "libpthread.so.0",
                    "libdl.so.2",
                    "libutil.so.1",
                    "libm.so.6",
                ):  # every manylinux wheel counts on these
                    found = next(p for p in Path("/usr/lib").glob(f"*/{name}"))
                    shutil.copy(found, root / found.relative_to("/"))
        return self.root / "bare"

    def mini(self):
        """`bare` with today's ipykernel and bash."""

        def change(root):
            add_programs(root, ["/usr/bin/bash"])
            packages(root / SITE, ["ipykernel"])

        return self._over(self.bare(), "mini", change)

    def old_kernel(self):
        """`bare` with an ipykernel from before interrupt messages."""
        pins = ["ipykernel<6", "ipython<8", "jupyter_client<8", "traitlets<6", "setuptools"]
        return self._over(self.bare(), "old-kernel", lambda root: packages(root / SITE, pins))

    def old_python(self):
        """Debian 11: Python 3.9 and its own C library, without ipykernel; OSError where it cannot be had."""
        with self.once("old-python") as root:
            if root:
                skeleton(root)
                unpack_debs(root, OLD_SUITE, OLD_PACKAGES)
                (root / "usr/bin/python3").symlink_to("python3.9")
                if not (root / "usr/bin/sh").exists():
                    (root / "usr/bin/sh").symlink_to("dash")
        return self.root / "old-python"

    def shell_only(self):
        """bash and nothing that has a kernel."""
        with self.once("shell-only") as root:
            if root:
                skeleton(root)
                add_programs(root, ["/usr/bin/dash", "/usr/bin/bash", *tools()])
                (root / "usr/bin/sh").symlink_to("dash")
        return self.root / "shell-only"

    def shell_other(self):
        """The same with another file in it: what a moved tag points to."""
        return self._over(
            self.shell_only(),
            "shell-other",
            lambda root: (root / "other.txt").write_text("other\n"),
        )

    def r_only(self):
        """R with IRkernel, no Python."""
        with self.once("r-only") as root:
            if root:
                skeleton(root)
                add_programs(root, ["/usr/bin/dash", "/usr/bin/bash", "/usr/bin/Rscript", *tools()])
                (root / "usr/bin/sh").symlink_to("dash")
                for folder in ("usr/lib/R", "usr/share/R", "etc/R"):
                    shutil.copytree(f"/{folder}", root / folder, symlinks=True)
                (root / "usr/bin/R").symlink_to("../lib/R/bin/R")
                add_libraries(
                    root, [*(root / "usr/lib/R").rglob("*.so"), root / "usr/lib/R/bin/exec/R"]
                )
        return self.root / "r-only"

    def no_shell(self):
        """`mini` without any shell, as distroless images are."""

        def change(root):
            for name in ("sh", "dash", "bash"):
                (root / "usr/bin" / name).unlink(missing_ok=True)

        return self._over(self.mini(), "no-shell", change)

    def other_machine(self):
        """`bare` whose programs say that they are made for a PowerPC of 1999."""

        def change(root):
            for name in ("dash", PYTHON.name, "env"):
                path = root / "usr/bin" / name
                data = bytearray(path.read_bytes())
                data[18:20] = struct.pack("<H", 21)
                path.unlink()  # the others share its bytes
                path.write_bytes(data)
                path.chmod(0o755)

        return self._over(self.bare(), "other-machine", change)

    def _over(self, below, name, change):
        with self.once(name) as root:
            if root:
                subprocess.run(["cp", "-al", below, root], check=True, timeout=120)
                change(root)
        return self.root / name

    # --- files -----------------------------------------------------------------------------------

    def sif(self, name="mini"):
        """The .sif of one of the above."""
        folder = getattr(self, name.replace("-", "_"))()
        with self.once(f"{name}.sif") as file:
            if file:
                words = [
                    self.apptainer,
                    "-s",
                    "build",
                    "--mksquashfs-args",
                    "-comp zstd -Xcompression-level 1",
                    file,
                    folder,
                ]
                subprocess.run(
                    words,
                    check=True,
                    timeout=300,
                    stdout=subprocess.DEVNULL,
                    env=clean_environment(self.root),
                )
                file.chmod(0o755)
        return self.root / f"{name}.sif"

    def sif_for(self, code=b"04"):
        """The small image with another processor in its header: 04 is ARM."""
        with self.once("arm.sif") as file:
            if file:
                shutil.copy(self.sif("shell-only"), file)
                with open(file, "r+b") as stream:
                    stream.seek(32 + 10 + 3)
                    stream.write(code)
        return self.root / "arm.sif"

    def truncated(self):
        """The first two thirds of a .sif."""
        with self.once("truncated.sif") as file:
            if file:
                whole = self.sif("shell-only").read_bytes()
                file.write_bytes(whole[: len(whole) * 2 // 3])
        return self.root / "truncated.sif"

    def oci_layout(self, name="bare", tag="1"):
        """An OCI layout folder of one layer, for skopeo."""
        folder = getattr(self, name.replace("-", "_"))()
        with self.once(f"{name}.oci") as out:
            if out:
                write_oci(folder, out, tag)
        return self.root / f"{name}.oci"

    def archive(self, name="bare"):
        """The same as one tar file: oci-archive."""
        layout = self.oci_layout(name)
        with self.once(f"{name}.oci.tar") as file:
            if file:
                with tarfile.open(file, "w") as tar:
                    for entry in sorted(layout.iterdir()):
                        tar.add(entry, entry.name)
        return self.root / f"{name}.oci.tar"


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
    import gzip

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


if __name__ == "__main__":
    made = Imagery(Path(sys.argv[1]), Path(sys.argv[2]))
    print(made.sif(sys.argv[3]) if len(sys.argv) > 3 else made.mini())
