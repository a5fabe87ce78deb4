"""Making sure that Jupyter starts exactly the chosen kernel, whatever else has the same name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..recipe import propose_name
from . import choice, specs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ..catalog import Central
    from ..model import Kernel
    from .choice import Choice
    from .specs import Offer

SHOWN_ORIGINS = {
    "user": "user",
    "group": "group",
    "site": "site",
    "conda": "user",
    "legacy": "user",
}


@dataclass(frozen=True)
class Started:
    """What a new notebook starts with: Jupyter's name, what people read, whether this session built it."""

    name: str
    label: str
    origin: str
    made: bool = False

    def as_json(self) -> dict[str, Any]:
        """The `kernel` member of report.json."""
        return {"name": self.name, "label": self.label, "origin": self.origin, "made": self.made}


@dataclass(frozen=True)
class Known:
    """What the node has to offer; `named` gives the session's name of each offer, `folder` holds its kernelspecs."""

    kernels: Sequence[Kernel]
    central: Sequence[Central]
    offered: Sequence[Offer]
    named: Mapping[str, str]
    folder: Path

    def default(self) -> Started:
        """The site's default kernel, else Jupyter's own Python: something always starts."""
        try:
            return start_with(choice.default(self.central), self)
        except UserError:
            return start_with(choice.Choice("jupyter", choice.NATIVE, None), self)

    def free(self, wanted: str) -> str:
        """A name for the diagnostic kernel that hides no kernel which works."""
        name = propose_name(wanted) or "kernel"
        used = {k.name for k in self.kernels} | set(self.named.values())
        return f"failed.{name}" if name in used else name


def start_with(chosen: Choice, known: Known) -> Started:
    """Write the chosen kernel into the session's folder where it is not there yet; raises `kernel-unusable`."""
    if chosen.folder is None:
        return Started(chosen.name, "Python 3", "jupyter")
    spec = specs.sound(chosen.folder)
    if spec is None:
        raise UserError(
            "kernel-unusable",
            f"the kernel.json of `{chosen.name}` cannot be used",
            context={"kernel.json": str(chosen.folder / "kernel.json")},
            hint=f"`kernelwright doctor {chosen.name}` says what is wrong with it",
        )
    if chosen.value in known.named:
        name = known.named[chosen.value]
        spec = specs.sound(known.folder / name) or spec
    else:
        name = f"conda.{chosen.name}" if chosen.origin == "conda" else chosen.name
        specs.write(known.folder / name, spec, chosen.folder)
    return Started(name, specs.describe(spec, name), SHOWN_ORIGINS.get(chosen.origin, "jupyter"))
