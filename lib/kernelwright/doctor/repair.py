"""`repair NAME`: what has one right answer is mended, with a diff and a backup; nothing is ever deleted.

The user's own shell start files are never touched.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..discovery import discover, write_index
from ..discovery.kernelspec_file import LIMIT, NAME, read_bytes
from ..errors import UserError
from ..store import Store
from . import mend, repair_owned
from .diagnose import examine_kernel
from .install import install_ipykernel, own_folder
from .pythons import check_ipykernel
from .search import alike, find_moved
from .steps import Outcome, Step, keep, spec_text, write_step
from .subject import Subject, subject, text_of

if TYPE_CHECKING:
    from ..errors import Problem
    from ..model import Kernel
    from ..progress import Progress
    from .diagnose import Diagnosis
    from .subject import Around


def repair(
    name: str,
    around: Around,
    *,
    progress: Progress,
    prefix: str | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Mend the kernel called `name`; `prefix` says where its environment is now.

    Raises UserError `no-such-kernel`, `not-yours` and whatever a rebuild raises.
    """
    kernel = _find(name, around)
    if kernel is None:
        return repair_owned.restore(name, around, progress, dry_run=dry_run)
    _check_mine(kernel, around)
    before = examine_kernel(kernel, around)
    steps = plan(before, around, progress, prefix)
    if dry_run:
        return Outcome(name, tuple(steps), left=_errors(before), dry_run=True)
    touched = tuple(dict.fromkeys(path for step in steps for path in step.touches))
    backups = keep(touched, Store(around.home, around.site, around.environ).backups, name)
    for step in steps:
        step.apply()
    if steps and kernel.owned:
        repair_owned.forget_problems(subject(kernel, around))
    after_kernel = _find(name, around) or kernel
    after = examine_kernel(after_kernel, around)
    write_index(around.home, discover(home=around.home, environ=around.environ, site=around.site))
    return Outcome(name, tuple(steps), tuple(backups), _errors(after))


def _errors(diagnosis: Diagnosis) -> tuple[Problem, ...]:
    return tuple(p for p in diagnosis.problems if p.severity == "error")


def _find(name: str, around: Around) -> Kernel | None:
    kernels = discover(home=around.home, environ=around.environ, site=around.site, quick=False)
    named = [k for k in kernels if k.name == name.lower() and k.origin != "conda"]
    return next((k for k in named if k.visible), next(iter(named), None))


def _check_mine(kernel: Kernel, around: Around) -> None:
    folder = os.path.realpath(kernel.path)
    if (
        kernel.origin in {"site", "group", "jupyter"}
        and not kernel.owned
        and not own_folder(folder)
    ):
        raise UserError(
            "not-yours",
            f"the kernel `{kernel.name}` belongs to others and is not mended from here",
            context={"kernelspec": kernel.path},
            hint=f"`kernelwright clone {kernel.name} NEW` makes a copy of your own; tell {around.site.site.support or 'its owner'}",
        )


def plan(found: Diagnosis, around: Around, progress: Progress, prefix: str | None) -> list[Step]:
    """The steps that mend what was found, in order."""
    one = subject(found.kernel, around)
    if found.kernel.owned:
        return repair_owned.plan(one, found, progress, prefix)
    store = Store(around.home, around.site, around.environ)
    lost = None if one.kernel.loads else repair_owned.lost_generation(one.kernel.name, store)
    if lost is not None:
        return [repair_owned.publish_step(one.kernel.name, lost, store, around, progress)]
    steps = _spec_steps(one, found, prefix)
    return [*steps, *_script_steps(one, found), *_install_step(one, found, progress, prefix)]


def _spec_steps(one: Subject, found: Diagnosis, prefix: str | None) -> list[Step]:
    """One new kernel.json with everything that can be put right in it."""
    path = Path(one.kernel.path) / NAME
    if (
        not one.spec
        or not path.is_file()
        or any(p.code == "kernelspec-is-connection-file" for p in found.problems)
    ):
        return []
    codes = frozenset(p.code for p in found.problems)
    spec, done = mend.mend(one.spec, one.kernel.name)
    new, why = _new_place(one, codes, prefix)
    if new is not None and one.prefix is not None:
        spec = mend.moved(spec, str(one.prefix), str(new))
        done.append(why)
    warned = frozenset(p.code for p in found.problems if p.severity != "note")
    spec, leaks = mend.without_leaks(spec, warned, str(new or one.prefix or ""))
    done += leaks
    old = read_bytes(str(path), LIMIT).decode("utf-8", "replace")
    if not one.kernel.loads:
        done.insert(0, "write kernel.json as sound JSON")
    if not done or (spec == one.spec and one.kernel.loads):
        return []
    return [
        write_step("kernelspec", "; ".join(dict.fromkeys(done)), path, old=old, new=spec_text(spec))
    ]


def _new_place(one: Subject, codes: frozenset[str], prefix: str | None) -> tuple[Path | None, str]:
    """Where the environment is now: as the user says, or the only one that remembers its old place."""
    if one.prefix is None:
        return None, ""
    if prefix is not None:
        new = Path(os.path.abspath(os.path.expanduser(prefix)))
        if not any(
            (new / "bin" / n).exists()
            for n in ("python", "python3", os.path.basename(one.python or ""))
        ):
            raise UserError(
                "environment-missing",
                f"there is no environment in `{new}`",
                hint="give the folder that holds `bin/`",
            )
        return new, f"start the environment in {new}"
    if not codes & {"interpreter-not-found", "base-python-missing"} or os.path.isdir(one.prefix):
        return None, ""
    places = find_moved(one.prefix, one.around)
    if len(places) == 1:
        return places[
            0
        ], f"start the environment where it is now: {places[0]} was made as {one.prefix}"
    near = places or alike(one.prefix, one.around)
    if near:
        names = ", ".join(f"`{p}`" for p in near[:5])
        raise UserError(
            "environment-not-certain",
            f"the environment `{one.prefix}` is gone, and it is not certain which one took its place",
            context={"candidates": names},
            hint=f"`kernelwright repair {one.kernel.name} --prefix {near[0]}`",
        )
    return None, ""


def _script_steps(one: Subject, found: Diagnosis) -> list[Step]:
    """A start script of the user's own: line ends, first line, execute permission."""
    codes = {p.code for p in found.problems}
    program = one.start.program
    if (
        not program
        or not codes & {"script-crlf", "script-without-shebang", "script-not-executable"}
        or not _own_file(program)
    ):
        return []
    path, text = Path(program), text_of(program)
    new, done = text, []
    if "script-crlf" in codes:
        new, done = new.replace("\r\n", "\n"), ["take the line ends of Windows out"]
    if "script-without-shebang" in codes and "\x00" not in text and text:
        new = (
            re.sub(r"\A#?!?\s*(/\S*/?bin/(?:env )?\w+)", r"#!\1", new)
            if re.match(r"#?!?\s*/\S*bin/", new)
            else "#!/bin/bash\n" + new
        )
        done.append("begin it with `#!`")
    mode = os.stat(program).st_mode & 0o7777
    if "script-not-executable" in codes and os.path.isfile(program):
        mode |= 0o100
        done.append("let it be executed")
    return (
        [write_step("script", f"{program}: {'; '.join(done)}", path, old=text, new=new, mode=mode)]
        if done
        else []
    )


def _own_file(path: str) -> bool:
    try:
        return (
            os.path.isfile(path)
            and os.stat(path).st_uid == os.getuid()
            and os.access(os.path.dirname(path), os.W_OK)
        )
    except OSError:
        return False


def _install_step(
    one: Subject, found: Diagnosis, progress: Progress, prefix: str | None
) -> list[Step]:
    """ipykernel for an environment of the user's own that lacks it (also one that was found again)."""
    moved_to = _moved_python(one, found, prefix)
    python = moved_to or one.python
    lacks = any(p.code == "ipykernel-missing" for p in found.problems)
    if moved_to:
        spec = mend.moved(one.spec, str(one.prefix), str(Path(moved_to).parent.parent))
        lacks = any(
            True for _ in check_ipykernel(Subject(replace(one.kernel, spec=spec), spec, one.around))
        )
    if not lacks or python is None or not own_folder(os.path.realpath(Path(python).parent.parent)):
        return []
    text = f"install ipykernel into {Path(python).parent.parent}"
    return [
        Step("ipykernel-missing", text, lambda: install_ipykernel(python, one.around, progress))
    ]


def _moved_python(one: Subject, found: Diagnosis, prefix: str | None) -> str | None:
    codes = frozenset(p.code for p in found.problems)
    new, _ = _new_place(one, codes, prefix)
    return one.python.replace(str(one.prefix), str(new), 1) if new and one.python else None
