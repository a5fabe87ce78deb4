"""Central kernels made once by the site and started in place by an ordinary user."""

import json
import os
from pathlib import Path

import pytest

from kernelwright import process

pytestmark = pytest.mark.root


def site_files(shared, text):
    conf = shared / "etc/conf.d"
    conf.mkdir(parents=True, exist_ok=True)
    (conf / "10-site.yaml").write_text(text.replace("SHARED", str(shared)))
    return conf


def admin(shared, *words, timeout=300):
    """The command as the admin's own process, with a home of its own."""
    (shared / "root").mkdir(exist_ok=True)
    env = {
        "HOME": str(shared / "root"),
        "PATH": os.environ["PATH"],
        "KERNELWRIGHT_HOME": str(shared / "root"),
        "LANG": "C.UTF-8",
    }
    strict = [
        "sh",
        "-c",
        'umask 077; exec "$@"',
        "admin",
    ]  # many admins' umask; what is central is for everybody
    result = process.run(
        [*strict, str(shared / "runtime/bin/kernelwright"), "site", *map(str, words)],
        timeout=timeout,
        env=env,
    )
    assert "Traceback" not in result.stderr + result.stdout, result.stderr
    return result


SITE = """
site: {name: A}
runtime: SHARED/runtime
kernels:
  - name: base
    label: Base
    recipe: {language: python, environment: {prefix: {path: SHARED/runtime/current}}, env: {CENTRAL: "yes"}}
    default: true
  - {name: old, successor: base}
"""


@pytest.fixture
def conf(shared, runtime):
    target = (runtime / "venv").resolve()
    return site_files(shared, SITE.replace("SHARED/runtime/current", str(target)))


def test_a_central_recipe_is_made_once_and_started_in_place_by_others(shared, conf, alice):
    before = admin(shared, "compile", "--config", conf)
    assert before.ok, before.stderr
    assert "`kernelwright site build base` makes it" in before.stderr
    made = admin(shared, "build", "base", "--config", conf, "--json", "--test-timeout", 200)
    assert made.ok, made.stderr + made.stdout
    built = json.loads(made.stdout)["built"][0]
    assert Path(built["folder"]).is_relative_to(shared / "runtime/site")
    catalog = json.loads((shared / "runtime/etc/catalog.json").read_text())
    entry = catalog["kernels"][0]
    assert (entry["state"], entry["folder"]) == (
        "ok",
        f"{shared}/runtime/site/.local/share/jupyter/kernels/base",
    )

    again = admin(shared, "build", "base", "--config", conf, "--json")
    assert json.loads(again.stdout)["built"][0] == built  # the same request builds once
    assert not (
        shared / "root/.local/share/kernelwright"
    ).exists()  # nothing of it lies in the admin's home

    assert alice.uid != 0
    started = alice.run(
        [
            shared / "runtime/bin/kernelwright",
            "site",
            "check",
            "--start",
            "--json",
            "--config",
            conf,
            "--test-timeout",
            "200",
        ],
        timeout=400,
    )
    answer = json.loads(started.stdout)
    assert answer["ok"] is True, started.stdout + started.stderr
    assert [s["name"] for s in answer["started"]] == ["base"]
    assert not (alice.home / ".local/share/jupyter/kernels").exists()  # referenced, never copied
    owners = {
        os.lstat(os.path.join(f, n)).st_uid
        for f, _, names in os.walk(shared / "runtime/site")
        for n in names
    }
    assert owners == {0}


def test_a_changed_recipe_is_said_and_built_as_the_next_generation(shared, conf):
    assert admin(shared, "build", "base", "--config", conf, "--no-test").ok
    text = (conf / "10-site.yaml").read_text()
    (conf / "10-site.yaml").write_text(text.replace('CENTRAL: "yes"', 'CENTRAL: "no"'))
    said = admin(shared, "compile", "--config", conf)
    assert "its recipe was changed" in said.stderr
    made = json.loads(
        admin(shared, "build", "base", "--config", conf, "--no-test", "--json").stdout
    )["built"][0]
    assert made["generation"] == 2
    spec = json.loads(
        (shared / "runtime/site/.local/share/jupyter/kernels/base/kernel.json").read_text()
    )
    assert spec["argv"][0].startswith(made["folder"])
    assert "2" not in admin(shared, "compile", "--config", conf).stderr


def test_what_cannot_be_made_is_said_and_the_rest_is_made(shared, conf):
    text = (conf / "10-site.yaml").read_text()
    (conf / "10-site.yaml").write_text(
        text + "  - {name: broken, recipe: {environment: {prefix: {path: /nowhere/env}}}}\n"
    )
    result = admin(shared, "prefetch", "--config", conf, "--no-test", "--json")
    answer = json.loads(result.stdout)
    assert result.status == 1
    assert [b["name"] for b in answer["built"]] == ["base"]
    assert set(answer["failed"]) == {"broken"}
    assert admin(shared, "build", "old", "--config", conf).stderr.startswith(
        "error: central-not-built"
    )
    assert admin(shared, "build", "nothing", "--config", conf).stderr.startswith(
        "error: no-such-central-kernel"
    )


def test_an_ordinary_user_cannot_build_and_is_told_so(shared, conf, alice):
    result = alice.run(
        [
            shared / "runtime/bin/kernelwright",
            "site",
            "build",
            "base",
            "--config",
            conf,
            "--no-test",
        ]
    )
    assert (result.status, result.stderr.startswith("error: not-writable")) == (1, True)
    assert "Traceback" not in result.stderr


def test_what_a_user_asks_for_becomes_a_central_kernel(shared, conf, alice, runtime):
    program = shared / "runtime/bin/kernelwright"
    made = alice.run(
        [
            program,
            "create",
            "prefix",
            "My tools",
            (runtime / "venv").resolve(),
            "--env",
            "TOOLS=1",
            "--no-test",
        ],
        timeout=200,
    )
    assert made.ok, made.stderr
    asked = alice.run([program, "request", "my-tools", "--reason", "the course"], timeout=200)
    assert asked.ok, asked.stderr
    bundle = next(alice.home.glob("*.tar.gz"))
    result = admin(shared, "add", bundle, "--config", conf, "--test-timeout", 200)
    assert result.ok, result.stderr
    assert (conf / "60-my-tools.yaml").exists()
    catalog = json.loads((shared / "runtime/etc/catalog.json").read_text())
    entry = catalog["kernels"][-1]
    assert (entry["name"], entry["label"], entry["state"]) == ("my-tools", "My tools", "ok")
    assert entry["recipe"]["env"] == {"TOOLS": "1"}
    exported = alice.run([program, "export", "my-tools", "-o", "tools.yml"], timeout=200)
    assert exported.ok, exported.stderr
    again = admin(
        shared, "add", alice.home / "tools.yml", "--name", "tools-2", "--config", conf, "--no-test"
    )
    assert again.ok, again.stderr
