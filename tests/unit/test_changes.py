"""What differs between two generations, from what lies in their environments."""

import json
from pathlib import Path

from kernelwright.changes import difference
from kernelwright.model import CondaSpec, Generation, Made, Recipe


def conda_generation(folder: Path, *packages: str) -> Generation:
    """A generation whose environment has conda's records of `packages`, and no lock."""
    records = folder / "env/conda-meta"
    records.mkdir(parents=True)
    for package in packages:
        (records / f"{package}.json").write_text(json.dumps({}))
    recipe = Recipe(name="demo", display_name="Demo", environment=CondaSpec())
    made = Made("conda", prefix=str(folder / "env"))
    return Generation("0123", 1, folder, recipe, made, 0.0, complete=True)


def test_a_version_that_was_built_anew_is_a_change(tmp_path):
    """The same version against other libraries is another package, and often the reason why it works again."""
    old = conda_generation(tmp_path / "1", "numpy-1.26.4-py_0", "my-tool-2.0-h1_0", "six-1.0-0")
    new = conda_generation(tmp_path / "2", "numpy-1.26.4-py_1", "my-tool-2.1-h1_0", "six-1.0-0")
    rows = [(r["change"], r["name"], r["old"], r["new"]) for r in difference(old, new)]
    assert rows == [
        ("changed", "my-tool", "2.0", "2.1"),
        ("changed", "numpy", "1.26.4 py_0", "1.26.4 py_1"),
    ]
