"""`test`: start a kernel for real, as Jupyter would, and run one cell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .. import paths
from ..errors import UserError
from .look import find

if TYPE_CHECKING:
    import argparse

    from .context import Context


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of `test`."""
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--json", action="store_true")


def run(verb: str, args: argparse.Namespace, context: Context) -> int:
    """Start it, and say how long it took or why it did not."""
    from ..discovery import refuse_untrusted
    from ..launch.starttest import start_test

    kernel = find(args.name, context)
    refuse_untrusted(kernel)
    argv = [str(a).replace("{resource_dir}", kernel.path) for a in kernel.spec.get("argv") or []]
    if not argv:
        raise UserError(
            "not-startable",
            f"`{args.name}` has no start command",
            context={"kernel.json": kernel.path},
            hint="`kernelwright doctor` says more",
        )
    own = {str(k): str(v) for k, v in (kernel.spec.get("env") or {}).items()}
    log = paths.data_folder(context.home) / "logs" / f"test-{kernel.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    result = start_test(
        argv,
        env={**context.environ, **own},
        cwd=context.home,
        timeout=args.timeout,
        interrupt_mode=kernel.spec.get("interrupt_mode") or "signal",
        log=log,
        language=kernel.language,
    )
    if args.json:
        context.out(
            json.dumps(
                {
                    "version": 1,
                    "ok": result.ok,
                    "seconds": round(result.seconds, 3),
                    "output": result.output,
                    "problem": result.problem.as_json() if result.problem else None,
                },
                indent=2,
            )
        )
        return 0 if result.ok else 1
    if result.ok:
        context.out(f"`{kernel.name}` started and ran a cell in {result.seconds:.1f} s")
        return 0
    problem = result.problem
    raise UserError(
        problem.code if problem else "start-test-failed",
        problem.message if problem else f"`{kernel.name}` did not start",
        context={
            "evidence": (problem.evidence if problem else None)
            or result.output[-1500:]
            or "no output",
            "log": str(log),
        },
        hint=problem.hint if problem else None,
    )
