"""The pages for admins: every command in them is run, every YAML in them is checked."""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from kernelwright.cli import main
from kernelwright.config.load import load

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "docs/admins" / f"{name}.md"
    for name in (
        "install",
        "site-config",
        "central-kernels",
        "templates",
        "policy",
        "courses",
        "upgrade",
        "selinux",
    )
]
# run by other tests (make install, the removal), or not ours (git)
ELSEWHERE = ("git ", "make ", "cd ", "rm -rf ", "setsebool ", "restorecon", "ausearch ")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def place(tmp_path, home, monkeypatch, capsys):
    """A machine on which the pages' paths lie below the test's folder."""
    roots = {
        "/etc/ood/config/apps/kernelwright": tmp_path / "etc",
        "/shared": tmp_path / "shared",
        "/usr/local/share/jupyter": tmp_path / "jupyter",
    }

    def here(text):
        for path, real in roots.items():
            text = text.replace(path, str(real))
        return text

    runtime = tmp_path / "shared/apps/kernelwright"
    for folder in ("bin", "versions/1.0.0"):
        (runtime / folder).mkdir(parents=True)
    (runtime / "bin/kernelwright").write_text(
        f'#!/bin/sh\nexec {sys.executable} -m kernelwright "$@"\n'
    )
    (runtime / "bin/kernelwright").chmod(0o755)
    (runtime / "venv").symlink_to(sys.prefix)
    (runtime / "current").symlink_to("versions/1.0.0")
    (tmp_path / "shared/envs").mkdir()
    (tmp_path / "shared/envs/r44").symlink_to(sys.prefix)
    spec = f'{{"argv": ["{sys.executable}", "-m", "ipykernel_launcher", "-f", "{{connection_file}}"], "display_name": "P", "language": "python"}}'
    for folder in ("jupyter/kernels/old", "shared/kernels/py311-ml", "shared/kernels/py39"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "kernel.json").write_text(spec)
    conf = tmp_path / "etc/conf.d"
    monkeypatch.setenv("KERNELWRIGHT_SITE_CONFIG", str(conf))
    monkeypatch.setenv("KERNELWRIGHT_RUNTIME", str(runtime))
    monkeypatch.chdir(home)
    return here, conf, runtime, capsys


def prepare(page, conf, runtime, home):
    """What a page takes for granted when its first command is typed."""
    if page.name == "install.md":
        return
    conf.mkdir(parents=True)
    text = f"runtime: {runtime}\n"
    if page.name == "central-kernels.md":
        text += f"kernels:\n  - {{name: r44, label: R 4.4, recipe: {{language: python, environment: {{prefix: {{path: {runtime.parents[1]}/envs/r44}}}}}}}}\n"
        folder = home / "rna-request"
        folder.mkdir()
        (folder / "recipe.yml").write_text(
            f"version: 1\nname: rna\nenvironment: {{prefix: {{path: {sys.prefix}}}}}\n"
        )
        shutil.make_archive(str(home / "rna-request"), "gztar", home, "rna-request")
    if page.name in {"templates.md", "courses.md"}:
        text += next(
            b
            for b in blocks(ROOT / "docs/admins/templates.md", "yaml")
            if b.startswith("templates:")
        )
        text += f"kernels:\n  - {{name: r44, recipe: {{environment: {{prefix: {{path: {sys.prefix}}}}}}}}}\n"
    (conf / "10-site.yaml").write_text(text)
    if page.name == "central-kernels.md":
        assert (
            main(["site", "build", "r44", "--no-test"]) == 0
        )  # the page's first part starts what is there


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_each_command_of_the_pages_works(page, place, home):
    here, conf, runtime, capsys = place
    prepare(page, conf, runtime, home)
    done = 0
    for line in "".join(blocks(page, "sh")).splitlines():
        if not line.strip() or line.startswith(ELSEWHERE):
            continue
        words = shlex.split(here(line))
        if os.path.basename(words[0]) == "kernelwright":
            status = main(words[1:])
            said = capsys.readouterr()
            assert status == 0, f"{line}\n{said.out}\n{said.err}"
        else:
            assert words[0] in {"mkdir", "ls", "ln", "mv", "chmod"}, line
            assert os.spawnvp(os.P_WAIT, words[0], words) == 0, line
        done += 1
    assert done or page.name in {"selinux.md", "courses.md", "policy.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_each_yaml_of_the_pages_is_what_the_site_takes(page, tmp_path):
    for number, text in enumerate(blocks(page, "yaml")):
        if page.name == "courses.md":
            assert text == (ROOT / "docs/admins/examples/course/bio101.yml").read_text()
            continue
        if text.startswith("    check:"):
            text = (
                "templates:\n  - name: t\n    recipe: {environment: {prefix: {path: /x}}}\n" + text
            )
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        expected = {"site-not-here", "site-no-kernelspec", "site-no-runtime", "site-partition"}
        # the page about successors names a kernel of the page's first file
        expected |= {"site-successor"} if "successor: py311-ml" in text else set()
        assert [f for f in load(str(path)).findings if f.code not in expected] == []


def test_the_course_fixes_only_fields_of_the_form():
    course = yaml.safe_load((ROOT / "docs/admins/examples/course/bio101.yml").read_text())
    assert set(course["attributes"]) <= set(course["form"])
    fields = (ROOT / "lib/ood/fields.rb").read_text()
    for name in course["form"]:
        assert f'"{name}"' in fields, name


def test_links_between_the_pages_lead_somewhere():
    for page in [
        *PAGES,
        *(ROOT / "docs/reference").glob("site-config.md"),
        ROOT / "docs/reference/messages/site.md",
    ]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
