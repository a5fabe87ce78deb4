"""Every shape of environment file that people have: taken, refused by name, or noted."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelwright.environments.conda import envfile
from kernelwright.errors import UserError

from .server import TOKEN

FILES = Path(__file__).parent / "files"

# file: what a note or the result must hold
TAKEN = {
    "no-name.yml": {"name": None, "dependencies": ("greetings",)},
    "name-on.yml": {"name": "on"},
    "name-number.yml": {"name": "3.10"},
    "name-date.yml": {"name": "2024-05-01"},
    "no-channels.yml": {"channels": ()},
    "nodefaults.yml": {"channels": ("CHANNEL", "nodefaults")},
    "one-channel-as-text.yml": {"channels": ("CHANNEL",)},
    "channel-and-package.yml": {"dependencies": ("MIRROR::greetings", "activator")},
    "brackets.yml": {"dependencies": ("greetings[version='>=1.0,<1.1']", "gpulib[build=cpu_0]")},
    "build-pins.yml": {"dependencies": ("greetings=1.0=pyh_0", "oldformat=1.0=0")},
    "pip-without-pip.yml": {"pip": ("kwpip==1.0",)},
    "two-pip-maps.yml": {"pip": ("kwpip", 'six-of-nothing==1.0; python_version < "3"')},
    "empty-pip.yml": {"pip": ()},
    "pip-options.yml": {"pip": ("--extra-index-url INDEX", 'kwpip[extra]>=1.0,<1.1 ; python_version >= "3.8"')},
    "pip-urls.yml": {
        "pip": (
            "git+https://git.example.org/lab/tool.git@v1.2#egg=tool",
            "https://files.example.org/pkg-1.0-py3-none-any.whl",
            "tool2 @ git+ssh://git@git.example.org/lab/tool2.git",
        )
    },
    "variables.yml": {
        "variables": (
            ("ACCEPT", "yes"), ("MODE", "010"), ("WALL", "12:30:00"), ("EMPTY", ""), ("TEXT", "true"), ("PATTERN", "${HOME}/x"),
        )
    },
    "bom-and-crlf.yml": {"dependencies": ("greetings",)},
    "no-python.yml": {"dependencies": ("activator",)},
}  # fmt: skip

NOTED = {
    "prefix-and-platforms.yml": ("`prefix:` is ignored", "`platforms:` is ignored"),
    "duplicate-keys.yml": ("line 4: `dependencies` is there twice; the last one counts",),
    "selectors.yml": (
        "line 4: `activator` is asked for: to YAML the selector `# [win]` is only a comment",
    ),
    "unknown-key.yml": ("`description:` is not a key",),
}

# file: (words of the message, words of the hint)
REFUSED = {
    "conda-lock.yml": ("a lock of conda-lock", "conda-lock render --kind explicit"),
    "pixi.lock": ("a lock of pixi", "pixi project export conda-explicit-spec"),
    "pixi.toml": ("a TOML file", "pixi project export conda-environment"),
    "requirements.txt": ("a list of requirements for pip", "kernelwright create venv NAME -r"),
    "plain-list.txt": ("a list of requirements for pip", "kernelwright create venv NAME -r"),
    "conda-list-export.txt": ("a list of `conda list --export`", "conda env export --from-history"),
    "bare-list.yml": ("a bare list", "put `dependencies:` above"),
    "condarc.yml": ("`channel_priority` is a setting of conda", "~/.condarc"),
    "devenv.yml": ("a conda-devenv file", "conda devenv --print"),
    "devenv-template.yml": ("a conda-devenv or recipe template", "conda devenv --print"),
    "text.yml": ("not an environment file", "holds `channels:` and `dependencies:`"),
    "empty.yml": ("empty", "below `dependencies:`"),
    "no-dependencies.yml": ("without `dependencies:`", "below `dependencies:`"),
    "export.json": ("JSON", "kernelwright import"),
    "selector-map.yml": ("line 3", "plain entries"),
    "requirements-beside.yml": ("line 3", "write the requirements themselves"),
    "editable.yml": ("line 4", "write the requirements themselves"),
    "relative.yml": ("line 4", "the requirements themselves"),
    "number.yml": ("line 3", "`python=3.10`"),
    "mapping-for-version.yml": ("line 2", "- python=3.10"),
    "tab.yml": ("line 3", "spaces"),
    "prefix-under-pip.yml": ("line 6", "remove that line"),
    "latin1.yml": ("line 1", "UTF-8"),
    "broken.yml": ("line 2", "indentation"),
}

BUILT = (
    "no-name.yml", "name-on.yml", "no-channels.yml", "nodefaults.yml", "one-channel-as-text.yml", "channel-and-package.yml",
    "brackets.yml", "build-pins.yml", "pip-without-pip.yml", "two-pip-maps.yml", "empty-pip.yml", "pip-options.yml",
    "variables.yml", "prefix-and-platforms.yml", "no-python.yml", "duplicate-keys.yml", "selectors.yml", "bom-and-crlf.yml",
    "token-in-channel.yml",
)  # fmt: skip


def read(name):
    return envfile.read((FILES / name).read_bytes(), source=name)


def test_every_file_has_an_expectation():
    known = {*TAKEN, *NOTED, *REFUSED, "explicit.txt", "token-in-channel.yml", "unset-variable.yml"}
    assert {p.name for p in FILES.iterdir()} == known


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name):
    found = read(name)
    for key, value in TAKEN[name].items():
        assert getattr(found, key) == value
    assert found.notes == ()


@pytest.mark.parametrize("name", NOTED)
def test_taken_with_a_note(name):
    notes = read(name).notes
    for words in NOTED[name]:
        assert any(words in note for note in notes), notes


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name_with_what_to_do(name):
    with pytest.raises(UserError) as caught:
        read(name)
    message, hint = REFUSED[name]
    assert message in caught.value.message
    assert name in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.code in {"environment-file-refused", "environment-file-invalid"}


def test_neighbours_are_found_beside_the_file(tmp_path):
    for name in ("requirements.txt", "limits.txt", "tool-1.0-py3-none-any.whl"):
        (tmp_path / name).touch()
    lines = (
        "-r requirements.txt",
        "--constraint=limits.txt",
        "-e .[dev]",
        "./tool-1.0-py3-none-any.whl",
        "-e git+https://h/x",
    )
    text = "dependencies:\n  - pip:\n" + "".join(f"    - {line}\n" for line in lines)
    found = envfile.read(text.encode(), source="x", beside=tmp_path)
    assert found.pip == (
        f"-r {tmp_path}/requirements.txt",
        f"--constraint {tmp_path}/limits.txt",
        f"-e {tmp_path}[dev]",
        f"{tmp_path}/tool-1.0-py3-none-any.whl",
        "-e git+https://h/x",
    )


def test_a_path_without_end_is_refused(tmp_path):
    data = b"dependencies:\n  - pip:\n    - -r " + b"x" * 10_000 + b"\n"
    with pytest.raises(UserError, match="does not exist"):
        envfile.read(data, source="x", beside=tmp_path)


def test_a_neighbour_that_is_missing_is_named(tmp_path):
    data = (FILES / "requirements-beside.yml").read_bytes()
    with pytest.raises(UserError, match="requirements.txt` does not exist") as caught:
        envfile.read(data, source="x", beside=tmp_path)
    assert caught.value.code == "environment-file-invalid"


def test_hostile_files_are_refused_quickly():
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
    )
    for data in (
        b"[" * 100_000,
        b"dependencies: " + b"[" * 50_000,
        b"x" * (2 << 20),
        b"\x00\x01\x02",
        b"dependencies:\n - \x1b[31mx",
        bomb.encode() + b"dependencies: *i\n",
    ):
        with pytest.raises(UserError):
            envfile.read(data, source="x")


@pytest.mark.parametrize("name", BUILT)
def test_built(name, workshop, log):
    """The local channel stands in for every channel of these files."""
    text = (FILES / name).read_bytes().decode("utf-8-sig")
    secret = workshop.server.url.replace("/channel", "/t/${KW_TOKEN}/channel")
    text = text.replace("TOKENCHANNEL", secret).replace("CHANNEL", workshop.server.url)
    text = text.replace("MIRROR", workshop.server.url.replace("/channel", "/mirror")).replace(
        "INDEX", workshop.server.index
    )
    file = workshop.base / name
    file.write_text(text)
    workshop.environ["KW_TOKEN"] = TOKEN
    place = workshop.place()
    made = workshop.make(file=str(file), place=place, log=log)
    assert Path(made.interpreter).is_file()
    assert (
        Path(made.prefix) / f"lib/python{made.facts['python']}/site-packages/ipykernel"
    ).is_dir()
    if name == "variables.yml":
        assert made.facts["variables"]["MODE"] == "010"
    if name == "no-channels.yml":
        assert any(
            "no channels are named" in note and workshop.server.url in note for note in log.notes
        )
    for kept in place.keep.iterdir():
        if kept.name not in {"environment.yml", "files.list.z"}:
            assert TOKEN not in kept.read_text(), kept
    assert TOKEN not in str(made)
    for record in (Path(made.prefix) / "conda-meta").glob("*.json"):
        assert TOKEN not in record.read_text()
