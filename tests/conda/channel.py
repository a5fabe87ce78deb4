"""A real conda channel made from this machine's Python and ordinary wheels, built once and cached.

`build(cache)` returns the folder of the channel: Python itself, ipykernel with everything it needs,
bash_kernel, and small invented packages, one for each thing that can go wrong. About 10 s the first
time, nothing later. `server.py` serves the folder over loopback HTTP.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .package import Content, write_package
from .wheels import convert, download, tiny_wheel

BASE = Path("/usr/bin/python3")  # readable by every account, unlike an interpreter below /root
WANTED = ("ipykernel", "bash_kernel")
DROPPED = (
    "test idlelib tkinter turtledemo ensurepip site-packages dist-packages lib2to3 pydoc_data "
    "__pycache__ EXTERNALLY-MANAGED sitecustomize.py"
).split()


def build(cache: Path) -> Path:
    """The channel's folder below `cache`, made when it is not there; safe among parallel callers."""
    name = f"channel-{_fingerprint()}"
    done = cache / name
    if done.is_dir():
        return done
    cache.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".making-", dir=cache))
    try:
        _fill(work / name, cache)
        os.chmod(work / name, 0o755)
        try:
            os.rename(work / name, done)
        except OSError:
            if not done.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return done


def _fingerprint() -> str:
    """Changes with the code that builds the channel and with the Python that goes into it."""
    digest = hashlib.sha256(_describe_base()["version"].encode())
    for source in ("channel.py", "package.py", "wheels.py"):
        digest.update((Path(__file__).parent / source).read_bytes())
    return digest.hexdigest()[:12]


def _describe_base() -> dict[str, str]:
    code = (
        "import json, sys, sysconfig; print(json.dumps({'version': '%d.%d.%d' % sys.version_info[:3],"
        "'stdlib': sysconfig.get_path('stdlib', 'posix_prefix'), 'python': sys.executable}))"
    )
    done = subprocess.run([BASE, "-I", "-c", code], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


def _fill(out: Path, cache: Path) -> None:
    base = _describe_base()
    minor = ".".join(base["version"].split(".")[:2])
    wheels = download(WANTED, minor, cache / f"wheels-{minor}")
    _python(out, base, minor)
    for wheel in sorted(wheels.glob("*.whl")):
        convert(wheel, out, minor)
    _invented(out)
    from rattler.index import index_fs

    with ThreadPoolExecutor(1) as own_thread:  # the caller's may have Playwright's event loop
        own_thread.submit(lambda: asyncio.run(index_fs(str(out)))).result()
    simple = out / "simple/kwpip"
    simple.mkdir(parents=True)
    pages = []
    for version in ("1.0", "1.1"):
        wheel = tiny_wheel(simple, "kwpip", version)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        pages.append(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a><br>')
    (simple / "index.html").write_text(
        "<!DOCTYPE html><html><body>" + "\n".join(pages) + "</body></html>"
    )


def _python(out: Path, base: dict[str, str], minor: str) -> None:
    """Debian's own Python as a conda package: the interpreter, and the library without its tests."""
    stdlib = Path(base["stdlib"])
    files: dict[str, Content] = {}
    for path in sorted(stdlib.rglob("*")):
        relative = path.relative_to(stdlib)
        if any(part in DROPPED or part.startswith("config-") for part in relative.parts):
            continue
        if path.is_file():
            files[f"lib/python{minor}/{relative}"] = Content(
                _conda_like(relative.as_posix(), path.read_bytes())
            )
    files[f"bin/python{minor}"] = Content(Path(base["python"]).resolve().read_bytes(), mode=0o755)
    site = f"lib/python{minor}/site-packages"
    files[f"{site}/README.txt"] = Content(b"packages go here\n")
    # Debian's `site` is frozen into the interpreter and looks into dist-packages only
    line = f"import os, site, sys; site.addsitedir(os.path.join(sys.prefix, {site!r}))\n"
    files["lib/python3/dist-packages/conda.pth"] = Content(line.encode())
    links = {"bin/python3": f"python{minor}", "bin/python": f"python{minor}"}
    write_package(
        out,
        "python",
        base["version"],
        files,
        links=links,
        build="0_local",
        subdir="linux-64",
        depends=["__glibc >=2.17"],
        extra={"python_site_packages_path": site},
    )


def _conda_like(name: str, data: bytes) -> bytes:
    """Undo what Debian changes, so that installers write to site-packages as everywhere else."""
    if name == "sysconfig.py":
        return data.replace(b"prefix_scheme = 'posix_local'", b"prefix_scheme = 'posix_prefix'")
    return data


def _invented(out: Path) -> None:
    """Small packages, each for one case of the tests."""
    for version in ("1.0", "1.1"):
        module = f'"""A package that no other kernel has."""\nVERSION = "{version}"\n'
        write_package(
            out,
            "greetings",
            version,
            {"site-packages/greetings.py": Content(module.encode())},
            noarch="python",
            depends=["python >=3.8"],
        )
    hook = b'export ACTIVATOR_HOME="$CONDA_PREFIX/share/activator"\n'
    write_package(
        out,
        "activator",
        "1.0",
        {
            "etc/conda/activate.d/activator.sh": Content(hook),
            "etc/conda/deactivate.d/activator.sh": Content(b"unset ACTIVATOR_HOME\n"),
            "share/activator/data.txt": Content(b"data\n"),
        },
    )
    script = (
        b'#!/bin/sh\necho "linked by $PKG_NAME $PKG_VERSION" > "$PREFIX/share/postlinker.txt"\n'
    )
    write_package(
        out,
        "postlinker",
        "1.0",
        {
            "bin/.postlinker-post-link.sh": Content(script, mode=0o755),
            "share/postlinker/readme.txt": Content(b"see share/postlinker.txt\n"),
        },
        subdir="linux-64",
        build="0",
    )
    for version in ("1.0", "2.0"):
        write_package(
            out, "core-of-two", version, {f"share/core-{version}.txt": Content(b"core\n")}
        )
    write_package(
        out, "wants-one", "1.0", {"share/one.txt": Content(b"1\n")}, depends=["core-of-two 1.*"]
    )
    write_package(
        out, "wants-two", "1.0", {"share/two.txt": Content(b"2\n")}, depends=["core-of-two 2.*"]
    )
    write_package(
        out, "gpulib", "1.0", {"share/gpulib.txt": Content(b"cpu\n")}, build="cpu_0", build_number=0
    )
    write_package(
        out,
        "gpulib",
        "1.0",
        {"share/gpulib.txt": Content(b"cuda\n")},
        build="cuda_1",
        build_number=1,
        depends=["__cuda >=12"],
    )
    write_package(out, "oldformat", "1.0", {"share/oldformat.txt": Content(b"bz2\n")}, conda=False)
    bulk = {f"share/bulky/{n:04}.bin": Content(os.urandom(2048)) for n in range(1500)}
    write_package(out, "bulky", "1.0", bulk)
    _r(out)


def _r(out: Path) -> None:
    """An R that hands over to the machine's own, with the kernelspec that r-irkernel brings."""
    write_package(
        out,
        "r-base",
        "4.2.2",
        {"bin/R": Content(b'#!/bin/sh\nexec /usr/bin/R "$@"\n', mode=0o755)},
        subdir="linux-64",
        build="0",
    )
    spec = {
        "argv": ["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"],
        "display_name": "R",
        "language": "R",
    }
    write_package(
        out,
        "r-irkernel",
        "1.3.2",
        {"share/jupyter/kernels/ir/kernel.json": Content(json.dumps(spec).encode())},
        depends=["r-base"],
    )


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
