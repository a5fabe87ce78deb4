"""Writes docs/reference/cli.md from the parsers themselves; `--check` fails when the page is not current."""

import argparse
import importlib
import io
import os
import sys
from pathlib import Path

os.environ["COLUMNS"] = "100"
ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/reference/cli.md"
sys.path.insert(0, str(ROOT / "lib"))

from kernelwright import cli  # noqa: E402

HEAD = """\
# The command line

stdout is data, stderr is messages and progress. `--json` is understood by every reading command and by `create`: one document `{"version": 1, ...}`;
a failure then is `{"version": 1, "error": {"code", "message", "context", "hint"}}` on stdout. Exit status: 0 done, 1 failed (`doctor`, `test` and `site check` also: problems found), 2 usage.
`NO_COLOR` and pipes are respected. Names with capitals or spaces are display names; the kernel name follows from them.

This page is written by `docs/make_cli_reference.py` from the command itself.
"""


def parsers(parser, words):
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                yield from parsers(sub, f"{words} {name}")


def page():
    out = io.StringIO()
    out.write(HEAD)
    for verb, (module, text) in cli.VERBS.items():
        parser = cli.Parser(prog=f"kernelwright {verb}", description=text, allow_abbrev=False)
        importlib.import_module(f"kernelwright.cli.{module}").configure(verb, parser)
        out.write(f"\n## {verb}\n")
        for words, one in parsers(parser, f"kernelwright {verb}"):
            one.prog = words
            out.write(f"\n```text\n{one.format_help().rstrip()}\n```\n")
    return out.getvalue()


if "--check" in sys.argv:
    sys.exit(
        PAGE.read_text() != page()
        and "docs/reference/cli.md is not current: run docs/make_cli_reference.py"
    )
PAGE.write_text(page())
