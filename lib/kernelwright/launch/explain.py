"""Called by watch.sh when a kernel did not start or has ended badly: says why, in a file or as a kernel.

`python -I -m kernelwright.launch.explain GENERATION BASE [--kernel CONNECTION_FILE]`, where BASE.start is
the record that start.sh and watch.sh wrote and BASE.log what the kernel wrote. With --kernel this process becomes
the diagnostic kernel on that connection file; else it writes BASE.died for the next start.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import paths
from ..errors import Problem
from . import classify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..config.model import SiteConfig

LOG_LIMIT = 256 << 10  # bytes of the log's end that are looked at
OTHERS_CODES = ("repair", "update", "edit", "test")  # verbs for the owner of a kernel alone


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    generation, base = Path(words[0]), Path(words[1])
    record = read_record(base.with_name(base.name + ".start"))
    died = base.with_name(base.name + ".died")
    if record.get("what") == "died":
        answer = json.loads(died.read_text())
        died.unlink()
        answer["again"] = True
    else:
        answer = find_out(generation, base, record, os.environ)
    if words[2:3] != ["--kernel"]:
        status = _number(record.get("status")) or 0
        if not classify.is_plain_quit(answer["language"], status, answer.get("log", "")):
            write(died, answer)
        return 0
    problem = base.with_name(base.name + ".problem")
    with contextlib.suppress(OSError):
        write(problem, answer)
    from . import diagnostic

    return diagnostic.serve(answer, words[3])


def find_out(
    generation: Path, base: Path, record: Mapping[str, str], environ: Mapping[str, str]
) -> dict[str, Any]:
    """The document of the diagnostic kernel: problem, kernel, log and the command that may mend it."""
    site = _site(environ, record)
    recipe = _recipe(generation)
    log = read_log(base.with_name(base.name + ".log"))
    start = describe(generation, record, recipe, site)
    status = _number(record.get("status")) or 0
    if record.get("what") == "ended":
        problem = classify.explain_end(status, log, start)
    else:
        problem = classify.explain(
            None if record.get("what") == "kernel-silent" else status, log, start
        )
    owned = os.access(generation, os.W_OK)
    if not owned:
        problem = for_others_kernel(problem, start, site)
    answer = document(generation, record, problem)
    return answer | {
        "log": log,
        "fix": fix_for(problem, start) if owned else None,
        "ended": start.ended,
    }


def document(generation: Path, record: Mapping[str, str], problem: Problem) -> dict[str, Any]:
    """What the diagnostic kernel and the next start read, without log and repair."""
    recipe = _recipe(generation)
    name = str(recipe.get("name") or "NAME")
    return {
        "version": 1,
        "kernel": name,
        "display_name": recipe.get("display_name") or name,
        "language": str(recipe.get("language") or "python"),
        "problem": problem.as_json(),
        "runtime": record.get("runtime", ""),
    }


def describe(
    generation: Path, record: Mapping[str, str], recipe: Mapping[str, Any], site: SiteConfig
) -> classify.Start:
    """What start.sh recorded and the kernel's own files say, in the words of `classify`."""
    environment = recipe.get("environment") or {}
    kind = next(iter(environment), None)
    spec = environment.get(kind) or {}
    started, ended = _number(record.get("started")), _number(record.get("ended"))
    limit, peak = memory_of(record.get("cgroup", ""))
    use = tuple(str(folder) for folder in (recipe.get("modules") or {}).get("use") or ())
    wants_modules = record.get("what") == "module-failed"
    return classify.Start(
        name=str(recipe.get("name") or "NAME"),
        command=site.command or "kernelwright",
        language=str(recipe.get("language") or "python"),
        kind=kind,
        script=str(spec.get("path", "SCRIPT")) if kind == "script" else "SCRIPT",
        recipe=read_log(generation / "recipe.yml"),
        what=record.get("what", "exited"),
        step=record.get("step", ""),
        seconds=ended - started if started and ended else None,
        kills=max(
            0, (_number(record.get("kills_now")) or 0) - (_number(record.get("oom_kill")) or 0)
        ),
        memory_limit=limit,
        memory_peak=peak,
        told=record.get("told", ""),
        ended=ended,
        job=record.get("job", ""),
        job_end=_number(record.get("job_end")),
        host=record.get("host", ""),
        home_full=bool(record.get("home_full")),
        modules_available=_modules(site, use) if wants_modules else (),
        own_files=own_files(os.environ),
    )


def about(
    generation: Path, record: Mapping[str, str], environ: Mapping[str, str]
) -> classify.Start:
    """What is known of a start of the kernel in `generation`."""
    return describe(generation, record, _recipe(generation), _site(environ, record))


def own_files(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The user's files that IPython runs at each start, by its own rules for their places."""
    named = environ.get("IPYTHONDIR") or os.path.join(environ.get("HOME", "/"), ".ipython")
    profile = Path(named) / "profile_default"
    found = [*profile.glob("startup/*.*py"), *profile.glob("ipython*_config.*")]
    return tuple(sorted(str(path) for path in found))


def read_record(path: Path) -> dict[str, str]:
    """The lines NAME=VALUE of a record; the last one of a name counts."""
    with contextlib.suppress(OSError):
        lines = path.read_text(errors="replace").splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}
    return {}


def read_log(path: Path) -> str:
    """The end of the log; empty where there is none."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_LIMIT))
        return file.read(LOG_LIMIT).decode(errors="replace")
    return ""


def memory_of(cgroup: str) -> tuple[int | None, int | None]:
    """Limit and peak in bytes of a memory cgroup, v2 (memory.max) or v1; the nearest limit above counts."""
    folder = Path(cgroup or "/nowhere")
    peak = _first_number(folder, "memory.peak", "memory.max_usage_in_bytes")
    while len(folder.parts) > 3:
        limit = _first_number(folder, "memory.max", "memory.limit_in_bytes")
        if limit is not None and limit < 1 << 60:
            return limit, peak
        folder = folder.parent
    return None, peak


def for_others_kernel(problem: Problem, start: classify.Start, site: SiteConfig) -> Problem:
    """The same problem of a central or shared kernel: its owner mends it, a copy can be mended oneself."""
    if not problem.hint or not any(
        f"{start.command} {verb} " in problem.hint for verb in OTHERS_CODES
    ):
        return problem
    who = f"tell {site.site.support}" if site.site.support else "tell its owner"
    hint = f"this kernel is not yours: {who}, or make a copy that you can change: `{start.command} clone {start.name} NEW-NAME`"
    return Problem(problem.code, problem.severity, problem.message, hint, problem.evidence)


def fix_for(problem: Problem, start: classify.Start) -> list[str] | None:
    """The arguments of `kernelwright` that `%fix` runs, where the hint has one that needs no choice."""
    hint = problem.hint or ""
    for verb in ("repair", "update"):
        if f"`{start.command} {verb} {start.name}`" in hint:
            return [verb, start.name]
    return ["storage", "--clean"] if "storage --clean" in hint else None


def write(path: Path, answer: Mapping[str, Any]) -> None:
    """One file, complete or not there."""
    from ..store import atomic

    atomic.write_json(path, answer)


def _site(environ: Mapping[str, str], record: Mapping[str, str]) -> SiteConfig:
    from ..config import load_effective

    runtime = {"KERNELWRIGHT_RUNTIME": record["runtime"]} if record.get("runtime") else {}
    return load_effective({**environ, **runtime})


def _recipe(generation: Path) -> dict[str, Any]:
    """The recipe as plain data: it may be newer or more broken than what `recipe.load` takes."""
    import yaml

    from ..store.atomic import read_json

    with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
        data = yaml.safe_load((generation / "recipe.yml").read_text())
        if isinstance(data, dict):
            return data
    facts = read_json(generation / "entry.json")
    return {"name": facts.get("name")} if isinstance(facts, dict) else {}


def _modules(site: SiteConfig, use: tuple[str, ...]) -> tuple[str, ...]:
    from ..modules import available

    with contextlib.suppress(
        Exception
    ):  # a list of near names is a nicety: the reason is known already
        return available(
            site=site, home=paths.home_folder(), environ=os.environ, use=use, timeout=20.0
        ).names()
    return ()


def _number(text: str | None) -> int | None:
    return int(text) if text and text.lstrip("-").isdigit() else None


def _first_number(folder: Path, *names: str) -> int | None:
    for name in names:
        with contextlib.suppress(OSError):
            return _number((folder / name).read_text().strip())
    return None


if __name__ == "__main__":
    raise SystemExit(main())
