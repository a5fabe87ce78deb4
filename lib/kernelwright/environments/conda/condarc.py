"""The .condarc files of the system and the user: read as conda reads them, never written.

Source: conda's SEARCH_PATH (conda/base/constants.py, 24.x); an installed conda's own prefix is left
out, as none is needed here. A file that cannot be read is left out with a note.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIMIT = 1 << 20  # bytes of one file
DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")


@dataclass(frozen=True)
class Condarc:
    """What the files say, merged; `sources` names the file that each key came from."""

    channels: tuple[str, ...] = ()
    default_channels: tuple[str, ...] = DEFAULTS
    alias: str | None = None
    custom: Mapping[str, str] = field(default_factory=dict)
    multi: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    priority: str | None = None
    proxies: Mapping[str, str] = field(default_factory=dict)
    verify_tls: bool = True
    ca_file: str | None = None
    timeout: float | None = None
    retries: int | None = None
    sources: Mapping[str, str] = field(default_factory=dict)


def read(
    home: Path, environ: Mapping[str, str], note: Callable[[str], None] = lambda _: None
) -> Condarc:
    """The settings of every .condarc that conda would read for this user, the user's own first."""
    merged: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for path in reversed(_places(home, environ)):
        for key, value in _load(path, environ, note).items():
            sources.setdefault(key, str(path))
            have = merged.get(key)
            if isinstance(have, list) and isinstance(value, list):
                merged[key] = [*have, *(v for v in value if v not in have)]
            elif isinstance(have, dict) and isinstance(value, dict):
                merged[key] = value | have
            elif have is None:
                merged[key] = value
    return _understand(merged, sources)


def _places(home: Path, environ: Mapping[str, str]) -> list[Path]:
    """The files that there are, the strongest last."""
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "conda"
    found: list[Path] = []
    for folder in (Path("/etc/conda"), config, home / ".conda"):
        found += [
            folder / ".condarc",
            folder / "condarc",
            *sorted((folder / "condarc.d").glob("*.y*ml")),
        ]
    found.append(home / ".condarc")
    if named := environ.get("CONDARC"):
        found.append(Path(named))
    return [path for path in found if path.is_file()]


def _load(path: Path, environ: Mapping[str, str], note: Callable[[str], None]) -> dict[str, Any]:
    import yaml

    try:
        with open(path, "rb") as stream:
            data = yaml.safe_load(stream.read(LIMIT))
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        note(f"`{path}` cannot be read and is left out")
        return {}
    return _filled(data, environ) if isinstance(data, dict) else {}


def _filled(value: Any, environ: Mapping[str, str]) -> Any:
    """Variables in texts are filled in, as conda does; what is unset stays as it stands."""
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}|\$(\w+)", lambda m: environ.get(m[1] or m[2], m[0]), value)
    if isinstance(value, list):
        return [_filled(item, environ) for item in value]
    if isinstance(value, dict):
        return {str(k): _filled(v, environ) for k, v in value.items()}
    return value


def _understand(data: dict[str, Any], sources: dict[str, str]) -> Condarc:
    verify = data.get("ssl_verify", True)
    return Condarc(
        channels=_texts(data.get("channels")),
        default_channels=_texts(data.get("default_channels")) or DEFAULTS,
        alias=_text(data.get("channel_alias")),
        custom={k: str(v) for k, v in _mapping(data.get("custom_channels")).items()},
        multi={k: _texts(v) for k, v in _mapping(data.get("custom_multichannels")).items()},
        priority={
            "strict": "strict",
            "flexible": "strict",
            "true": "strict",
            "disabled": "disabled",
            "false": "disabled",
        }.get(str(data.get("channel_priority")).lower()),
        proxies={
            k: str(v)
            for k, v in _mapping(data.get("proxy_servers")).items()
            if k in {"http", "https"}
        },
        verify_tls=str(verify).lower() not in {"false", "no", "0", "<false>"},
        ca_file=os.path.expanduser(verify) if isinstance(verify, str) and "/" in verify else None,
        timeout=_number(data.get("remote_read_timeout_secs")),
        retries=int(_number(data.get("remote_max_retries")) or 0) or None,
        sources=sources,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: Any) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    return tuple(str(item) for item in items if item) if isinstance(items, list) else ()


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    return (
        float(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
        else None
    )
