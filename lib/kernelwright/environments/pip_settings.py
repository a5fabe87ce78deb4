"""The site's and the user's pip.conf, told to uv, which does not read it."""

from __future__ import annotations

import configparser
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# pip's key: uv's variable; pip's own variable PIP_KEY wins over every file
KEYS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "constraint": "UV_CONSTRAINT",
    "no-index": "UV_NO_INDEX",
}


def uv_environment(
    home: Path, environ: Mapping[str, str], *, cache: Path, index: str | None
) -> dict[str, str]:
    """The environment for uv: pip's index settings, the cache folder, no download of a Python.

    What is set for uv itself (UV_*) wins, then pip's variables, then its files, user before system.
    """
    settings = {name: value for name, value in environ.items() if not name.startswith("UV_PYTHON")}
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"):
        settings.pop(name, None)
    read = _pip_files(home, environ)
    for key, variable in KEYS.items():
        value = environ.get("PIP_" + key.upper().replace("-", "_")) or read.get(key)
        if value and variable not in settings:
            separator = "," if variable == "UV_FIND_LINKS" else " "
            settings[variable] = separator.join(value.split())
    if read.get("extra-index-url") or environ.get("PIP_EXTRA_INDEX_URL"):
        settings.setdefault(
            "UV_INDEX_STRATEGY", "unsafe-best-match"
        )  # as pip does: all its indexes count alike
    if index and "UV_DEFAULT_INDEX" not in settings:
        settings["UV_DEFAULT_INDEX"] = index
    settings.setdefault("UV_CACHE_DIR", str(cache))
    return settings | {
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "HOME": str(home),
    }


def _pip_files(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """pip's order: global files, then the user's, then PIP_CONFIG_FILE; later ones win.

    Source: pip's documentation, "Configuration: location" and "Precedence".
    """
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return {}
    config_home = environ.get("XDG_CONFIG_HOME") or str(home / ".config")
    folders = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    files = [os.path.join(f, "pip/pip.conf") for f in reversed(folders)]
    files += [
        "/etc/pip.conf",
        str(home / ".pip/pip.conf"),
        os.path.join(config_home, "pip/pip.conf"),
    ]
    found: dict[str, str] = {}
    for path in [*files, *([named] if named else [])]:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                found |= {k.replace("_", "-"): v for k, v in parser.items(section)}
    return found
