"""The table of shapes again: an adopted kernel runs the very words that Jupyter ran, or adopt says why not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from discovery.test_shapes import REC, SHAPES, Shape, put, script
from kernelwright import environments
from kernelwright.discovery.kernelspec_file import read
from kernelwright.discovery.shapes import predict
from kernelwright.doctor.mend import mend
from kernelwright.doctor.shape import recipe_for
from kernelwright.environments.base import Place
from kernelwright.config.model import SiteConfig
from kernelwright.errors import UserError
from kernelwright.progress import Silent

# What adopt refuses, and why; all others are adopted.
REFUSED = {
    "bare-python": "bare-python", "bare-python3": "bare-python", "bare-python-minor": "bare-python", "argv-empty": "argv-empty",
    "enterprise-gateway": "kernelspec-for-gateway",
}  # fmt: skip
# What is mended on the way, so that other words run than before: they did not start, or never could be reached.
MENDED = {"argv-text", "argv-number", "env-number", "absent"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("home/bin", "onpath", "notebooks", "kernels"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    script(tmp_path / "onpath/starter-on-path", "#!/bin/sh\n")
    script(tmp_path / "home/bin/starter", "#!/bin/sh\n")
    return tmp_path


@pytest.mark.parametrize("name", SHAPES)
def test_adopted(place: Path, name: str) -> None:
    shape: Shape = SHAPES[name]
    folder = put(place, name, shape)
    reading = read(str(folder))
    spec, _ = mend(reading.spec, name)
    if name in REFUSED:
        with pytest.raises(UserError) as caught:
            recipe_for(name, spec, folder, folder)
        assert caught.value.code == REFUSED[name]
        return
    recipe = recipe_for(name, spec, folder, folder)
    assert recipe.display_name is None
    assert recipe.isolation.user_site
    (folder / "start.sh").write_text('#!/bin/bash\nexec "$@"\n')
    words = _command(recipe, place)
    told = predict(
        reading.spec,
        str(folder),
        environ={"PATH": f"{place}/onpath:/usr/bin:/bin", **os.environ},
        cwd=str(place),
    )
    if name in MENDED or words is None:
        return
    told_words = told.argv[1:] if told.argv[0] == "bash" else told.argv  # /bin/bash is as good
    assert words[-len(told_words) :] == told_words
    assert REC not in " ".join(words)


def _command(recipe, place: Path) -> tuple[str, ...] | None:
    """The command that launch.sh would run; None where making refuses (a script that cannot work)."""
    kind = environments.kind(recipe.kind)
    where = Place(place / "env", place, place / "home", {}, SiteConfig(), place)
    try:
        made = kind.make(recipe, where, Silent())
    except UserError as error:
        assert error.code.startswith("script-")
        return None
    return kind.command(recipe, made).argv
