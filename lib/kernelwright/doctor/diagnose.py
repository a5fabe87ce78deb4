"""Every check on every kernel; one check that fails never hides what the others found."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..discovery import discover, named
from ..discovery.scan import state_of
from ..errors import Problem
from . import account, commands, containers, owned, pythons, scripts
from .subject import Around, subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..model import Kernel
    from .subject import Subject

# Every check of a kernel from outside; a new one is a function here (CONTRIBUTING has the list of files).
CHECKS: tuple[Callable[[Subject], Iterable[Problem]], ...] = (
    owned.check_owned,
    commands.check_start,
    commands.check_python_word,
    commands.check_quoting,
    commands.check_program_options,
    scripts.check_script,
    pythons.check_moved,
    pythons.check_ipykernel,
    pythons.check_leaks,
    pythons.check_architecture,
    pythons.check_network_disk,
    containers.check_container,
)


@dataclass(frozen=True)
class Diagnosis:
    """A kernel with everything that was found; `kernel.state` follows from it."""

    kernel: Kernel
    problems: tuple[Problem, ...]

    @property
    def broken(self) -> bool:
        """Whether it cannot start."""
        return self.kernel.state in {"broken", "untrusted"}


def examine_kernel(kernel: Kernel, around: Around, *, probe: bool = False) -> Diagnosis:
    """Every check on one kernel; `probe` also runs its interpreter."""
    one = subject(kernel, around)
    found = list(kernel.problems)
    if one.spec and not any(p.code == "kernelspec-is-connection-file" for p in found):
        for check in CHECKS:
            found += _told(check, one)
        if probe:
            from .probe import check_probe

            found += _told(check_probe, one)
    problems = _once(found)
    judged = replace(kernel, problems=problems, spec=one.spec)
    return Diagnosis(replace(judged, state=state_of(judged)), problems)


def _told(check: Callable[[Subject], Iterable[Problem]], one: Subject) -> list[Problem]:
    """What a check says. A kernel that a check cannot cope with must not end the visit to the others."""
    found: list[Problem] = []
    try:
        found += check(one)
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
        RecursionError,
    ) as error:
        text = f"the check {check.__name__} could not be made: {type(error).__name__}: {error}"
        found.append(
            Problem(
                "check-failed", "note", text, "this is an error in kernelwright: please report it"
            )
        )
    return found


def _once(found: Iterable[Problem]) -> tuple[Problem, ...]:
    """Errors first; of one code only what differs in its words."""
    rank = {"error": 0, "warning": 1, "note": 2}
    unique = {(p.code, p.message): p for p in found}
    return tuple(sorted(unique.values(), key=lambda p: rank[p.severity]))


def diagnose(
    around: Around, *, names: Iterable[str] = (), probe: bool = False
) -> tuple[list[Diagnosis], list[Problem]]:
    """The kernels (all, or those named) and the account; conda kernels that nobody named are left out."""
    wanted = list(names)
    kernels = discover(home=around.home, environ=around.environ, site=around.site, quick=False)
    if wanted:
        meant = {k.path for word in wanted for k in named(kernels, word)}
        chosen = [k for k in kernels if k.path in meant]
    else:
        chosen = [k for k in kernels if k.origin != "conda" or k.state == "broken"]
    found = [examine_kernel(kernel, around, probe=probe) for kernel in chosen]
    return found, [] if wanted else account.check_account(around)


def quick(around: Around, kernel: Kernel | None = None, *, seconds: float = 2.0) -> list[Problem]:
    """What `session prepare` asks: the account and the chosen kernel, cut off after `seconds`."""
    deadline = time.monotonic() + seconds
    found = list(account.check_account(around, thorough=False))
    if kernel is not None and time.monotonic() < deadline:
        one = subject(kernel, around)
        found += kernel.problems
        for check in CHECKS if one.spec else ():
            if time.monotonic() >= deadline:
                break
            found += _told(check, one)
    return list(_once(found))
