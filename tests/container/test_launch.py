"""What a kernel in a container sees of the node: folders, variables, devices; seen from inside by `--shell`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kernelwright import process

TEMPLATES = Path(process.__file__).parent / "launch/templates"

LOOK = """
import json, os, sys
def lists(path):
    try: return sorted(os.listdir(path))
    except OSError as error: return error.strerror
print(json.dumps({"env": dict(os.environ), "cwd": os.getcwd(), "paths": {p: lists(p) for p in sys.argv[1:]},
                  "home": os.path.expanduser("~"), "mounts": open("/proc/self/mountinfo").read(), "site": [p for p in sys.path]}))
"""

HOSTILE = {
    "quotes": "a'b\"c",
    "command": "$(touch /tmp/kw-pwned) `touch /tmp/kw-pwned`",
    "commas": "a,b=c,--bind=/etc:/x",
    "newline": "one\ntwo",
    "dash": "--nv",
    "percent": "100%s %n {x} ${HOME} \\n \\",
    "unicode": "naïve ☃",
}


def generation(person, name):
    kernel = json.loads(
        (person.user.home / ".local/share/jupyter/kernels" / name / "kernel.json").read_text()
    )
    return kernel["argv"][0]


def look(person, name, *paths, env=None, cwd=None):
    """The inside of the kernel `name`, as its own launch.sh makes it."""
    done = person.user.run(
        [generation(person, name), "--shell", "--", "/usr/bin/python3", "-s", "-c", LOOK, *map(str, paths)],
        env=person.environ | (env or {}), cwd=cwd,
    )  # fmt: skip
    assert done.ok, done.stderr
    return json.loads(done.stdout)


def test_variables_of_the_job_go_in_and_nothing_else(person, imagery):
    person.create(
        "v", imagery.mini(), "--env", "OWN=mine", "--env", "PATH=/opt/tool/bin:${PATH}", "--no-test"
    )
    job = {"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "2,3", "OMP_NUM_THREADS": "4", "ROCR_VISIBLE_DEVICES": "0",
           "https_proxy": "http://proxy.example.org:3128", "LC_TIME": "C.UTF-8"}  # fmt: skip
    outer = {
        "SECRET_TOKEN": "s3cret",
        "PYTHONPATH": "/outer",
        "LD_LIBRARY_PATH": "/outer/lib",
        "LD_PRELOAD_X": "1",
        "JPY_PARENT_PID": "1",
    }
    inside = look(person, "v", env=job | outer)["env"]
    assert {name: inside.get(name) for name in job} == job
    assert inside["OWN"] == "mine"
    assert inside["PYTHONNOUSERSITE"] == "1"
    assert inside["PATH"].startswith("/opt/tool/bin:/usr/local/")
    assert str(person.runtime) not in inside["PATH"]
    assert not set(outer) & set(inside)
    assert "s3cret" not in json.dumps(inside)


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_values_arrive_as_they_are(value, person, imagery):
    """In the recipe's env and in the job's variables: nothing is run, nothing is changed, nothing else is bound."""
    recipe = person.user.home / "recipe.yml"
    literal = value.replace("${HOME}", "").replace(
        "\n", " "
    )  # a recipe fills in the one and refuses the other
    text = {
        "version": 1,
        "name": "h",
        "environment": {"container": {"image": str(imagery.mini())}},
        "env": {"OWN": literal},
    }
    recipe.write_text(json.dumps(text))
    done = person.kernelwright("create", "recipe", recipe, "--no-test")
    assert done.ok, done.stderr
    seen = look(person, "h", "/x", env={"SLURM_JOB_NAME": value})
    assert seen["env"]["OWN"] == literal
    assert seen["env"]["SLURM_JOB_NAME"] == value
    assert seen["paths"]["/x"] == "No such file or directory"
    assert not (person.user.home / "kw-pwned").exists()
    ran = person.user.run(["ls", "/tmp/kw-pwned"])
    assert not ran.ok


def test_working_folder_with_odd_characters(person, imagery):
    """Commas, colons and quotes would split --bind; the folder is bound all the same."""
    person.create("w", imagery.mini(), "--no-test")
    outside = person.user.run(["mktemp", "-d", "/var/tmp/kw, a:b\"c' $(id)XXXXXX"]).stdout.rstrip(
        "\n"
    )
    try:
        person.user.run(["touch", f"{outside}/mark"])
        seen = look(person, "w", outside, cwd=outside)
        assert seen["cwd"] == outside
        assert seen["paths"][outside] == ["mark"]
    finally:
        person.user.run(["rm", "-r", "--", outside])


def test_working_folder_of_the_system_is_not_put_over_the_image(person, imagery):
    person.create("s", imagery.mini(), "--no-test")
    seen = look(person, "s", "/usr/share", cwd="/usr/share")
    assert seen["cwd"] == "/"
    assert seen["paths"]["/usr/share"] != sorted(p.name for p in Path("/usr/share").iterdir())


def test_binds(person, imagery, tmp_path):
    """Read-only, another place, ${NAME}, ~; a missing optional one is left out, a missing required one said."""
    data = person.user.home / "data"
    person.user.run(["mkdir", "-p", data / "sub"])
    recipe = {"version": 1, "name": "b", "environment": {"container": {"image": str(imagery.mini()), "bind": [
        f"{data}:/given:ro",
        "${SCRATCH}/sub:/from-variable",
        {"source": "~/data", "target": "/from-home"},
        {"source": "/not/here", "required": False},
        {"source": "${NOT_SET}/x", "target": "/y", "required": False},
    ]}}}  # fmt: skip
    (person.user.home / "recipe.yml").write_text(json.dumps(recipe))
    assert person.kernelwright("create", "recipe", person.user.home / "recipe.yml", "--no-test").ok
    seen = look(
        person, "b", "/given", "/from-variable", "/from-home", "/not", env={"SCRATCH": str(data)}
    )
    assert seen["paths"] == {
        "/given": ["sub"],
        "/from-variable": [],
        "/from-home": ["sub"],
        "/not": "No such file or directory",
    }
    options = {line.split()[4]: line.split()[5] for line in seen["mounts"].splitlines()}
    assert options["/given"].startswith("ro")
    assert options["/from-home"].startswith("rw")
    done = person.user.run(
        [generation(person, "b"), "--shell", "--", "true"],
        env=person.environ | {"SCRATCH": "/gone"},
    )
    assert not done.ok
    assert "bind-missing" in done.stderr


def test_gpu_flags_follow_the_devices_of_the_node(person, imagery, tmp_path):
    """auto looks at this node at every start; the same launch.sh runs where there is no GPU."""
    person.create("g", imagery.mini(), "--no-test")
    script = person.user.home / "probe.sh"
    for devices, flags in {
        (): "",
        ("nvidia0",): "--nv",
        ("nvidia3", "nvidiactl"): "--nv",
        ("kfd",): "--rocm",
    }.items():
        folder = person.user.home / ("dev" + "-".join(devices))
        person.user.run(["mkdir", folder])
        for device in devices:
            person.user.run(["touch", folder / device])
        text = Path(generation(person, "g")).read_text()
        shown = text.replace("kw_gpu auto /dev", f"kw_gpu auto {folder}").replace(
            "\nkw_start ", '\nprintf "%s\\n" "${kw_options[@]}"; exit; '
        )
        assert shown != text
        script.write_text(shown)
        done = person.user.run(["bash", script, "--shell", "--", "true"], env=person.environ)
        found = [line for line in done.stdout.splitlines() if line in {"--nv", "--rocm"}]
        assert " ".join(found) == flags


@pytest.mark.parametrize(
    ("recorded", "fuse", "files", "unpack"),
    [
        ("1", "writable", ["libexec/apptainer/bin/starter"], False),
        ("1", "missing", [], True),
        ("", "missing", ["libexec/apptainer/bin/starter"], True),
        ("", "missing", ["lib/x86_64-linux-gnu/singularity/bin/starter"], True),
        ("", "missing", ["libexec/apptainer/bin/starter", "libexec/apptainer/bin/starter-suid"], False),
        ("", "missing", [], False),
    ],
    ids=["mounts-again", "as-recorded", "no-fuse", "debian", "set-uid", "unknown"],
)  # fmt: skip
def test_images_are_unpacked_only_where_they_cannot_be_mounted(
    recorded, fuse, files, unpack, tmp_path
):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch(mode=0o755)
    (tmp_path / "writable").touch()
    lines = f'. {TEMPLATES}/container.sh\nkw_program={tmp_path}/bin/apptainer\nkw_must_unpack "{recorded}" {tmp_path}/{fuse}'
    assert process.run(["bash", "-c", lines], timeout=30).ok is unpack


def test_home_of_the_session_differs_from_passwd(person, imagery):
    """HOME inside is the session's where it set one, and its files are there."""
    person.create("o", imagery.mini(), "--no-test")
    other = person.user.run(["mktemp", "-d", "/var/tmp/kwhomeXXXXXX"]).stdout.strip()
    try:
        person.user.run(["touch", f"{other}/mark"])
        seen = look(
            person,
            "o",
            other,
            env={"HOME": other, "KERNELWRIGHT_HOME": str(person.user.home)},
            cwd=other,
        )
        assert seen["home"] == other
        assert "mark" in seen["paths"][other]
    finally:
        person.user.run(["rm", "-r", other])


def test_packages_of_the_home_do_not_leak_in(person, imagery):
    """~/.local is visible in the container, and the reason of many broken kernels."""
    folder = person.user.home / ".local/lib/python3.11/site-packages"
    person.user.run(["mkdir", "-p", folder])
    person.user.run(["sh", "-c", f"echo 'raise SystemExit(\"leaked\")' > {folder}/traitlets.py"])
    person.create("clean", imagery.mini())


def test_runtime_that_is_gone_is_said(person, imagery):
    """On a node without Apptainer: the launch script says which program is missing."""
    person.create("r", imagery.mini(), "--no-test")
    script = person.user.home / "moved.sh"
    text = Path(generation(person, "r")).read_text()
    script.write_text(text.replace("kw_find_runtime /", "kw_find_runtime /gone/"))
    done = person.user.run(["bash", script, "--shell", "--", "true"], env={"PATH": "/usr/bin:/bin"})
    assert not done.ok
    assert "runtime-missing" in done.stderr


def test_kernel_whose_runtime_is_elsewhere_is_not_here(person, imagery):
    """On a login node without Apptainer `list` says so; nothing is broken. Doctor and show agree."""
    person.create("n", imagery.mini(), "--no-test")
    home = person.user.home
    made = next(home.glob(".local/share/kernelwright/kernels/*/1/made.json"))
    made.write_text(made.read_text().replace("/usr/bin/apptainer", "/gone/apptainer"))
    (home / ".local/share/kernelwright/index.json").unlink(missing_ok=True)
    without = {"PATH": f"{person.runtime}/bin:/usr/bin:/bin"}
    (mine,) = [
        k
        for k in json.loads(person.kernelwright("list", "--json", env=without).stdout)["kernels"]
        if k["name"] == "n"
    ]
    assert (mine["state"], [p["code"] for p in mine["problems"]]) == (
        "unavailable",
        ["runtime-missing"],
    )
    assert person.kernelwright("doctor", "n", env=without).stdout.count("runtime-missing") == 1
    assert "is not on this node" in person.kernelwright("show", "n", env=without).stdout
    (mine,) = [
        k
        for k in json.loads(person.kernelwright("list", "--json").stdout)["kernels"]
        if k["name"] == "n"
    ]
    assert mine["state"] == "ok"


def test_image_that_is_gone_is_said(person, imagery, tmp_path):
    copy = person.user.home / "mine.sif"
    person.user.run(["cp", imagery.sif("shell-only"), copy])
    recipe = {
        "version": 1,
        "name": "i",
        "command": ["/usr/bin/cat", "{connection_file}"],
        "environment": {"container": {"image": str(copy)}},
    }
    (person.user.home / "recipe.yml").write_text(json.dumps(recipe))
    done = person.kernelwright("create", "recipe", person.user.home / "recipe.yml", "--no-test")
    assert done.ok, done.stderr
    person.user.run(["rm", copy])
    done = person.user.run([generation(person, "i"), "--shell", "--", "true"], env=person.environ)
    assert "image-missing" in done.stderr
    found = person.kernelwright("doctor", "i", "--json")
    assert found.status == 1
    assert "image-missing" in found.stdout
