"""Mending the content of a kernel.json where only one thing can have been meant.

Pure: from a mapping to a mapping and the sentences that say what was done. Order, unknown keys and
Unicode stay as they are. Used by `repair` and `adopt`.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..recipe.names import TITLE_LIMIT, check_title

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECTION = ["-f", "{connection_file}"]


def mend(spec: Mapping[str, Any], name: str) -> tuple[dict[str, Any], list[str]]:
    """`spec` with its types and words put right, and what was done, one sentence a change."""
    done: list[str] = []
    mended = {key: _plain(value, done) for key, value in spec.items()}
    for step in (_argv, _env, _metadata, _words):
        mended = step(mended, name, done)
    return mended, done


def _plain(value: Any, done: list[str]) -> Any:
    """`value` without what no JSON in UTF-8 can hold."""
    if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
        done.append("take out halves of characters, which cannot be written as UTF-8")
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        done.append("write null for a number that JSON does not know")
        return None
    if isinstance(value, dict):
        return {_plain(key, done): _plain(inner, done) for key, inner in value.items()}
    return [_plain(inner, done) for inner in value] if isinstance(value, list) else value


def _argv(spec: dict[str, Any], _name: str, done: list[str]) -> dict[str, Any]:
    argv = spec.get("argv")
    if isinstance(argv, str):
        try:
            argv = shlex.split(argv)
        except ValueError:
            return spec
        done.append("make a list of argv, one element a word")
    if not isinstance(argv, list):
        return spec
    words = [_text(word) if _is_scalar(word) else word for word in argv]
    if words != argv:
        done.append("make texts of the numbers in argv")
    words = _options([word for word in words if isinstance(word, str)], done)
    if "ipykernel" in " ".join(words) and not any("{connection_file}" in w for w in words):
        words += CONNECTION
        done.append("pass `-f {connection_file}`")
    return {**spec, "argv": words}


def _options(words: list[str], done: list[str]) -> list[str]:
    """Dashes that a word processor made longer, quotation marks and spaces that only a shell understands."""
    found: list[str] = []
    for word in words:
        dashed = re.match("^[\u2013\u2014\u2212](?=\\w)", word)
        if dashed:
            word = ("-" if len(word) == 2 else "--") + word[1:]  # noqa: PLW2901 - the word is being mended
            done.append(f"write `{word[:60]}` with plain dashes")
        quoted = re.fullmatch(r"(--?[\w-]+=|(?=.[/~{]))([\"'])(.*)\2", word, re.DOTALL)
        glued = re.fullmatch(r"(-[A-Za-z]) +(\S.*)", word)
        if quoted:
            done.append(f"take the quotation marks out of `{word[:60]}`")
            found.append(quoted[1] + quoted[3])
        elif glued:
            done.append(f"make two elements of `{word[:60]}`")
            found += [glued[1], glued[2]]
        else:
            found.append(word)
    return _without_run_user(found, done)


def _without_run_user(words: list[str], done: list[str]) -> list[str]:
    """The bind of /run/user: Jupyter has its connection files in HOME since 2018, and nodes may not have it."""
    kept: list[str] = []
    skip = False
    for number, word in enumerate(words):
        follows = words[number + 1] if number + 1 < len(words) else ""
        if skip:
            skip = False
        elif word in {"-B", "--bind"} and re.fullmatch(
            r"/run/user(?:/\d+)?(?::/run/user(?:/\d+)?)?(?::r[ow])?", follows
        ):
            skip = True
            done.append(f"leave out the bind of {follows.split(':')[0]}, which not every node has")
        elif re.fullmatch(
            r"(?:--bind=|-B)/run/user(?:/\d+)?(?::/run/user(?:/\d+)?)?(?::r[ow])?", word
        ):
            done.append("leave out the bind of /run/user, which not every node has")
        else:
            kept.append(word)
    return kept


def _env(spec: dict[str, Any], _name: str, done: list[str]) -> dict[str, Any]:
    env = spec.get("env")
    if isinstance(env, list) and all(isinstance(e, str) and "=" in e for e in env):
        done.append("make a mapping of env")
        env = dict(entry.split("=", 1) for entry in env)
    elif "env" in spec and not isinstance(env, dict):
        done.append("leave out env, which is no mapping")
        return {key: value for key, value in spec.items() if key != "env"}
    if not isinstance(env, dict):
        return spec
    texts = {key: _text(value) if _is_scalar(value) else value for key, value in env.items()}
    if texts != env:
        done.append("make texts of the values in env")
    for key in [key for key, value in texts.items() if not isinstance(value, str)]:
        del texts[key]
        done.append(f"leave out `{key}` of env, whose value is no text")
    return {**spec, "env": texts} if texts != spec.get("env") else spec


def _metadata(spec: dict[str, Any], _name: str, done: list[str]) -> dict[str, Any]:
    dropped = {"resource_dir", "self"} & spec.keys()
    if "metadata" in spec and not isinstance(spec["metadata"], dict):
        dropped.add("metadata")
    mode = spec.get("interrupt_mode", "signal")
    if not isinstance(mode, str) or mode.lower() not in {"signal", "message"}:
        dropped.add("interrupt_mode")
    done += [f"leave out `{key}`, which makes Jupyter drop the kernel" for key in sorted(dropped)]
    return {key: value for key, value in spec.items() if key not in dropped}


def _words(spec: dict[str, Any], name: str, done: list[str]) -> dict[str, Any]:
    mended = dict(spec)
    for key in ("display_name", "language", "name", "mimetype", "kernel_protocol_version"):
        if key in mended and not isinstance(mended[key], str):
            mended[key] = str(mended[key]) if _is_scalar(mended[key]) else ""
            done.append(f"make a text of `{key}`")
    if not mended.get("display_name"):
        mended["display_name"] = name
        done.append("give it a display name")
    try:
        check_title(mended["display_name"])
    except UserError:
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", mended["display_name"])
        shown = "".join(c if c.isprintable() else " " for c in plain)
        mended["display_name"] = " ".join(shown.split())[:TITLE_LIMIT].strip() or name
        done.append("take out of the display name what would forge entries of menus")
    if not mended.get("language"):
        mended["language"] = _language(mended.get("argv"))
        done.append(f"say that its language is {mended['language']}")
    return mended


def _language(argv: Any) -> str:
    line = " ".join(argv) if isinstance(argv, list) else ""
    for sign, language in (
        ("IRkernel", "R"),
        ("IJulia", "julia"),
        ("bash_kernel", "bash"),
        ("octave", "octave"),
    ):
        if sign in line:
            return language
    return "python"


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def moved(spec: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """`spec` with every path below the folder `old` below `new` instead."""

    def change(text: Any) -> Any:
        if not isinstance(text, str):
            return text
        return re.sub(rf"(?<![\w./-]){re.escape(old)}(?=/|$|[:\s\"'])", lambda _: new, text)

    changed = dict(spec)
    if isinstance(spec.get("argv"), list):
        changed["argv"] = [change(word) for word in spec["argv"]]
    if isinstance(spec.get("env"), dict):
        changed["env"] = {key: change(value) for key, value in spec["env"].items()}
    return changed


def without_leaks(
    spec: Mapping[str, Any], codes: frozenset[str], prefix: str
) -> tuple[dict[str, Any], list[str]]:
    """`spec` without the variables that carry foreign packages and libraries into the environment."""
    env = dict(spec.get("env") or {})
    done = []
    if "user-site-leaks" in codes and not env.get("PYTHONNOUSERSITE"):
        env["PYTHONNOUSERSITE"] = "1"
        done.append("keep the packages of ~/.local out (PYTHONNOUSERSITE=1)")
    if "python-path-leaks" in codes:
        for name in ("PYTHONPATH", "PYTHONHOME"):
            if name in env:
                del env[name]
                done.append(f"take {name} out of env")
    if "library-path-leaks" in codes and "LD_LIBRARY_PATH" in env:
        parts = [
            p for p in str(env["LD_LIBRARY_PATH"]).split(os.pathsep) if p.startswith((prefix, "$"))
        ]
        env["LD_LIBRARY_PATH"] = os.pathsep.join(parts)
        if not parts:
            del env["LD_LIBRARY_PATH"]
        done.append("take foreign folders out of LD_LIBRARY_PATH")
    return ({**spec, "env": env} if done else dict(spec)), done
