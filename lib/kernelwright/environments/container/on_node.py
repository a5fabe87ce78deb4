"""What a container kernel would find on this very node: for `kernelwright show`."""

from __future__ import annotations

import glob
import os
import re
from typing import TYPE_CHECKING, Any

from ... import paths
from . import binds, runtimes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...config.model import SiteConfig
    from ...model import ContainerSpec, Made

DEVICES = {"--nv": "/dev/nvidia[0-9]*", "--rocm": "/dev/kfd"}
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def lines(
    spec: ContainerSpec, made: Made, environ: Mapping[str, str], site: SiteConfig
) -> list[str]:
    """Runtime, GPU flag and binds as launch.sh would choose them here; starts no process."""
    facts = made.facts
    found = [_runtime(facts.get("runtime") or {}, environ), f"gpu: {spec.gpu} -> {gpu(spec.gpu)}"]
    known = facts.get("site_binds")
    all_binds = [
        *(known if known is not None else binds.plain(site.containers.binds)),
        *binds.plain(spec.bind),
    ]
    return found + [f"bind: {_bind(bind, environ)}" for bind in all_binds]


def gpu(wanted: str) -> str:
    """The flag that launch.sh gives the runtime on this node, in words."""
    if wanted == "none":
        return "no GPU"
    if wanted != "auto":
        return "--nv" if wanted == "nvidia" else "--rocm"
    flags = [flag for flag, pattern in DEVICES.items() if glob.glob(pattern)]
    return " ".join(flags) or "no GPU on this node"


def _runtime(recorded: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    name = str(recorded.get("name") or "apptainer")
    path = runtimes.here(name, str(recorded.get("path") or ""), environ)
    if path:
        same = path == recorded.get("path")
        return f"runtime: {path}" + (f" ({recorded.get('version')})" if same else "")
    module = recorded.get("module")
    return f"runtime: {name}" + (f" from the module {module}" if module else " is not on this node")


def _bind(bind: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    source, target = str(bind["source"]), str(bind.get("target") or bind["source"])
    shown = f"{source} at {target}" + (" (read-only)" if bind.get("mode") == "ro" else "")
    unset = [a or b for a, b in _VARIABLE.findall(source + target) if not environ.get(a or b)]
    if unset:
        why = f"{unset[0]} is not set here"
    elif os.path.exists(_filled(source, environ)):
        return shown
    else:
        why = "not there on this node"
    return f"{shown}: {why}, {'an error' if bind.get('required', True) else 'left out'}"


def _filled(text: str, environ: Mapping[str, str]) -> str:
    if text == "~" or text.startswith("~/"):
        text = str(paths.home_folder()) + text[1:]
    return _VARIABLE.sub(lambda match: environ.get(match[1] or match[2], ""), text)
