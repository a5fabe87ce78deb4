"""The one kernel that a person means, with its kernel.json read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import UserError
from .kernelspec_file import read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..model import Kernel


def named(kernels: Iterable[Kernel], word: str) -> list[Kernel]:
    """Those that `word` stands for: a kernel name, or GROUP/NAME; the one that Jupyter starts is first."""
    group, slash, name = word.removeprefix("group:").partition("/")
    found = [
        with_spec(k)
        for k in kernels
        if k.name == word or (slash and k.origin == "group" and (k.group, k.name) == (group, name))
    ]
    return sorted(found, key=lambda k: not k.visible)


def with_spec(kernel: Kernel) -> Kernel:
    """The kernel with its kernel.json: where the index was believed, nobody has read it yet."""
    return kernel if kernel.spec else replace(kernel, spec=read(kernel.path).spec)


def refuse_untrusted(kernel: Kernel) -> None:
    """Raise `untrusted-kernel` for a shared kernel that must not run as this user; asked before each start."""
    why = next((p for p in kernel.problems if p.code == "untrusted-kernel"), None)
    if why is not None:
        called = f"{kernel.group}/{kernel.name}"
        raise UserError(
            why.code,
            why.message,
            hint=f"look at it with `kernelwright show {called}`; if you know its owner, say `kernelwright trust {called}` first",
        )
