"""Runs inside an image, under whatever Python is there: says what that Python is, as one JSON line.

Given to `python -c`, so it stands alone: standard library only, Python 2.7 and all of 3.
"""
# ruff: noqa: ANN201 - annotations do not parse in Python 2.7
# mypy: allow-untyped-defs, allow-untyped-calls

import json
import os
import sys

CLOSURE = [
    "appnope",
    "asttokens",
    "backcall",
    "bash-kernel",
    "comm",
    "debugpy",
    "decorator",
    "entrypoints",
    "exceptiongroup",
    "executing",
    "importlib-metadata",
    "ipykernel",
    "ipython",
    "ipython-genutils",
    "ipython-pygments-lexers",
    "jedi",
    "jupyter-client",
    "jupyter-core",
    "matplotlib-inline",
    "nest-asyncio",
    "nest-asyncio2",
    "packaging",
    "parso",
    "pexpect",
    "pickleshare",
    "platformdirs",
    "prompt-toolkit",
    "psutil",
    "ptyprocess",
    "pure-eval",
    "pygments",
    "python-dateutil",
    "pyzmq",
    "setuptools",
    "six",
    "stack-data",
    "tornado",
    "traitlets",
    "typing-extensions",
    "wcwidth",
    "zipp",
]


def versions():
    """The installed versions of what a kernel needs, by normalised name."""
    try:
        from importlib import metadata
    except ImportError:
        return old_versions()
    found = {}
    for one in metadata.distributions():
        name = (one.metadata["Name"] or "").lower().replace("_", "-").replace(".", "-")
        if name in CLOSURE and name not in found:
            found[name] = one.version
    return found


def old_versions():
    """The same before Python 3.8, from the names of the metadata folders."""
    found = {}  # type: ignore[var-annotated] # no annotations here
    for folder in sys.path:
        for entry in os.listdir(folder) if os.path.isdir(folder) else ():
            stem, _, kind = entry.rpartition(".")
            if kind in ("dist-info", "egg-info") and "-" in stem:
                name, version = stem.split("-")[:2]
                name = name.lower().replace("_", "-")
                if name in CLOSURE:
                    found.setdefault(name, version)
    return found


def answers_messages():
    """Whether this image's ipykernel answers an interrupt_request; None where there is no ipykernel."""
    try:
        from ipykernel.kernelbase import Kernel
    except Exception:  # noqa: BLE001 - an ipykernel that cannot be imported, for whatever reason, is none
        return None
    return "interrupt_request" in getattr(Kernel, "control_msg_types", Kernel.msg_types)


def libc():
    """("glibc", "2.31"), ("musl", "") or ("", "")."""
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError, AttributeError):
        name = None
    if name:
        return name.split()
    musl = [
        n for n in (os.listdir("/lib") if os.path.isdir("/lib") else []) if n.startswith("ld-musl-")
    ]
    return ["musl", ""] if musl else ["", ""]


def kernelspecs():
    """The kernelspecs that the image itself offers."""
    found = []
    for base in (
        sys.prefix + "/share/jupyter",
        "/usr/local/share/jupyter",
        "/usr/share/jupyter",
        "/opt/conda/share/jupyter",
    ):
        folder = base + "/kernels"
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            try:
                with open(folder + "/" + name + "/kernel.json") as stream:
                    spec = json.load(stream)
                found.append(
                    [
                        folder + "/" + name,
                        spec["argv"],
                        str(spec.get("language")),
                        spec.get("interrupt_mode"),
                    ]
                )
            except (OSError, ValueError, KeyError, TypeError):
                continue
    return found


def main():
    """Print everything behind a mark that no start-up message contains."""
    answer = {
        "executable": sys.executable,
        "version": list(sys.version_info[:3]),
        "machine": os.uname()[4],
        "libc": libc(),
        "packages": versions(),
        "messages": answers_messages(),
        "kernelspecs": kernelspecs(),
        "bits": 64 if sys.maxsize > 2**32 else 32,
    }
    print("KERNELWRIGHT-PROBE " + json.dumps(answer))


main()
