"""`completion bash`: verbs, kinds and kernel names; source it in a start file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import VERBS
from .create import KINDS

if TYPE_CHECKING:
    import argparse

    from .context import Context

SCRIPT = """\
# bash completion for kernelwright: source this file, or put it into /etc/bash_completion.d
_kernelwright() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} verb=${{COMP_WORDS[1]-}}
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "{verbs}" -- "$word")
    elif [ "$verb" = create ] && [ "$COMP_CWORD" -eq 2 ]; then
        mapfile -t COMPREPLY < <(compgen -W "{kinds}" -- "$word")
    elif [ "$COMP_CWORD" -eq 2 ]; then
        case $verb in
            {named}) mapfile -t COMPREPLY < <(compgen -W "$(_kernelwright_names)" -- "$word") ;;
        esac
    fi
}}
_kernelwright_names() {{
    local spec
    for spec in "${{KERNELWRIGHT_HOME:-$HOME}}"/.local/share/jupyter/kernels/*/kernel.json; do
        [ -e "$spec" ] && spec=${{spec%/kernel.json}} && printf '%s ' "${{spec##*/}}"
    done
}}
complete -o default -F _kernelwright kernelwright
"""
NAMED = (
    "show",
    "test",
    "doctor",
    "repair",
    "update",
    "remove",
    "add",
    "edit",
    "rollback",
    "generations",
    "clone",
    "rename",
    "export",
    "share",
    "shell",
    "report",
)


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Only bash is known."""
    parser.add_argument("shell", choices=("bash",))


def run(verb: str, args: argparse.Namespace, context: Context) -> int:
    """Print the script."""
    context.out(
        SCRIPT.format(verbs=" ".join(VERBS), kinds=" ".join(KINDS), named="|".join(NAMED)).rstrip()
    )
    return 0
