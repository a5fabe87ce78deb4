"""The command: parse, dispatch, render. No decisions are taken here.

Each verb is one row of VERBS; its module is imported only when the verb is called, so that `list`
does not pay for `create`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import UsageError, UserError
from .context import Context

if TYPE_CHECKING:
    from collections.abc import Sequence

# verb: (module in this package, one line of help)
VERBS = {
    "list": ("look", "show the kernels you can use, and what is wrong with them"),
    "create": ("create", "make a kernel: conda, venv, container, script, prefix, recipe, template"),
    "show": ("look", "show everything about one kernel"),
    "test": ("start", "start a kernel for real and run one cell"),
    "doctor": ("doctor", "say what is wrong with kernels, with a notebook or with the account"),
    "repair": ("doctor", "mend what has one right answer"),
    "update": ("change", "build the next generation of a kernel"),
    "remove": ("keep", "remove a kernel"),
    "add": ("change", "add packages to a kernel"),
    "adopt": ("adopt", "take hand-made kernels into care"),
    "edit": ("change", "change name, settings or launcher without a build"),
    "rollback": ("keep", "go back to an earlier generation"),
    "generations": ("keep", "list or prune the generations of a kernel"),
    "clone": ("keep", "make a copy of a kernel under another name"),
    "rename": ("keep", "give a kernel another name; the old one stays as an alias"),
    "export": ("share", "write one file from which the kernel can be built again elsewhere"),
    "import": ("share", "build a kernel from an exported file"),
    "share": ("share", "publish a kernel for a group"),
    "unshare": ("share", "take a shared kernel back"),
    "trust": ("share", "let a shared kernel run as you, as long as it stays the same"),
    "request": ("share", "write the bundle with which the site can make a kernel central"),
    "shell": ("shell", "open a shell, or run a command, in a kernel's environment"),
    "report": ("doctor", "write a report for the help desk, without secrets"),
    "modules": ("modules", "list the environment modules that can be loaded"),
    "storage": ("storage", "list what we own on disk; --clean removes what nothing uses"),
    "jobs": ("jobs", "list, cancel or clean the Slurm jobs of kernels"),
    "session": ("session", "machinery: prepare and clean an Open OnDemand session"),
    "site": ("site", "for admins: the site's configuration, central kernels and templates"),
    "completion": ("completion", "print the completion script for bash"),
}
SHOWN = ("list", "create", "show", "test", "doctor", "repair", "update", "remove")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one call of the command and return its exit status: 0 done, 1 failed, 2 usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    context = Context.from_process()
    try:
        status = _dispatch(words, context)
        context.flush()
    except UserError as error:
        lost = error.code == "output-not-written"
        _say_error(error, context, as_json="--json" in words and not lost)
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # what nobody nearer has explained, such as a folder that was closed
        if error.filename is None:
            raise
        told = UserError("file-not-usable", f"`{error.filename}`: {error.strerror}")
        _say_error(told, context, as_json="--json" in words)
        return 1
    except KeyboardInterrupt:
        context.say("interrupted; nothing was published")
        return 130
    return status


def _dispatch(words: list[str], context: Context) -> int:
    if not words:
        return importlib.import_module(".welcome", __package__).run(context)  # type: ignore[no-any-return] # a module found by name
    verb = words[0]
    if verb in {"-h", "--help", "help"}:
        context.out(_help(everything="--all" in words))
        return 0
    if verb in {"-V", "--version"}:
        context.out(f"kernelwright {__version__}")
        return 0
    if verb not in VERBS:
        raise UsageError(
            "unknown-verb",
            f"`{verb[:80]}` is not a verb of kernelwright",
            hint=_nearest(verb) + "`kernelwright --help` lists them",
        )
    module = importlib.import_module(f".{VERBS[verb][0]}", __package__)
    parser = Parser(prog=f"kernelwright {verb}", description=VERBS[verb][1], allow_abbrev=False)
    module.configure(verb, parser)
    return module.run(verb, parser.parse_args(words[1:]), context)  # type: ignore[no-any-return] # a module found by name


def _nearest(verb: str) -> str:
    import difflib

    found = difflib.get_close_matches(verb, sorted(VERBS, key=lambda v: v not in SHOWN), n=3)
    found.sort(key=lambda v: (sorted(v) != sorted(verb), v not in SHOWN))
    return f"did you mean `{found[0]}`? " if found else ""


def _help(*, everything: bool) -> str:
    rows = [
        f"  {name:12} {text}" for name, (_, text) in VERBS.items() if everything or name in SHOWN
    ]
    more = [] if everything else ["", "`kernelwright --help --all` lists every verb"]
    head = ["usage: kernelwright VERB [ARGUMENT...] [--json]", ""]
    return "\n".join([*head, *rows, *more, "`kernelwright VERB --help` explains one of them"])


class Parser(argparse.ArgumentParser):
    """argparse with our errors: code `usage`, exit status 2, and `--json` respected."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 - the overloads of argparse
        """Take the words after an option too: argparse gives `SPEC...` only the first run of words."""
        found, rest = super().parse_known_args(args, namespace)
        several = next((a for a in self._actions if a.nargs == "*" and not a.option_strings), None)
        if several and not any(word.startswith("-") for word in rest):
            setattr(found, several.dest, [*getattr(found, several.dest), *rest])
            rest = []
        return found, rest

    def error(self, message: str) -> None:  # type: ignore[override] # argparse says NoReturn; raising is one
        """Raise the usage error instead of printing and exiting."""
        raise UsageError("usage", message, hint=f"`{self.prog} --help` shows how it is called")


def _say_error(error: UserError, context: Context, *, as_json: bool) -> None:
    if as_json:
        context.out(json.dumps({"version": 1, "error": error.as_json()}, indent=2))
        return
    lines = [context.paint("red", f"error: {error.code}"), f"  {error.message}"]
    for name, value in error.context.items():
        body = value.replace("\n", "\n    ")
        lines.append(f"  {name}: {body}")
    if error.hint:
        lines += ["", f"hint: {error.hint}"]
    context.say("\n".join(lines))
