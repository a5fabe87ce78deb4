"""What the content of a kernel.json means for Jupyter: loaded, dropped, or doomed at the start.

Source: jupyter_client 8.x (kernelspec.KernelSpec, manager.format_kernel_cmd, provisioner_base); each
rule is held against the real package by tests/discovery. Values of `env` and `metadata` never reach
a message: people keep keys there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

KNOWN = frozenset(
    {
        "argv", "name", "mimetype", "display_name", "language", "kernel_protocol_version", "env",
        "interrupt_mode", "metadata",
    }
)  # fmt: skip
_TEXTS = ("name", "mimetype", "display_name", "language", "kernel_protocol_version")
_PORTS = frozenset({"shell_port", "iopub_port", "hb_port", "key"})
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PLACEHOLDER = re.compile(
    r"/path/to|###\w+###|__[A-Z]+__|\{\{.*\}\}|PATH_TO_|<[a-z_ -]+>|YOUR_|/full/path", re.IGNORECASE
)


def judge(spec: Mapping[str, Any]) -> tuple[tuple[Problem, ...], bool]:
    """The problems of a parsed kernel.json, and whether Jupyter loads it into its list."""
    if spec.keys() >= _PORTS:
        return (_error("kernelspec-is-connection-file", *_CONNECTION),), True
    dropped = _dropped(spec)
    return (*dropped, *_argv(spec), *_env(spec), *_words(spec), *_provisioned(spec)), not dropped


_CONNECTION = (
    "kernel.json is the connection file of a running kernel, not a kernelspec",
    "remove the folder; the file holds a secret key of that kernel",
)


def _error(
    code: str, message: str, hint: str | None = None, evidence: str | None = None
) -> Problem:
    return Problem(code, "error", message, hint, evidence)


def _dropped(spec: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Why Jupyter's server leaves the kernel out of its list."""
    found = [
        _error("kernelspec-wrong-type", f"`{key}` must be a text, so Jupyter drops the kernel")
        for key in _TEXTS
        if key in spec and not isinstance(spec[key], str)
    ]
    found += [
        _error("kernelspec-wrong-type", f"`{key}` must be a mapping, so Jupyter drops the kernel")
        for key in ("env", "metadata")
        if key in spec and not isinstance(spec[key], dict)
    ]
    if "argv" in spec and not isinstance(spec["argv"], list | str):
        found.append(
            _error("argv-not-a-list", "`argv` must be a list, so Jupyter drops the kernel")
        )
    mode = spec.get("interrupt_mode", "signal")
    if not isinstance(mode, str) or mode.lower() not in {"signal", "message"}:
        text = "`interrupt_mode` must be signal or message, so Jupyter drops the kernel"
        found.append(_error("kernelspec-interrupt-mode", text))
    if "resource_dir" in spec or "self" in spec:
        text = "`resource_dir` must not stand in kernel.json, so Jupyter drops the kernel"
        found.append(_error("kernelspec-wrong-type", text))
    stanza = (spec.get("metadata") or {}) if isinstance(spec.get("metadata"), dict) else {}
    if "kernel_provisioner" in stanza and stanza["kernel_provisioner"] is None:
        text = "`metadata.kernel_provisioner` must be a mapping, so Jupyter drops the kernel"
        found.append(_error("kernelspec-wrong-type", text))
    return tuple(found)


def _provisioned(spec: Mapping[str, Any]) -> tuple[Problem, ...]:
    name = provisioner(spec)
    if name is None:
        return ()
    text = f"the kernel provisioner `{name[:80]}` starts this kernel, not Jupyter itself"
    return (Problem("uses-provisioner", "note", text, None, name[:200]),)


def provisioner(spec: Mapping[str, Any]) -> str | None:
    """The kernel provisioner that the kernelspec asks for; None: Jupyter starts it locally."""
    metadata = spec.get("metadata")
    stanza = metadata.get("kernel_provisioner") if isinstance(metadata, dict) else None
    name = stanza.get("provisioner_name") if isinstance(stanza, dict) else None
    return name if isinstance(name, str) and name != "local-provisioner" else None


def _argv(spec: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Why the start will fail, as far as argv alone tells."""
    argv = spec.get("argv", [])
    if isinstance(argv, str):
        hint = '"argv": ["program", "argument"], one list element a word'
        text = "`argv` is one text, so Jupyter looks for a program of that whole name"
        return (_error("argv-not-a-list", text, hint, argv[:200]),)
    if not isinstance(argv, list):
        return ()
    if not argv:
        if provisioner(spec):
            return ()
        text = "`argv` is empty or missing: there is nothing to start"
        return (_error("argv-empty", text),)
    odd = [element for element in argv if not isinstance(element, str)]
    if odd:
        text = f"`argv` holds {type(odd[0]).__name__} values; each element must be a text"
        return (_error("argv-not-texts", text, "put quotation marks around every element"),)
    return tuple(_argv_words([str(element) for element in argv]))


def _argv_words(argv: list[str]) -> list[Problem]:
    found = []
    line = " ".join(argv)
    if "{connection_file}" not in line and "{response_address}" not in line:
        text = "`argv` does not pass `{connection_file}`, so the kernel cannot be reached"
        hint = 'add "-f", "{connection_file}" (Python) or what the kernel\'s manual says'
        found.append(_error("argv-no-connection-file", text, hint))
    if "{response_address}" in line or "{kernel_id}" in line:
        text = "this kernelspec is for an Enterprise Gateway; plain Jupyter cannot start it"
        found.append(_error("kernelspec-for-gateway", text))
    unfilled = [word for word in argv if _PLACEHOLDER.search(word[:500])]
    if unfilled:
        text = f"`{unfilled[0][:200]}` in argv was never filled in"
        found.append(_error("placeholder-not-filled", text, "put your own path there"))
    if any("\x00" in word for word in argv):
        found.append(_error("argv-not-texts", "`argv` holds a NUL character"))
    quoted = [word for word in argv[:1] if re.fullmatch(r"([\"'])[^\"']+\1", word)]
    if "ipykernel" not in line:  # which takes them off by itself
        quoted += [word for word in argv if re.fullmatch(r"([\"']){connection_file}\1", word)]
    if quoted:
        text = f"the quotation marks in `{quoted[0][:200]}` are taken for a part of the name: argv is not read by a shell"
        found.append(
            _error(
                "argv-quoted", text, "`kernelwright adopt NAME` takes them out and keeps a backup"
            )
        )
    dashes = [word for word in argv if word[:1] in {"\u2013", "\u2014", "\u2212"}]
    if dashes:
        text = f"`{dashes[0][:80]}` in argv begins with a typographic dash"
        found.append(_error("argv-typographic-dash", text, "type `-` or `--` again"))
    if re.match(r"[A-Za-z]:[\\/]", argv[0]) or argv[0].startswith("/Users/"):
        text = f"`{argv[0][:200]}` is a path of another machine (Windows or macOS)"
        found.append(_error("made-on-another-machine", text))
    return found


def _env(spec: Mapping[str, Any]) -> tuple[Problem, ...]:
    env = spec.get("env")
    if not isinstance(env, dict):
        return ()
    odd = [key for key, value in env.items() if not isinstance(value, str)]
    if odd:
        text = f"the value of `{odd[0][:80]}` in env is not a text: the start ends with TypeError"
        return (_error("env-not-texts", text, "put quotation marks around the value"),)
    path = env.get("PATH")
    if path is not None and "$" not in path and "/usr/bin" not in path.split(":"):
        text = "`env` replaces PATH, and /usr/bin is not in it"
        hint = 'write `"PATH": "/your/bin:${PATH}"`, or use a helper script'
        return (Problem("env-replaces-path", "warning", text, hint),)
    return tuple(_env_words(env))


def _env_words(env: Mapping[str, str]) -> list[Problem]:
    found = []
    for key, value in env.items():
        if re.search(r"\$\{\w+:?[-+?]", value):
            text = f"`${{NAME:-default}}` in `{key[:80]}` is not substituted by Jupyter"
            found.append(Problem("env-not-substituted", "warning", text))
        if value.startswith("~") or "{resource_dir}" in value:
            text = f"`~` and `{{resource_dir}}` are not replaced in env (`{key[:80]}`)"
            found.append(Problem("env-not-substituted", "warning", text))
    return found


def _words(spec: Mapping[str, Any]) -> tuple[Problem, ...]:
    title = spec.get("display_name")
    found = []
    if isinstance(title, str) and _CONTROL.search(title):
        text = "the display name holds control characters or broken Unicode"
        hint = "`kernelwright adopt NAME` takes them out"
        found.append(Problem("display-name-unsafe", "warning", text, hint))
    elif isinstance(title, str) and re.search(r"<\w|&\w+;", title):
        text = "the display name holds HTML"
        found.append(Problem("display-name-unsafe", "warning", text))
    if not title and "argv" in spec:
        found.append(Problem("display-name-missing", "note", "there is no display name"))
    return tuple(found)
