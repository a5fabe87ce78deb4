"""`kernelwright` alone: what there is, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .look import list_table, refresh

if TYPE_CHECKING:
    from .context import Context


def run(context: Context) -> int:
    """Show the kernels, then the three commands that people want next, as they are called on this site."""
    kernels = refresh(context)
    shown = [k for k in kernels if k.visible or k.origin in {"group", "site"}]
    if context.site.site.message:
        context.out(context.site.site.message + "\n")
    context.out(
        f"Kernels on {context.site.site.name}:\n"
        if shown
        else f"You have no kernels on {context.site.site.name} yet.\n"
    )
    if shown:
        context.out(list_table(shown) + "\n")
    call = context.site.command or "kernelwright"
    steps = [
        ("make one from packages", f"{call} create venv my-kernel numpy"),
        ("make one from an image", f"{call} create container my-image IMAGE"),
        ("find out why one fails", f"{call} doctor NAME"),
        ("everything else", f"{call} --help"),
    ]
    context.out("What next:")
    for text, command in steps:
        context.out(f"  {text:24}{command}")
    if context.site.site.support:
        context.out(f"\nHelp: {context.site.site.support}")
    return 0
