"""jinja2 in a recipe's texts, in a sandbox. The only module that imports jinja2 for templates.

Each text of the recipe is rendered by itself, after the YAML was read: an answer is never parsed as YAML,
as jinja2 or as anything else. A text that is one expression gives the expression's own value (a list
stays a list); jinja2's NativeEnvironment is not used, since it would evaluate answers as Python literals.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SOURCE_LIMIT = 10_000
# where people's conda environments lie when they are called by name, in the order of the installers
ENVIRONMENT_FOLDERS = (
    ".conda/envs",
    "miniforge3/envs",
    "miniconda3/envs",
    "anaconda3/envs",
    "mambaforge/envs",
    "micromamba/envs",
    ".local/share/mamba/envs",
    ".virtualenvs",
    "envs",
)


def rendered(value: Any, answers: Mapping[str, Any], home: Path) -> Any:
    """`value` (plain data) with every text rendered; keys whose text gave nothing are left out.

    Raises UserError `template-broken` for a mistake in the site's template.
    """
    return _Renderer(answers, home).value(value)


class _Renderer:
    def __init__(self, answers: Mapping[str, Any], home: Path) -> None:
        from jinja2 import StrictUndefined
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        self.answers = dict(answers)
        self.jinja: Any = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        self.jinja.filters["env_folder"] = lambda name: env_folder(str(name), home)

    def value(self, value: Any) -> Any:
        if isinstance(value, dict):
            found = {key: self.value(item) for key, item in value.items()}
            return {key: item for key, item in found.items() if item is not None}
        if isinstance(value, list):
            flat: list[Any] = []
            for item in value:
                made = self.value(item)
                flat += made if isinstance(made, list) else [] if made is None else [made]
            return flat
        return self._text(value) if isinstance(value, str) and "{" in value else value

    def _text(self, source: str) -> Any:
        from jinja2 import TemplateError, Undefined

        try:
            expression = self._single_expression(source)
            if expression is None:
                return self.jinja.from_string(source).render(self.answers)
            made = self.jinja.compile_expression(expression, undefined_to_none=False)(
                **self.answers
            )
            if isinstance(made, Undefined):
                str(made)  # StrictUndefined says which name is unknown
        except (
            TemplateError,
            ValueError,
            TypeError,
            ArithmeticError,
            LookupError,
            AttributeError,
            RecursionError,
            MemoryError,
        ) as error:
            raise UserError(
                "template-broken",
                f"the template's `{source[:100]}` cannot be filled in: {str(error)[:200] or type(error).__name__}",
                hint="the site's admins can check it with `kernelwright site check`",
            ) from error
        return (
            made if made is None or isinstance(made, str | int | float | bool | list) else str(made)
        )

    def _single_expression(self, source: str) -> str | None:
        """The text between the braces where `source` is one {{ expression }} and nothing else."""
        from jinja2 import nodes

        if len(source) > SOURCE_LIMIT:
            raise ValueError("it is too long")
        body = self.jinja.parse(source).body
        alone = len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1
        if not alone or isinstance(body[0].nodes[0], nodes.TemplateData):
            return None
        text = source.strip()
        return (
            text[2:-2].strip("-+ ")
            if text.startswith("{{") and text.endswith("}}") and "{#" not in text
            else None
        )


def env_folder(name: str, home: Path) -> str:
    """The folder of an environment that people call by its name; a path is kept as it is.

    Only looks where installers put environments and into conda's own list; starts nothing.
    """
    if name.startswith(("/", "~")):
        return name
    if not name or "/" in name or name in {".", ".."}:
        raise ValueError(
            f"`{name[:80]}` is neither the name of an environment nor an absolute path"
        )
    for folder in ENVIRONMENT_FOLDERS:
        if os.path.isdir(home / folder / name):
            return str(home / folder / name)
    try:
        with open(home / ".conda/environments.txt", encoding="utf-8", errors="replace") as stream:
            listed = [line.strip() for line in stream.read(1 << 20).splitlines()]
    except OSError:
        listed = []
    found = [line for line in listed if os.path.basename(line) == name and os.path.isdir(line)]
    return found[0] if found else str(home / ENVIRONMENT_FOLDERS[0] / name)
