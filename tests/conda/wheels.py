"""Wheels: fetched once by pip, and turned into conda packages."""

from __future__ import annotations

import configparser
import email
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from .package import PLACEHOLDER, Content, write_package


def download(wanted: tuple[str, ...], minor: str, folder: Path) -> Path:
    """The folder with the wheels of `wanted` and what they need, for Python `minor`."""
    if folder.is_dir():
        return folder
    work = Path(tempfile.mkdtemp(prefix=".wheels-", dir=folder.parent))
    try:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"]
        subprocess.run(
            [*command, "--python-version", minor, "--dest", work, *wanted], check=True, timeout=600
        )
        os.chmod(work, 0o755)
        try:
            os.rename(work, folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def tiny_wheel(folder: Path, name: str, version: str) -> Path:
    """An invented wheel with one module, for the pip part of environments."""
    target = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f'VERSION = "{version}"\n',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0)), text)
    return target


def convert(wheel: Path, out: Path, minor: str) -> None:
    """Write the conda package that holds what `wheel` holds."""
    with zipfile.ZipFile(wheel) as archive:
        content = {
            name: archive.read(name) for name in archive.namelist() if not name.endswith("/")
        }
    info = next(name.split("/")[0] for name in content if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(content[f"{info}/METADATA"])
    pure = b"Root-Is-Purelib: true" in content[f"{info}/WHEEL"]
    name = _normal(metadata["Name"])
    scripts = _console_scripts(content.get(f"{info}/entry_points.txt", b"").decode())
    root = "site-packages/" if pure else f"lib/python{minor}/site-packages/"
    files: dict[str, Content] = {}
    for path, data in content.items():
        if not path.endswith("dist-info/RECORD"):
            files |= _place(path, data, root, pure=pure)
    files[f"{root}{info}/INSTALLER"] = Content(b"conda\n")
    if name == "bash-kernel":
        spec = {
            "argv": ["python", "-m", "bash_kernel", "-f", "{connection_file}"],
            "display_name": "Bash",
            "language": "bash",
            "env": {"PS1": "$"},
        }
        files["share/jupyter/kernels/bash/kernel.json"] = Content(json.dumps(spec).encode())
    if not pure:
        files |= {f"bin/{entry.split(' = ')[0]}": _script(entry) for entry in scripts}
    write_package(
        out,
        {"bash-kernel": "bash_kernel"}.get(name, name),
        metadata["Version"],
        files,
        subdir="noarch" if pure else "linux-64",
        noarch="python" if pure else None,
        build=None if pure else f"py{minor.replace('.', '')}_0",
        depends=_depends(metadata, pure=pure, minor=minor),
        entry_points=scripts,
    )


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _depends(metadata: email.message.Message, *, pure: bool, minor: str) -> list[str]:
    from packaging.requirements import Requirement

    environment = {"extra": "", "python_version": minor, "python_full_version": f"{minor}.0"}
    found = ["python >=3.8" if pure else f"python {minor}.*"]
    for text in metadata.get_all("Requires-Dist") or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            found.append(f"{_normal(requirement.name)} {requirement.specifier}".strip())
    return found


def _console_scripts(text: str) -> list[str]:
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names keep their case
    parser.read_string(text)
    if not parser.has_section("console_scripts"):
        return []
    return [f"{k} = {v.split('[')[0].strip()}" for k, v in parser.items("console_scripts")]


def _place(path: str, data: bytes, root: str, *, pure: bool) -> dict[str, Content]:
    found = re.match(r"[^/]+\.data/(purelib|platlib|data|scripts|headers)/(.*)", path)
    if not found:
        return {root + path: Content(data)}
    kind, rest = found.groups()
    if kind == "headers":
        return {}
    if kind == "data":
        return {rest: Content(data)}
    if kind == "scripts":
        folder = "python-scripts/" if pure else "bin/"
        if data.startswith(b"#!python"):
            data = f"#!{PLACEHOLDER}/bin/python".encode() + data[len(b"#!python") :]
            return {folder + rest: Content(data, mode=0o755, prefix=True)}
        return {folder + rest: Content(data, mode=0o755)}
    return {root + rest: Content(data)}


def _script(entry: str) -> Content:
    module, function = entry.split(" = ")[1].split(":")
    text = f"#!{PLACEHOLDER}/bin/python\nimport sys\nfrom {module} import {function.split('.')[0]}\nsys.exit({function}())\n"
    return Content(text.encode(), mode=0o755, prefix=True)
