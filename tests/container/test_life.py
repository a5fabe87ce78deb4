"""A container kernel after it was made: what breaks it later, and what mends it."""

from __future__ import annotations

import json
import shutil

CELL = {"run": "print(6 * 7)"}


def made(person):
    (path,) = person.user.home.glob(".local/share/kernelwright/kernels/*/1/made.json")
    return json.loads(path.read_text())["facts"]


def test_missing_image_opens_the_diagnostic_kernel_and_repair_mends_it(person, imagery, registry):
    """The scratch file system was cleaned: the notebook says so in a cell, repair pulls the same digest."""
    person.create("r", f"docker://{registry.host}/lab/bare:1")
    before = made(person)
    shutil.rmtree(before["file"].rpartition("/")[0])
    (answer,) = person.drive("r", CELL)
    told = f"{answer['text']} {answer['error']}"
    assert before["file"] in told
    assert "repair" in told
    done = person.kernelwright("repair", "r")
    assert done.ok, done.stdout + done.stderr
    (answer,) = person.drive("r", CELL)
    assert answer["text"] == "42\n"
    assert made_last(person)["digest"] == before["digest"]
    assert_clean_takes_only_what_no_kernel_needs(person, "r", made_last(person))


def assert_clean_takes_only_what_no_kernel_needs(person, name, facts):
    """The runtime's cache always goes; image and brought packages go with the last kernel that names them."""
    store = person.user.home / ".local/share/kernelwright/images"
    folder = store / facts["digest"].replace(":", "-")
    assert person.kernelwright("storage", "--clean").ok
    assert not (store / "cache").exists()
    assert folder.is_dir()
    assert list((store / "injected").glob("ipykernel-*/complete"))
    assert person.kernelwright("remove", name).ok
    assert person.kernelwright("storage", "--clean").ok
    assert not folder.exists()
    assert not list((store / "injected").glob("ipykernel-*/complete"))


def made_last(person):
    paths = sorted(person.user.home.glob(".local/share/kernelwright/kernels/*/*/made.json"))
    return json.loads(paths[-1].read_text())["facts"]


def test_missing_bind_opens_the_diagnostic_kernel(person, imagery):
    folder = person.user.home / "data"
    person.user.run(["mkdir", folder])
    person.create("b", imagery.mini(), "--bind", f"{folder}:/data", "--no-test")
    person.user.run(["rmdir", folder])
    (answer,) = person.drive("b", CELL)
    assert "data" in f"{answer['text']} {answer['error']}"
    assert answer["text"] != "42\n"


def test_hand_written_kernel_is_adopted(person, imagery, apptainer):
    """TACC's tutorial as it is typed: one version's path, --debug, --nv and a bind of /run/user."""
    folder = person.user.home / ".local/share/jupyter/kernels/tacc"
    person.user.run(["mkdir", "-p", folder])
    argv = [str(apptainer), "--debug", "exec", "--nv", "--bind", "/run/user:/run/user", str(imagery.sif()),
            "python3", "-m", "ipykernel_launcher", "--debug", "-f", "{connection_file}"]  # fmt: skip
    (folder / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "BERT", "language": "python"})
    )
    done = person.kernelwright("adopt", "tacc")
    assert done.ok, done.stdout + done.stderr
    seen, hits = person.drive(
        "tacc",
        {"run": "print(open('/image.txt').read().strip())"},
        {
            "interrupt": 3,
            "code": "print('going', flush=True)\nimport time\nwhile True: time.sleep(0.1)",
        },
    )
    assert seen["text"] == "inside\n"
    assert hits["errors"] == ["KeyboardInterrupt"] * 3
