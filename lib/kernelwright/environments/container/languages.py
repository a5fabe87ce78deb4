"""How a kernel of each language starts inside an image, from what the probe found in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import UserError
from . import inject

if TYPE_CHECKING:
    from pathlib import Path

    from ...model import Recipe
    from .probe import Findings


# `python -c RUN_INJECTED FOLDER MODULE OPTIONS...`: as `python -m MODULE`, with FOLDER last on sys.path
RUN_INJECTED = "import runpy, sys; sys.path.append(sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"


@dataclass(frozen=True)
class Start:
    """The command inside the image, how it is interrupted, and the folder of wheels that it needs.

    `inject` is "" until the folder is made, None where the image has all it needs.
    """

    LAUNCHER: ClassVar = (
        "-m",
        "ipykernel_launcher",
    )  # launch puts its own entry in the place of this
    FILE: ClassVar = ("-f", "{connection_file}")

    argv: tuple[str, ...]
    interrupt_mode: str
    inject: str | None = None

    def with_injected(self, folder: Path | None) -> Start:
        """The same start with the folder that was made for it."""
        if folder is None:
            return self
        answers = inject.injected_version(folder, "ipykernel") >= inject.MESSAGES_SINCE
        python, *rest = self.argv
        if tuple(rest[:2]) != self.LAUNCHER:
            return replace(
                self, argv=(python, "-c", RUN_INJECTED, str(folder), *rest[1:]), inject=str(folder)
            )
        argv = (python, *self.LAUNCHER, "--inject", str(folder), *self.FILE)
        return Start(argv, "message" if answers else "signal", str(folder))

    def facts(self) -> dict[str, Any]:
        """Plain data for made.json."""
        return asdict(self)


def start_of(recipe: Recipe, findings: Findings, image: str) -> Start:
    """The start of `recipe` in an image; raises UserError `image-has-no-kernel` and says what it has."""
    if recipe.command:
        return Start(recipe.command, recipe.interrupt_mode or "signal")
    if recipe.language == "python":
        return _python(findings, image)
    for spec in findings.kernelspecs:
        if spec.language == recipe.language:
            return Start(spec.argv, spec.interrupt_mode or "signal")
    if recipe.language == "bash" and findings.python and "bash" in findings.programs:
        return _bash(findings, image)
    if recipe.language == "r" and findings.irkernel and "R" in findings.programs:
        argv = (
            findings.programs["R"],
            "--slave",
            "-e",
            "IRkernel::main()",
            "--args",
            "{connection_file}",
        )
        return Start(argv, "signal")
    raise _none(recipe.language, findings, image)


def _python(findings: Findings, image: str) -> Start:
    if findings.python is None:
        raise _none("python", findings, image)
    argv = (findings.python, *Start.LAUNCHER, *Start.FILE)
    if findings.messages is not None:
        return Start(argv, "message" if findings.messages else "signal")
    inject.check_python(findings, image)
    return Start(argv, "signal", "")


def _bash(findings: Findings, image: str) -> Start:
    """bash_kernel runs under Python; where the image has Python alone, the package is brought to it."""
    argv = (str(findings.python), "-m", "bash_kernel", *Start.FILE)
    if "bash-kernel" in findings.packages and findings.messages is not None:
        return Start(argv, "signal")
    inject.check_python(findings, image)
    return Start(argv, "signal", "")


HINTS = {
    "r": "install IRkernel in the image: `R -e 'install.packages(\"IRkernel\")'`",
    "julia": "install IJulia in the image for all users, with its kernelspec in /usr/local/share/jupyter",
    "bash": "the bash kernel needs bash and Python 3 in the image",
    "python": "install Python 3 in the image, or choose another language with --language",
}


def _none(language: str, findings: Findings, image: str) -> UserError:
    others = sorted(
        {spec.language for spec in findings.kernelspecs}
        | ({"r"} if findings.irkernel else set())
        | ({"python"} if findings.python else set()) - {language}
    )
    hint = HINTS.get(
        language,
        "install that language's kernel with its kernelspec in /usr/local/share/jupyter, or give the start command in the recipe's `command`",
    )
    if language not in others and others:
        hint = f"kernels of this image: {', '.join(others)}; choose with --language, or {hint}"
    return UserError(
        "image-has-no-kernel",
        f"no {language} kernel can be started in `{image}`",
        context={"the image has": findings.words()},
        hint=hint,
    )
