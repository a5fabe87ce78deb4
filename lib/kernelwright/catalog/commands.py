"""Values that a site takes from a command: run by `site compile` or in the job, never by the form."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from .. import process
from ..errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

LINES = 500
LINE_LENGTH = 300


def lines_of(said: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> list[str]:
    """The lines that the command prints. Raises UserError `site-command-failed`."""
    argv = [str(word) for word in said.get("command") or ()]
    if not argv:
        raise UserError("site-command-failed", "it names no command that could be run")
    try:
        result = process.run(argv, timeout=float(said.get("timeout") or 10), env=environ, cwd="/")
    except UserError as error:
        raise UserError("site-command-failed", error.message, context=error.context) from error
    if not result.ok:
        raise UserError(
            "site-command-failed",
            f"`{shlex.join(argv)[:120]}` ended with status {result.status}",
            context={"output": result.tail(5)[-500:] or "none"},
        )
    lines = [line.strip() for line in result.stdout.splitlines() if line.strip()]
    if len(lines) > LINES or any(len(line) > LINE_LENGTH for line in lines):
        raise UserError(
            "site-command-failed",
            f"`{argv[0]}` printed more than {LINES} lines, or lines of more than {LINE_LENGTH} characters",
        )
    return lines


def options_of(
    said: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> list[dict[str, str]]:
    """Options, one a line: the value, or the value, a tab and a label."""
    found = []
    for line in lines_of(said, environ):
        value, _, label = line.partition("\t")
        found.append({"value": value.strip(), "label": label.strip() or value.strip()})
    return found
