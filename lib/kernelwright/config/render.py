"""The table as people and editors read it: commented example, JSON Schema, reference page.

A test compares the files in the repository with these functions; `python -m kernelwright.config.render .`
writes them anew.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from .keys import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .table import Key

HEAD = """\
# Kernelwright, the site's settings. Every key is here, commented out, with its default.
# Take the # away from what you change, and from the section's name above it.
# Copy this to /etc/ood/config/apps/kernelwright/conf.d/10-site.yaml (the name must end with .yaml),
# then run `kernelwright site check` and `kernelwright site compile`.
# Several files are read in the order of their names; later ones win.
"""
SCHEMA_TYPES = {
    "flag": ["boolean"],
    "integer": ["integer"],
    "number": ["number"],
    "map": ["object"],
    "section": ["object"],
}


def example() -> str:
    """etc/site.example.yaml: taking the first # of every line away gives the defaults."""
    return HEAD + "\n" + "\n".join("#" + line if line else "" for line in _example_lines()) + "\n"


def start(*, name: str | None = None, runtime: str | None = None) -> str:
    """What `site init` prints: the example, with what is known already taken out of the comments."""
    text = example()
    if name:
        text = text.replace("#site:\n", "site:\n").replace(
            "#  name: this site\n", f"  name: {json.dumps(name)}\n"
        )
    if runtime:
        text = text.replace("#runtime: null\n", f"runtime: {json.dumps(runtime)}\n")
    return text


def _example_lines() -> Iterator[str]:
    for name, key in TABLE.keys.items():
        yield ""
        if key.kind == "section":
            yield f"# {key.help}"
            yield f"{name}:"
            for inner, item in key.keys.items():
                yield from _example_key(inner, item, "  ")
        else:
            yield from _example_key(name, key, "")


def _example_key(name: str, key: Key, indent: str) -> Iterator[str]:
    yield f"{indent}# {_sentence(key)}"
    if key.example and "\n" in key.example:
        yield from (f"{indent}#   {line[6:]}" for line in key.example.strip("\n").splitlines())
    elif key.example:
        yield f"{indent}# for example {name}: {key.example}"
    yield f"{indent}{name}: {_yaml(key.default)}"


def _sentence(key: Key) -> str:
    return key.help + (
        f" ({', '.join(key.choices)})" if key.choices and key.choices[0] not in key.help else ""
    )


def _yaml(value: Any) -> str:
    """A default in YAML's flow style; JSON is a part of YAML."""
    plain = list(value) if isinstance(value, tuple) else value
    if isinstance(plain, str) and plain.replace("-", "a").replace(" ", "a").isalpha():
        return plain
    text = json.dumps(plain)
    return (
        text.replace('"', "")
        if isinstance(plain, list) and all(str(item).replace("-", "").isalpha() for item in plain)
        else text
    )


def schema() -> dict[str, Any]:
    """docs/reference/schemas/site.schema.json, for editors and for other tools."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "kernelwright/site.schema.json",
        "title": "Kernelwright site configuration",
        "description": "One file of conf.d/*.yaml. `kernelwright site check` finds more than this schema can say.",
        **_schema(TABLE),
    }


def _schema(key: Key) -> dict[str, Any]:
    if key.kind == "free":
        return {"description": key.help} if key.help else {}
    made: dict[str, Any] = {"type": _types(key)}
    if key.help:
        made["description"] = key.help
    if key.default not in (None, (), {}):
        made["default"] = list(key.default) if isinstance(key.default, tuple) else key.default
    if key.choices and not key.keys:
        made["enum"] = [*key.choices, None] if key.may_be_null else list(key.choices)
    made |= {
        word: value
        for word, value in (("minimum", key.low), ("maximum", key.high))
        if value is not None
    }
    if key.kind == "list" and key.item:
        made["items"] = _schema(key.item)
    if key.kind == "map" and key.item:
        made["additionalProperties"] = _schema(key.item)
    if key.keys:
        made |= {
            "properties": {name: _schema(item) for name, item in key.keys.items()},
            "additionalProperties": False,
        }
        required = [name for name, item in key.keys.items() if item.required]
        made |= {"required": required} if required else {}
    return made


def _types(key: Key) -> list[str]:
    found = {"text": ["string", "number"], "list": ["array"], **SCHEMA_TYPES}[key.kind]
    if key.kind == "list" and key.item and key.item.kind == "text":
        found = ["array", "string"]
    extra = ["object"] if key.kind == "text" and key.keys else []
    # an empty section or list, as in `kernels:` with nothing below it, is null to YAML
    return [
        *found,
        *extra,
        *(["null"] if key.may_be_null or key.kind in {"section", "list", "map"} else []),
    ]


def reference() -> str:
    """docs/reference/site-config.md."""
    parts = [REFERENCE_HEAD]
    plain = [
        (name, key) for name, key in TABLE.keys.items() if key.kind != "section" and not key.by
    ]
    parts.append("## Keys without a section\n\n" + _rows(plain))
    for name, key in TABLE.keys.items():
        if key.kind == "section":
            parts.append(f"## {name}\n\n{key.help}.\n\n{_rows(list(key.keys.items()))}")
            parts += [
                f"### {name}.{inner}\n\n{_rows(list(_inner(item).items()))}"
                for inner, item in key.keys.items()
                if _inner(item)
            ]
        elif key.by and key.item:
            parts.append(f"## {name}\n\n{key.help}.\n\n{_rows(list(key.item.keys.items()))}")
            if key.example:
                parts.append(
                    "```yaml\n"
                    f"{name}:\n"
                    + "\n".join(line[4:] for line in key.example.strip("\n").splitlines())
                    + "\n```"
                )
            parts += [
                f"### {name}: {inner}\n\n{item.help}.\n\n{_rows(list(_inner(item).items()))}"
                for inner, item in key.item.keys.items()
                if _inner(item)
            ]
    return "\n\n".join(parts) + "\n"


def _inner(key: Key) -> dict[str, Key]:
    """The keys of a section within a section, of a list's mappings, or of a map's."""
    found = dict(key.keys)
    if key.item:
        found = dict(key.item.keys)
    return found


def _rows(keys: list[tuple[str, Key]]) -> str:
    rows = [
        f"| `{name}` | {_default(key)} | {_cell(_sentence(key))}{_bounds(key)}{_cell_example(key)} |"
        for name, key in keys
    ]
    return "\n".join(["| key | default | what |", "|---|---|---|", *rows])


def _default(key: Key) -> str:
    if key.required:
        return "required"
    return f"`{_yaml(key.default)}`" if key.default is not None else "-"


def _bounds(key: Key) -> str:
    if key.low is None or key.high is None or key.high >= 10**6:
        return ""
    return f"; {key.low:g} to {key.high:g}"


def _cell_example(key: Key) -> str:
    return f". Example: `{_cell(key.example)}`" if key.example and "\n" not in key.example else ""


def _cell(text: str) -> str:
    return (
        text.replace("|", "\\|").replace("{{ }}", "`{{ }}`")
        if "{{" in text
        else text.replace("|", "\\|")
    )


REFERENCE_HEAD = """\
# The site's settings

Generated from the table in `lib/kernelwright/config/keys.py`; the same table checks the files.
How to use them: [For admins: the site's settings](../admins/site-config.md).

Files: every `*.yaml` of `/etc/ood/config/apps/kernelwright/conf.d/`, in the order of their names, or what
`KERNELWRIGHT_SITE_CONFIG` names (a folder of `*.yaml` files, or one file). Later files win: sections merge
key by key; `kernels`, `templates` and `form.partitions` merge by name; other lists are replaced. Numbers
where a text is asked for are taken as they stand (`3.10` stays 3.10). `null` means: no such thing. Unknown
keys are reported and skipped. For editors: [site.schema.json](schemas/site.schema.json)."""


def write(root: str) -> None:
    """Write the three files below the repository `root`."""
    files = {
        "etc/site.example.yaml": example(),
        "docs/reference/schemas/site.schema.json": json.dumps(schema(), indent=1) + "\n",
        "docs/reference/site-config.md": reference(),
    }
    for name, text in files.items():
        with open(os.path.join(root, name), "w", encoding="utf-8") as stream:
            stream.write(text)


if __name__ == "__main__":
    write(sys.argv[1])
