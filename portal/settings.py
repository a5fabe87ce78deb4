"""What one run of the preview is told: the app, the home, and which dashboard it imitates."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BASE = "/pun/sys/dashboard"
PASSED = (
    "KERNELWRIGHT_HOME",
    "KERNELWRIGHT_RUNTIME",
    "KERNELWRIGHT_SITE_CONFIG",
    "KERNELWRIGHT_CATALOG",
)


@dataclass(frozen=True)
class Settings:
    """One preview. `release` is the dashboard whose caching is imitated: 4.0 to 4.2, or 3.1."""

    app: Path
    home: Path
    name: str = "kernelwright"
    release: str = "4.2"
    dynamic: bool = False
    csp: bool = False
    scheduler: str = "auto"
    poll: float = 10.0
    clusters: tuple[str, ...] = ("preview",)
    queues: tuple[str, ...] = ()
    subapp: Path | None = None
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    form_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def token(self) -> str:
        """The app's token, part of its addresses: sys/APP or sys/APP/SUBAPP."""
        sub = f"/{self.subapp.name.split('.')[0]}" if self.subapp else ""
        return f"sys/{self.name}{sub}"

    @property
    def dataroot(self) -> Path:
        """Where the dashboard keeps sessions, cards and last values."""
        return self.home / "ondemand/data/sys/dashboard/batch_connect"

    @property
    def output(self) -> Path:
        """The folder of staged roots."""
        return self.dataroot / self.token / "output"

    @property
    def cache_file(self) -> Path:
        """The person's last values."""
        return self.dataroot / "cache" / (self.token.replace("/", "_") + ".json")

    def ruby_environ(self) -> dict[str, str]:
        """The surroundings of the app's Ruby: no login shell, the home that is previewed."""
        kept = {name: self.environ[name] for name in PASSED if name in self.environ}
        path = self.environ.get("PATH", "/usr/bin:/bin")
        return {
            "PATH": path,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "OOD_VERSION": f"{self.release}.0",
            **kept,
        }

    def job_environ(self) -> dict[str, str]:
        """The login-like surroundings of a job; of ours only the names that lead to the runtime."""
        import getpass

        kept = {name: self.environ[name] for name in PASSED if name in self.environ}
        return {
            "HOME": str(self.home),
            "USER": getpass.getuser(),
            "LOGNAME": getpass.getuser(),
            "SHELL": "/bin/bash",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": self.environ.get("LANG", "C.UTF-8"),
            **kept,
        }
