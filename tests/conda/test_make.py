"""Environments from the local channel: what is made, locked, refused and found again."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kernelwright.config.model import Conda, Policy
from kernelwright.environments import conda
from kernelwright.environments.conda import bytecode, lock, manifest
from kernelwright.errors import UserError
from kernelwright.model import with_lock

from .compare import tree
from .conftest import Log
from .server import LOGIN, TOKEN


def python(made, code):
    done = subprocess.run(
        [made.interpreter, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def code_of(action, *arguments, **options):
    with pytest.raises(UserError) as caught:
        action(*arguments, **options)
    return caught.value.code, caught.value


def test_python_and_ipykernel_are_added(workshop, log):
    made = workshop.make("greetings", log=log)
    assert python(made, "import greetings, ipykernel; print(greetings.VERSION)") == "1.1"
    assert log.phases[0] == "solve"
    assert any(
        note.startswith("3") and "packages; needs about" in note and "left" in note
        for note in log.notes
    )


def test_progress_counts_bytes_and_packages(cold, log):
    cold.make("greetings", log=log)
    assert log.phases == ["solve", "download", "link"]
    downloads = [(done, total) for done, total, unit in log.steps if unit == "bytes"]
    assert downloads[-1][0] == downloads[-1][1] > 1_000_000
    assert [step for step in log.steps if step[2] == "packages"][-1][:2] == (31, 31)


def test_hooks_variables_and_post_link(workshop):
    place = workshop.place()
    made = workshop.make("activator", "postlinker", place=place, variables={"LICENCE": "yes"})
    assert (place.prefix / "share/postlinker.txt").read_text() == "linked by postlinker 1.0\n"
    start = conda.command(workshop.recipe(), made)
    assert start.hooks == (str(place.prefix / "etc/conda/activate.d/activator.sh"),)
    assert start.env["LICENCE"] == "yes"
    assert start.env["CONDA_PREFIX"] == str(place.prefix)


def test_another_language_by_its_own_kernelspec(workshop):
    recipe = workshop.recipe("bash_kernel", language="bash")
    place = workshop.place()
    made = conda.make(recipe, place, Log())
    assert conda.command(recipe, made).argv[:3] == (
        str(place.prefix / "bin/python"),
        "-m",
        "bash_kernel",
    )


def test_r_needs_no_python(workshop):
    recipe = workshop.recipe(language="r")
    place = workshop.place()
    made = conda.make(recipe, place, Log())
    assert made.interpreter is None
    assert conda.command(recipe, made).argv[0] == str(place.prefix / "bin/R")
    assert not (place.prefix / "bin/python").exists()


def test_a_language_that_nothing_brings(workshop):
    code, error = code_of(workshop.make, "activator", language="bash")
    assert code == "language-not-found"
    assert "bash_kernel" in error.hint


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ("greetingz", "conda-package-not-found", "did you mean `greetings`"),
        ("greetings=3", "conda-version-not-found", "another version"),
        ("greetings=1.0=h1234_0", "conda-version-not-found", "another platform"),
        ("no such name", "conda-spec-invalid", "one a line"),
        ("=1.0", "conda-spec-invalid", "one a line"),
        ("a;b", "conda-spec-invalid", "one a line"),
        ("a" * 5000, "conda-spec-invalid", "one a line"),
    ],
)
def test_specs_that_cannot_be_met(workshop, spec, code, words):
    found, error = code_of(workshop.make, spec)
    assert found == code
    assert words in error.hint


def test_a_conflict_is_shortened_to_its_lines(workshop):
    code, error = code_of(workshop.make, "wants-one", "wants-two")
    assert code == "conda-unsolvable"
    assert "core-of-two 1.*" in error.context["reason"]
    assert "no viable options" not in error.context["reason"]
    assert "`wants-one`" in error.hint
    code, error = code_of(workshop.make, "wants-one", "core-of-two=2")
    assert code == "conda-unsolvable"
    assert "no `core-of-two` fits `1.*`" in error.hint


def test_virtual_packages_of_the_partition_decide(workshop, monkeypatch):
    monkeypatch.delenv("CONDA_OVERRIDE_CUDA", raising=False)
    table = {"gpu": {"__cuda": "12.4"}}
    site = replace(workshop.site.conda, virtual_packages=table)
    plain = workshop.place(conda=site)
    workshop.make("gpulib", place=plain)
    assert (plain.prefix / "share/gpulib.txt").read_text() == "cpu\n"
    workshop.environ["KERNELWRIGHT_PARTITION"] = "gpu"
    gpu = workshop.place(conda=site)
    made = workshop.make("gpulib", place=gpu)
    assert (gpu.prefix / "share/gpulib.txt").read_text() == "cuda\n"
    assert made.facts["virtual_packages"]["__cuda"] == "12.4"


@pytest.mark.parametrize("name", ["with space", "x" * 220])
def test_prefixes_that_cannot_work_are_refused_first(workshop, name):
    place = replace(workshop.place(), prefix=workshop.base / name)
    assert code_of(workshop.make, place=place)[0] == "prefix-unsuitable"
    assert not place.prefix.exists()


def test_lock_is_exact_and_builds_the_same_again(workshop):
    first, second = workshop.place(), workshop.place()
    made = workshop.make("greetings=1.0", "oldformat", pip=("kwpip",), place=first)
    text = (first.keep / "conda.lock").read_text()
    read = lock.load(text, source="x")
    assert all(p.record["sha256"] in text for p in read.packages)
    assert len(read.packages) == made.facts["packages"]
    assert read.pip[0].startswith("kwpip==1.1 --hash=sha256:")
    workshop.server.requests.clear()
    workshop.make(place=second, lock=str(first.keep / "conda.lock"))
    assert not [r for r in workshop.server.requests if "repodata" in r or "shard" in r]
    assert (second.keep / "conda.lock").read_text() == text
    assert tree(second.prefix) == tree(first.prefix)


def test_an_explicit_list_of_conda_is_taken(workshop):
    first = workshop.place()
    workshop.make("core-of-two=1.0", "oldformat", language="r", place=first)
    rows = [
        row
        for row in (first.keep / "conda.lock").read_text().splitlines()
        if not row.startswith("#")
    ]
    md5 = {
        p.url: p.record["md5"]
        for p in lock.load((first.keep / "conda.lock").read_text(), source="x").packages
    }
    for name, lines in {
        "sha256.txt": rows,
        "md5.txt": [
            row.split("#")[0] + "#" + md5[row.split("#")[0]] if "#" in row else row for row in rows
        ],
        "bare.txt": [row.split("#")[0] for row in rows],
    }.items():
        file = workshop.base / name
        file.write_text("\n".join(lines) + "\n")
        place = workshop.place()
        workshop.make(file=str(file), language="r", place=place)
        assert tree(place.prefix).keys() == tree(first.prefix).keys()
    secret = workshop.base / "secret.txt"  # of a channel that nobody has configured, with a token
    secret.write_text(
        "\n".join(r.split("#")[0].replace("/channel/", f"/t/{TOKEN}/mirror/") for r in rows) + "\n"
    )
    place = workshop.place()
    workshop.make(file=str(secret), language="r", place=place)
    assert "/mirror/" in (place.keep / "conda.lock").read_text()
    assert TOKEN not in (place.keep / "conda.lock").read_text()
    wrong = workshop.base / "wrong.txt"
    wrong.write_text(
        "\n".join(row.split("#")[0] + "#" + "0" * 32 if "#" in row else row for row in rows)
    )
    assert code_of(workshop.make, file=str(wrong), language="r")[0] == "hash-mismatch"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("https://host/x/linux-64/not-a-package.zip", "invalid-lock"),
        ("../../etc/passwd", "invalid-lock"),
        ("http://127.0.0.1:9/c/linux-64/a-1-0.conda#sha256:zz", "invalid-lock"),
        ("http://127.0.0.1:9/c/win-64/a-1-0.conda", "lock-for-another-platform"),
        ("# {broken", "invalid-lock"),
        (
            "http://127.0.0.1:9/c/noarch/a-1-0.conda\nhttp://127.0.0.1:9/c/noarch/a-2-0.conda",
            "invalid-lock",
        ),
        ("", "invalid-lock"),
    ],
)
def test_locks_that_are_refused(workshop, line, code):
    file = workshop.base / "x.lock"
    file.write_text(f"@EXPLICIT\n{line}\n")
    assert code_of(workshop.make, lock=str(file))[0] == code


def test_two_channels_of_the_same_name_and_a_package_from_one(workshop):
    mirror = workshop.server.url.replace("/channel", "/mirror")
    place = workshop.place()
    workshop.make(f"{mirror}::greetings", place=place)
    record = json.loads(next((place.prefix / "conda-meta").glob("greetings-*")).read_text())
    assert record["channel"].startswith(mirror)


def test_policy_on_channels(workshop):
    rule = replace(workshop.site.conda, allow_channels=("http://127.0.0.1:*/channel",))
    workshop.make("activator", place=workshop.place(conda=rule))
    mirror = workshop.server.url.replace("/channel", "/mirror")
    code, error = code_of(
        workshop.make, "activator", channels=(mirror,), place=workshop.place(conda=rule)
    )
    assert (code, "/channel" in error.context["allowed"]) == ("channel-not-allowed", True)
    assert (
        code_of(workshop.make, f"{mirror}::activator", place=workshop.place(conda=rule))[0]
        == "channel-not-allowed"
    )
    (workshop.home / ".condarc").write_text(f"channels: ['{mirror}']\n")
    code, error = code_of(workshop.make, "activator", place=workshop.place(conda=rule))
    assert (code, error.context["it comes from"]) == (
        "channel-not-allowed",
        str(workshop.home / ".condarc"),
    )
    denied = replace(workshop.site.conda, deny_channels=("defaults", "*anaconda.com*"))
    assert (
        code_of(workshop.make, channels=("defaults",), place=workshop.place(conda=denied))[0]
        == "channel-not-allowed"
    )


def test_names_through_alias_mirror_proxy_and_condarc(workshop, monkeypatch):
    host = workshop.server.host
    alias = workshop.place(conda=Conda(channels=("channel",), channel_alias=f"http://{host}"))
    workshop.make("activator", place=alias)
    mirrored = Conda(
        channels=("http://upstream.invalid/c",),
        mirrors={"http://upstream.invalid/c": (f"http://{host}/mirror",)},
    )
    place = workshop.place(conda=mirrored)
    made = workshop.make("activator", place=place)
    assert made.facts["channels"] == ["http://upstream.invalid/c"]
    assert "http://upstream.invalid/c/noarch/activator" in (place.keep / "conda.lock").read_text()
    (workshop.home / ".condarc").write_text(
        f"channel_alias: http://{host}\nchannels: [channel]\nproxy_servers: {{http: 'http://{host}'}}\n"
    )
    made = workshop.make("activator", place=workshop.place(conda=Conda()))
    assert made.facts["channels"] == [f"http://{host}/channel"]
    assert any(r.startswith(f"GET http://{host}/channel") for r in workshop.server.requests)
    (workshop.home / ".condarc").write_text("channels: [\n")
    log = Log()
    workshop.make("activator", log=log)
    assert any(".condarc" in note and "left out" in note for note in log.notes)


def test_secrets_stay_out_of_everything_that_is_kept(cold, log):
    host = cold.server.host
    place = cold.place()
    made = cold.make(
        "greetings", channels=(f"http://{host}/t/{TOKEN}/channel",), place=place, log=log
    )
    assert any(f"/t/{TOKEN}/channel" in request for request in cold.server.requests)
    user, password = LOGIN.split(":")
    login = cold.make("activator", channels=(f"http://{user}:{password}@{host}/private",))
    said = f"{made}{login}{log.notes}"
    for folder in (place.keep, place.prefix / "conda-meta", Path(cold.site.storage.package_cache)):
        for path in folder.rglob("*"):
            if path.is_file() and path.stat().st_size < 1 << 20:
                said += path.read_bytes().decode("latin-1")
    assert TOKEN not in said
    assert password not in said


def test_an_auth_file_of_the_site(workshop):
    file = workshop.base / "auth.json"
    user, password = LOGIN.split(":")
    file.write_text(
        json.dumps({"127.0.0.1": {"BasicHTTP": {"username": user, "password": password}}})
    )
    private = workshop.server.url.replace("/channel", "/private")
    rule = Conda(channels=(private,), auth_file=str(file))
    workshop.make("activator", place=workshop.place(conda=rule))
    code, error = code_of(
        workshop.make, "oldformat", place=workshop.place(conda=Conda(channels=(private,)))
    )
    assert code == "channel-denied"
    assert "${TOKEN}" in error.hint


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


def test_too_little_room_is_said_before_the_first_byte(cold, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "lfs").write_text('#!/bin/sh\necho "  $5  900000 0 901000 - 10 0 1000000 -"\n')
    (tools / "lfs").chmod(0o755)
    cold.environ["PATH"] = f"{tools}:{cold.environ['PATH']}"
    code, error = code_of(cold.make, "bulky")
    assert code == "not-enough-space"
    assert "needs about" in error.message
    assert "1 MB left" in error.message
    assert not list((Path(cold.site.storage.package_cache) / "conda").glob("pkgs/*"))


def test_a_limit_on_files_counts_too(cold, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "quota").write_text(
        '#!/bin/sh\necho "$(df --output=source $HOME | tail -1) 5 0 0 0 995 1000 1000 0"\n'
    )
    (tools / "quota").chmod(0o755)
    cold.environ["PATH"] = f"{tools}:{cold.environ['PATH']}"
    code, error = code_of(cold.make, "bulky")
    assert (code, "5 files left" in error.message) == ("not-enough-space", True)


def test_the_site_may_limit_the_size(cold):
    assert (
        code_of(cold.make, "bulky", place=cold.place(policy=Policy(max_size="1M")))[0]
        == "environment-too-large"
    )


def test_a_purge_is_found_and_mended_from_the_lock(workshop):
    place = workshop.place()
    recipe = workshop.recipe("greetings=1.0")
    made = conda.make(recipe, place, Log())
    assert conda.check(recipe, made) == []
    before = tree(place.prefix)
    for n, path in enumerate(sorted(p for p in place.prefix.rglob("*.py") if p.is_file())):
        if n % 3:
            path.unlink()
    found = conda.check(recipe, made)
    assert [p.code for p in found] == ["environment-purged"]
    assert len(manifest.missing(place.prefix, place.keep / manifest.NAME, everything=True)) > 500
    exact = with_lock(recipe, str(place.keep / made.lock))
    again = conda.make(exact, place, Log())
    assert conda.check(recipe, again) == []
    assert tree(place.prefix) == before


def test_compiling_does_not_hold_the_build_up(workshop):
    made = workshop.make("greetings")
    bytecode.compile_files(
        Path(made.prefix), {"KERNELWRIGHT_COMPILE": "now", "PATH": os.environ["PATH"]}
    )
    assert list(Path(made.prefix).glob("lib/python3*/site-packages/__pycache__/greetings.*.pyc"))


def test_files_are_linked_from_the_cache(workshop):
    made = workshop.make("greetings")
    assert os.stat(next(Path(made.prefix).glob("lib/python3*/os.py"))).st_nlink > 1


def test_variables_in_channels_must_be_set(workshop):
    code, error = code_of(workshop.make, channels=("https://h.example.org/t/${NO_SUCH_TOKEN}/c",))
    assert code == "channel-variable-unset"
    assert "never stored" in error.hint


def test_the_copy_of_the_file_serves_when_the_file_is_gone(workshop, log):
    file = workshop.base / "environment.yml"
    file.write_text("dependencies: [greetings=1.0]\n")
    workshop.make(file=str(file))
    file.unlink()
    place = workshop.place()
    made = workshop.make(file=str(file), place=place, log=log)
    assert any("the copy of the last build" in note for note in log.notes)
    assert python(made, "import greetings; print(greetings.VERSION)") == "1.0"


def test_a_plan_solves_and_downloads_nothing(cold):
    place = cold.place()
    found = conda.solve_only(cold.recipe("greetings=1.0"), place)
    assert found["greetings"].version == "1.0"
    assert found["greetings"].size > 100
    assert not [r for r in cold.server.requests if r.endswith(".conda")]
    assert not place.prefix.exists()


def test_what_is_chosen_is_told_before_it_is_fetched(cold):
    seen = []

    def chosen(choices):
        seen.append(
            (choices["greetings"], [r for r in cold.server.requests if r.endswith(".conda")])
        )

    place = replace(cold.place(), chosen=chosen)
    cold.make("greetings=1.0", place=place)
    assert [(c.version, fetched) for c, fetched in seen] == [("1.0", [])]
    assert conda.locked((place.keep / "conda.lock").read_text())["greetings"] == seen[0][0]


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


def test_only_the_engine_knows_rattler():
    folder = Path(conda.__file__).parents[2]
    naming = {
        str(p.relative_to(folder))
        for p in folder.rglob("*.py")
        if re.search(r"^\s*(import|from) rattler", p.read_text(), re.M)
    }
    assert naming == {"environments/conda/engine.py"}
