"""From a hand-made command line to the recipe that keeps its behaviour.

Pure but for looking whether files are there. What we do not understand is adopted as it stands, behind
a script that only executes its arguments: an unknown wrapper is never taken apart.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..discovery import shapes
from ..discovery.programs import is_servers_python
from ..environments import layout
from ..errors import UserError
from ..model import Bind, ContainerSpec, Isolation, PrefixSpec, Recipe, ScriptSpec
from . import containers
from .subject import is_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model import EnvironmentSpec

STANDARD = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
OPEN = Isolation(user_site=True, pythonpath=True, ld_library_path=True)
# options of apptainer that our own container kernels make superfluous
_MUTE = frozenset(
    {"--debug", "-d", "-s", "-q", "--silent", "--quiet", "-v", "--verbose", "-e", "--cleanenv"}
)
_GPU = {"--nv": "nvidia", "--rocm": "rocm"}


@dataclass(frozen=True)
class Wish:
    """What the user adds where the kernelspec does not say it: the environment or the image that was meant."""

    prefix: str | None = None
    image: str | None = None


def recipe_for(
    name: str,
    spec: Mapping[str, Any],
    source: Path,
    resources: Path,
    wish: Wish = Wish(),
) -> Recipe:
    """The recipe of an adopted kernel; `{resource_dir}` is `source` now and `resources` from then on.

    Raises UserError where a decision is needed or the kernel cannot be one of ours.
    """
    _refuse(name, spec)
    argv = _argv(name, spec, resources, wish)
    environment, command, isolation = _environment(argv, source, resources, wish)
    mode = str(spec.get("interrupt_mode", "")).lower()
    env = _container_env(spec) if isinstance(environment, ContainerSpec) else {}
    title = spec.get("display_name")
    return Recipe(
        name,
        environment,
        display_name=title if isinstance(title, str) and title != name else None,
        language=str(spec.get("language") or "python").lower(),
        env=env,
        isolation=isolation,
        command=command,
        interrupt_mode=mode if mode in {"message", "signal"} else None,  # type: ignore[arg-type] # one of the two
    )


def _refuse(name: str, spec: Mapping[str, Any]) -> None:
    metadata = spec.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("kernel_provisioner"), dict):
        raise UserError(
            "uses-provisioner",
            f"`{name}` is started by a kernel provisioner, not by a command that could be taken over",
            hint="keep it as it is",
        )
    argv = spec.get("argv")
    line = " ".join(w for w in argv if isinstance(w, str)) if isinstance(argv, list) else ""
    if not line:
        raise UserError(
            "argv-empty",
            f"`{name}` has no command that could be taken over",
            hint="write its argv first",
        )
    if "{response_address}" in line or "{kernel_id}" in line:
        raise UserError(
            "kernelspec-for-gateway",
            f"`{name}` is for an Enterprise Gateway; plain Jupyter cannot start it",
        )
    first = argv[0] if isinstance(argv, list) else ""
    if re.match(r"[A-Za-z]:[\\/]|/Users/", str(first)):
        raise UserError(
            "made-on-another-machine",
            f"`{first}` is a path of another machine (Windows or macOS)",
            hint=f"give the environment here: `kernelwright adopt {name} --prefix DIR`",
        )


def _argv(name: str, spec: Mapping[str, Any], resources: Path, wish: Wish) -> tuple[str, ...]:
    """The command with everything replaced that Jupyter replaces, but the connection file."""
    words = list(spec["argv"])
    if is_servers_python(words[0]) or re.fullmatch(r"python[0-9.]*", words[0]):
        if wish.prefix is None:
            raise UserError(
                "bare-python",
                f"`{words[0]}` in `{name}` means the Python of the Jupyter server; which environment did you mean?",
                hint=f"`kernelwright adopt {name} --prefix DIR`, DIR being the folder that holds bin/python",
            )
        words[0] = os.path.join(os.path.abspath(os.path.expanduser(wish.prefix)), "bin/python")
    return shapes.substituted(words, str(resources))


def _environment(
    argv: tuple[str, ...], source: Path, resources: Path, wish: Wish
) -> tuple[EnvironmentSpec, tuple[str, ...], Isolation]:
    call = containers.parse(argv)
    if call is not None and not set(call.options) - _MUTE - _GPU.keys() - {
        "-B",
        "--bind",
    } - _bind_options(call):
        return _container(call, wish)
    if "###" in " ".join(argv) or re.search(r"/path/to|PATH_TO_", " ".join(argv)):
        raise UserError(
            "placeholder-not-filled",
            "a placeholder in argv was never filled in",
            context={"argv": " ".join(argv)[:300]},
            hint="put your own path there first",
        )
    python = re.fullmatch(r"(/.+)/bin/python[0-9.]*", argv[0])
    if python and (layout.has_ipykernel(Path(python[1])) or "ipykernel" not in " ".join(argv)):
        prefix = Path(python[1])
        standard = argv[1:] == STANDARD and argv[0] == str(layout.interpreter(prefix))
        return PrefixSpec(str(prefix)), () if standard else argv, OPEN
    rest = argv[1:] if os.path.basename(argv[0]) in {"bash", "sh"} else argv
    if (
        rest
        and rest[0].startswith("/")
        and is_text(rest[0].replace(str(resources), str(source), 1))
    ):
        return ScriptSpec(rest[0]), rest[1:], OPEN
    return ScriptSpec(str(resources / "start.sh")), argv, OPEN


def _bind_options(call: containers.Call) -> set[str]:
    return {option for option in call.options if option.startswith(("--bind=", "-B"))}


def _container(
    call: containers.Call, wish: Wish
) -> tuple[EnvironmentSpec, tuple[str, ...], Isolation]:
    image = wish.image or call.image or ""
    if not image or re.search(r"PATH_TO_|/path/to|###|^\W*$", image):
        raise UserError(
            "placeholder-not-filled",
            f"the image `{image or '?'}` was never filled in",
            hint="`kernelwright adopt NAME --image FILE.sif` (or `--image docker://...`)",
        )
    gpu = next((_GPU[o] for o in call.options if o in _GPU), "none")
    inner = tuple(word for word in call.command if word != "--debug")
    plain = len(inner) == 5 and inner[1:] == STANDARD and inner[0].startswith("python")
    spec = ContainerSpec(os.path.expanduser(image), gpu=gpu, bind=tuple(_binds(call)))  # type: ignore[arg-type] # from the table above
    return spec, () if plain else inner, Isolation()


def _binds(call: containers.Call) -> list[Bind]:
    found = []
    for entry in (e for bind in call.binds for e in bind.split(",") if e):
        source, _, rest = entry.partition(":")
        target, _, mode = rest.partition(":")
        found.append(Bind(source, target or None, "ro" if mode == "ro" else "rw"))
    return found


def _container_env(spec: Mapping[str, Any]) -> dict[str, str]:
    """A container starts with a clean environment, so that `env` has to go in by the recipe."""
    env = spec.get("env")
    pairs = env.items() if isinstance(env, dict) else ()
    return {k: re.sub(r"\$(\w+)", r"${\1}", v) for k, v in pairs if isinstance(v, str)}
