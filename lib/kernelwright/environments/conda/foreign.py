"""Files that are taken for environment files and are something else: each refused by its name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...errors import UserError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

HERE = "linux-64"
REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?\s*([=<>~!;@].*)?")
CONDA_EXPORT = re.compile(r"[a-z0-9_][a-z0-9_.-]*=[^=\s]+=[^=\s]+")
CONDARC = {
    "channel_priority", "channel_alias", "default_channels", "custom_channels", "custom_multichannels", "envs_dirs",
    "pkgs_dirs", "ssl_verify", "proxy_servers", "auto_activate_base", "auto_activate", "always_yes", "changeps1",
    "solver", "offline", "create_default_packages", "pinned_packages", "add_pip_as_python_dependency", "auto_update_conda",
}  # fmt: skip


def refuse_by_text(text: str, source: str) -> None:
    """Refuse what its own words give away: other tools' locks, templates, TOML, notebooks."""
    if re.search(r"\{%.*%\}|\{\{.*\}\}", text):
        raise _refused(
            source,
            "a conda-devenv or recipe template",
            "render it first (`conda devenv --print > environment.yml`) and give the result",
        )
    if re.match(r"\s*\[[\w.\"-]+\]\s*$", text.lstrip().split("\n", 1)[0]):
        raise _refused(
            source,
            "a TOML file (pixi.toml, pyproject.toml)",
            "for pixi: `pixi project export conda-environment > environment.yml`; for a Python project: `kernelwright create venv NAME -r pyproject.toml`",
        )
    if text.lstrip().startswith("{"):
        raise _refused(
            source,
            "JSON",
            "give an environment.yml, or an exported kernel to `kernelwright import`",
        )


def refuse_by_keys(keys: AbstractSet[str], source: str) -> None:
    """Refuse YAML of another tool, which its top keys give away."""
    if {"package", "metadata"} <= keys:
        raise _refused(
            source,
            "a lock of conda-lock",
            "run `conda-lock render --kind explicit` and give the `conda-linux-64.lock` that it writes",
        )
    if {"environments", "packages"} <= keys:
        raise _refused(
            source,
            "a lock of pixi",
            "run `pixi project export conda-explicit-spec .` and give the file that it writes",
        )
    if keys & CONDARC:
        key = min(keys & CONDARC)
        raise _refused(
            source,
            f"(partly) a .condarc: `{key}` is a setting of conda",
            f"move `{key}` to ~/.condarc, which is read too, and remove it here",
        )
    if "includes" in keys or any(k.startswith("sel(") for k in keys):
        raise _refused(
            source,
            "a conda-devenv file",
            "render it first (`conda devenv --print > environment.yml`) and give the result",
        )
    if {"kernelwright", "recipe"} <= keys:
        raise _refused(source, "an exported kernel", f"run `kernelwright import {source}`")
    if keys & {"environment", "display_name"}:
        raise _refused(source, "a kernel recipe", f"run `kernelwright create recipe {source}`")
    if "dependencies" not in keys:
        raise _refused(
            source,
            "a file without `dependencies:`",
            "write the packages below `dependencies:`, one a line after `- `",
        )


def not_an_environment(text: str, source: str) -> UserError:
    """The refusal for a file that is no mapping: a list of packages, most likely."""
    lines = [
        line.strip()
        for line in text.splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        return _refused(
            source, "empty", "write the packages below `dependencies:`, one a line after `- `"
        )
    if all(CONDA_EXPORT.fullmatch(line) for line in lines):
        return _refused(
            source,
            "a list of `conda list --export`",
            "use `conda env export --from-history > environment.yml`, or `conda list --explicit > list.txt`, which is taken as it is",
        )
    if all(line.startswith("- ") for line in lines):
        return _refused(source, "a bare list", "put `dependencies:` above the list")
    if all(REQUIREMENT.fullmatch(line) or line.startswith("-") for line in lines):
        return _refused(
            source,
            "a list of requirements for pip",
            f"run `kernelwright create venv NAME -r {source}`",
        )
    return _refused(
        source,
        "not an environment file",
        "an environment.yml holds `channels:` and `dependencies:`",
    )


def _refused(source: str, what: str, hint: str) -> UserError:
    return UserError("environment-file-refused", f"`{source}` is {what}", hint=hint)
