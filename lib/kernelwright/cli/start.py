"""`test`: start a kernel for real, as Jupyter would, and run one cell."""

from __future__ import annotations

import json
from dataclasses import replace
from string import Template
from typing import TYPE_CHECKING

from .. import paths
from ..errors import UsageError, UserError
from ..store.atomic import make_folder
from .look import find

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path

    from ..launch.starttest import TestResult
    from ..model import Kernel
    from .context import Context


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of `test`."""
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--json", action="store_true")


def run(verb: str, args: argparse.Namespace, context: Context) -> int:
    """Start it, and say how long it took or why it did not."""
    from ..discovery import refuse_untrusted

    if not 0 < args.timeout <= 3600:
        raise UsageError("usage", "--timeout must lie between 0 and 3600 seconds")
    kernel = find(args.name, context)
    refuse_untrusted(kernel)
    log = make_folder(paths.data_folder(context.home) / "logs") / f"test-{kernel.name}.log"
    result = _start(kernel, args.timeout, log, context)
    if args.json:
        problem = result.problem.as_json() if result.problem else None
        said = {"ok": result.ok, "seconds": round(result.seconds, 3), "output": result.output}
        context.out(json.dumps({"version": 1, **said, "problem": problem}, indent=2))
        return 0 if result.ok else 1
    if not result.ok:
        raise _failure(kernel, result, log)
    context.out(f"`{kernel.name}` started and ran a cell in {result.seconds:.1f} s")
    return 0


def _start(kernel: Kernel, timeout: float, log: Path, context: Context) -> TestResult:
    """As Jupyter would: {resource_dir} filled in, `$X` of env taken from the environment."""
    from ..launch.starttest import start_test

    argv = kernel.spec.get("argv")
    if not isinstance(argv, list) or not argv:
        raise UserError(
            "not-startable",
            f"`{kernel.name}` has no start command",
            context={"kernelspec": kernel.path},
            hint="`kernelwright doctor` says more",
        )
    return start_test(
        [str(word).replace("{resource_dir}", kernel.path) for word in argv],
        env=environment(kernel, context.environ),
        cwd=context.home,
        timeout=timeout,
        interrupt_mode=kernel.spec.get("interrupt_mode") or "signal",
        log=log,
        language=kernel.language,
    )


def environment(kernel: Kernel, environ: Mapping[str, str]) -> dict[str, str]:
    """What Jupyter gives the kernel: its surroundings, and over them `env` of kernel.json with `$X` filled in."""
    own = kernel.spec.get("env")
    pairs = own.items() if isinstance(own, dict) else ()
    return {**environ, **{str(k): Template(str(v)).safe_substitute(environ) for k, v in pairs}}


def _failure(kernel: Kernel, result: TestResult, log: Path) -> UserError:
    """What is known of the kernel from outside says more than that it was silent."""
    from ..launch.starttest import failure

    known = next((p for p in kernel.problems if p.severity == "error"), result.problem)
    error = failure(replace(result, problem=known), f"`{kernel.name}` did not start")
    error.context["log"] = str(log)
    return error
