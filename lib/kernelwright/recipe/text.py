"""YAML text <-> plain data, with line numbers, and the hash by which a built recipe is found again."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..model import Isolation, Modules
from .parse import VERSION, from_mapping

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model import Recipe

SIZE_LIMIT = 1 << 20  # bytes of a recipe file
NODE_LIMIT = 50_000  # values after aliases are expanded: a "billion laughs" file stops here


def load(text: str, *, source: str) -> Recipe:
    """Read and validate the YAML text of one recipe; `source` names it in errors.

    Scalars keep the text of the file, so that `3.10` stays 3.10. Raises `invalid-recipe`.
    """
    data, lines = read_yaml(text, source=source)
    return from_mapping(data, source=source, line_of=lines)


def read_yaml(text: str, *, source: str) -> tuple[Any, Callable[[tuple[str, ...]], int | None]]:
    """Plain data in which every scalar is a str, and a function from key path to line number."""
    import yaml

    if len(text) > SIZE_LIMIT:
        raise _broken(source, None, f"is larger than {SIZE_LIMIT >> 20} MiB")
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        lines: dict[tuple[str, ...], int] = {}
        data = _plain(node, (), lines, [0], source)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "cannot be read as YAML"
        raise _broken(source, mark.line + 1 if mark else None, str(what)) from error
    except (RecursionError, ValueError) as error:
        raise _broken(source, None, "cannot be read as YAML") from error
    return data, lines.get


def _broken(source: str, line: int | None, what: str) -> UserError:
    where = source if line is None else f"{source}:{line}"
    return UserError(
        "invalid-recipe", f"`{source}` is not a recipe: {what}", context={"recipe": where}
    )


def _plain(
    node: Any,
    path: tuple[str, ...],
    lines: dict[tuple[str, ...], int],
    count: list[int],
    source: str,
) -> Any:
    import yaml

    count[0] += 1
    if count[0] > NODE_LIMIT or len(path) > 50:
        raise _broken(source, None, "it is too large or too deep")
    if node is None:
        return None
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, path, lines, count, source) for item in node.value]
    found: dict[str, Any] = {}
    for key, value in node.value:
        name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
        if name in found:
            raise _broken(source, key.start_mark.line + 1, f"the key `{name}` stands twice")
        below = (*path, name)
        lines[below] = key.start_mark.line + 1
        found[name] = _plain(value, below, lines, count, source)
    return found


def to_mapping(recipe: Recipe) -> dict[str, Any]:
    """The plain data of a recipe: only what differs from the defaults, in the documented order."""
    spec = {k: v for k, v in _data(asdict(recipe.environment)).items() if v not in (None, [], {})}
    if recipe.kind == "container" and spec.get("gpu") == "auto":
        del spec["gpu"]
    data: dict[str, Any] = {"version": VERSION, "name": recipe.name}
    for key in ("display_name", "description"):
        if getattr(recipe, key):
            data[key] = getattr(recipe, key)
    data |= {"language": recipe.language, "environment": {recipe.kind: spec}}
    if recipe.modules != Modules():
        data["modules"] = {k: v for k, v in _data(asdict(recipe.modules)).items() if v}
    for key in ("env", "build_env"):
        if getattr(recipe, key):
            data[key] = dict(getattr(recipe, key))
    if recipe.isolation != Isolation():
        data["isolation"] = {k: v for k, v in asdict(recipe.isolation).items() if v}
    if recipe.command:
        data["command"] = list(recipe.command)
    if recipe.interrupt_mode:
        data["interrupt_mode"] = recipe.interrupt_mode
    if recipe.slurm is not None:
        settings = _data(asdict(recipe.slurm))
        data["launcher"] = {"slurm": {k: v for k, v in settings.items() if v not in (None, [])}}
    return data


def _data(value: Any) -> Any:
    """Tuples to lists, as YAML and JSON have them."""
    if isinstance(value, dict):
        return {k: _data(v) for k, v in value.items()}
    return [_data(v) for v in value] if isinstance(value, tuple | list) else value


def dump(recipe: Recipe) -> str:
    """The YAML text of a recipe; `load` gives the same recipe back."""
    import yaml

    return yaml.safe_dump(to_mapping(recipe), sort_keys=False, allow_unicode=True, width=100)


def recipe_hash(recipe: Recipe, *, files: tuple[bytes, ...] = ()) -> str:
    """Hex SHA-256 of what a build depends on: not the names, the description or the launcher.

    `files` are the contents of the files that the recipe names; the same request then finds what was
    built, and an edited environment file does not.
    """
    import hashlib

    bare = replace(recipe, name="x", display_name=None, description=None, slurm=None)
    digest = hashlib.sha256(json.dumps(to_mapping(bare), sort_keys=True).encode())
    for content in files:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()
