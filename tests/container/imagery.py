"""Small real root file systems for the tests, made from what the machine has: seconds, no download of an image.

Each is made once, below a folder that every user can read, and appears there by one rename.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import struct
import subprocess
import tarfile
from contextlib import contextmanager
from pathlib import Path

from container import rootfs
from container.rootfs import (
    OLD_PACKAGES,
    OLD_SUITE,
    PYTHON,
    SITE,
    add_libraries,
    add_programs,
    clean_environment,
    copy_tree,
    packages,
    skeleton,
    tools,
    unpack_debs,
    write_oci,
)


class Imagery:
    """The images of one test run; `root` is kept between runs while nothing that makes them changed."""

    def __init__(self, base: Path, apptainer: Path) -> None:
        key = hashlib.sha256(
            b"".join(Path(p).read_bytes() for p in (__file__, rootfs.__file__))
            + str(PYTHON).encode()
        ).hexdigest()[:12]
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
