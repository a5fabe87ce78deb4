"""Names of kernels: a renamed kernel is changed, rolled back and started like any other."""

import json
import os

import pytest

from kernelwright.builder import Builder
from kernelwright.config.model import SiteConfig
from kernelwright.errors import UserError
from kernelwright.progress import Silent


@pytest.fixture
def kernel(kw, home):
    """A kernel `ra` whose second generation is current; its title was given."""
    script = home / "start.sh"
    script.write_text('#!/bin/sh\nexec python3 -m ipykernel_launcher "$@"\n')
    script.chmod(0o755)
    make = ("create", "script", "ra", str(script), "--display-name", "The A", "--no-test")
    assert kw(*make).status == 0
    assert kw("edit", "ra", "--env", "X=1", "--no-test").status == 0
    return home / ".local/share/jupyter/kernels"


def spec(folder, name):
    return json.loads((folder / name / "kernel.json").read_text())


def started(folder, name):
    return spec(folder, name)["argv"][0].split("/")[-2]


def test_what_is_changed_after_a_rename_is_the_kernel_of_the_new_name(kw, kernel):
    assert kw("rename", "ra", "rb").status == 0
    for value in "234":
        assert kw("edit", "rb", "--env", f"X={value}", "--no-test").status == 0
    assert started(kernel, "rb") == "5"
    assert "alias_of" not in spec(kernel, "rb")["metadata"]["kernelwright"]
    assert started(kernel, "ra") == "5", "old notebooks get what the kernel is now"
    assert spec(kernel, "ra")["metadata"]["kernelwright"]["alias_of"] == "rb"
    assert kw("rollback", "rb").status == 0
    assert (started(kernel, "rb"), started(kernel, "ra")) == ("4", "4")


def test_aliases_follow_a_chain_of_names(kw, kernel):
    for old, new in (("ra", "rb"), ("rb", "rc"), ("rc", "ra")):
        assert kw("rename", old, new).status == 0
    names = {
        name: spec(kernel, name)["metadata"]["kernelwright"].get("alias_of")
        for name in ("ra", "rb", "rc")
    }
    assert names == {"ra": None, "rb": "ra", "rc": "ra"}
    assert spec(kernel, "rb")["display_name"] == "The A (old name: rb)"


def test_files_of_the_kernel_name_it_as_it_is_called_now(kw, kernel):
    kw("rename", "ra", "rb", "--no-alias")
    launch_script = spec(kernel, "rb")["argv"][0]
    with open(launch_script.replace("launch.sh", "entry.json")) as file:
        assert json.load(file)["name"] == "rb", "%kernelwright add works in the notebook"
    assert kw("show", "ra").status == 1


def test_a_name_that_another_kernel_had_stays_its_own(kw, kernel, home):
    kw("rename", "ra", "rb")
    kw("create", "script", "rz", str(home / "start.sh"), "--no-test")
    answer = kw("rename", "rz", "ra")
    assert answer.status == 1 and "kernel-exists" in answer.err


def test_a_rollback_keeps_names_and_launcher_settings(kw, kernel):
    kw("edit", "ra", "--display-name", "New title", "--description", "what it is for")
    assert kw("rollback", "ra").status == 0
    assert started(kernel, "ra") == "1" and spec(kernel, "ra")["display_name"] == "New title"


def test_a_rename_while_another_command_waits(kw, kernel, home):
    builder = Builder(home, dict(os.environ), SiteConfig(), home, Silent(), test=False)
    owned = builder.store.find("ra")
    recipe = builder.store.generation(owned.id, owned.number).recipe
    kw("rename", "ra", "rb")
    for change in (builder.rerender, builder.next_generation):
        with pytest.raises(UserError) as caught:
            change(owned, recipe)
        assert caught.value.code == "kernel-changed"
    assert spec(kernel, "ra")["metadata"]["kernelwright"]["alias_of"] == "rb"


@pytest.mark.parametrize("forged", ["../../../../victim", "/", ".", "", {"a": 1}])
def test_a_forged_id_leads_nowhere(kw, home, forged):
    """kernel.json of a stranger, unpacked into the folder of kernels: removing it touches nothing else."""
    (home / "victim").mkdir()
    folder = home / ".local/share/jupyter/kernels/gift"
    folder.mkdir(parents=True)
    metadata = {"kernelwright": {"version": 1, "id": forged, "generation": 1}}
    argv = ["/bin/true", "{connection_file}"]
    given = {"argv": argv, "display_name": "G", "language": "python", "metadata": metadata}
    (folder / "kernel.json").write_text(json.dumps(given))
    assert "kernel-not-owned" in kw("remove", "gift").err
    assert kw("remove", "gift", "--force").status == 0
    assert (home / "victim").is_dir() and (home / ".local/share/kernelwright").is_dir()
