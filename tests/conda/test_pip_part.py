"""The `pip:` part of an environment file."""

from __future__ import annotations

import pytest

from conda.asking import code_of, python
from kernelwright.errors import UserError


def test_pip_part_respects_what_conda_brought(workshop, log):
    place = workshop.place()
    made = workshop.make("greetings", pip=("kwpip==1.0", "traitlets"), place=place, log=log)
    assert made.facts["pip_packages"] == 1
    assert python(made, "import kwpip; print(kwpip.VERSION)") == "1.0"
    assert "pip" in log.phases


def test_pip_part_that_fails_has_its_own_code(workshop):
    code, error = code_of(workshop.make, pip=("no-such-thing-at-all",))
    assert code == "pip-part-failed"
    assert error.context["cause"] in {"package-not-found", "requirements-conflict"}


def test_a_pip_part_with_neighbours_of_the_file(workshop):
    (workshop.base / "more.txt").write_text("kwpip==1.0\n")
    file = workshop.base / "environment.yml"
    file.write_text("dependencies:\n  - pip:\n    - -r more.txt\n")
    made = workshop.make(file=str(file))
    assert python(made, "import kwpip; print(kwpip.__name__)") == "kwpip"


def test_a_list_without_ipykernel_gets_it_from_pip(workshop, log):
    archives = ("python-3*.conda", "greetings-1.0-*.conda")
    root = workshop.server.root
    found = [str(p.relative_to(root)) for a in archives for p in root.glob(f"*/{a}")]
    file = workshop.base / "list.txt"
    file.write_text("@EXPLICIT\n" + "".join(f"{workshop.server.url}/{p}\n" for p in found))
    with pytest.raises(UserError) as caught:  # this index does not have it
        workshop.make(file=str(file), log=log)
    assert caught.value.code == "pip-part-failed"
    assert "`ipykernel` does not exist" in caught.value.message
    assert any("it is added by pip" in note for note in log.notes)


def test_a_lock_carries_variables_and_pip_options(workshop):
    file = workshop.base / "environment.yml"
    file.write_text(
        f"dependencies:\n  - pip:\n    - --extra-index-url http://u:pw@{workshop.server.host}/simple\n    - kwpip\nvariables: {{A: 010}}\n"
    )
    first, second = workshop.place(), workshop.place()
    workshop.make(file=str(file), place=first)
    text = (first.keep / "conda.lock").read_text()
    assert (
        "pw@"
        not in text
        + (first.keep / "environment.yml").read_text()
        + (first.keep / "pip.lock").read_text()
    )
    made = workshop.make(place=second, lock=str(first.keep / "conda.lock"))
    assert made.facts["variables"] == {"A": "010"}
    assert (second.keep / "conda.lock").read_text() == text
