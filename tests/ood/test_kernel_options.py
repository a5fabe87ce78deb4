"""The list of kernels in the form: what is in it, in which order, and that nothing can break or slow it."""

import json
import os
import time

import pytest
from ood.rubyside import ask, catalog_file, central, render, values_of

from kernelwright.config.model import SiteConfig
from kernelwright.discovery import discover
from kernelwright.discovery.index import write_index

MAKING = ["new:packages", "new:file", "new:container"]


def kernelspec(home, name, **spec):
    folder = home / ".local/share/jupyter/kernels" / name
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "argv": ["/bin/true", "{connection_file}"],
        "display_name": name,
        "language": "python",
    } | spec
    (folder / "kernel.json").write_text(json.dumps(document))
    return folder


def index(home, kernels, **more):
    path = home / ".local/share/kernelwright/index.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(
            {"version": 1, "written_at": time.time(), "host": "n", "kernels": kernels, **more}
        )
    )
    return path


def row(value, label="x", state="ok", **more):
    return {
        "value": value,
        "name": value.split(":")[-1],
        "label": label,
        "group": "Mine",
        "language": "python",
        "state": state,
        "problem": None,
        **more,
    }


def test_without_anything_the_default_and_new_ones_are_offered(home):
    found = ask("options", home=home)
    assert found["groups"] == [
        ["Central", [["The default of this site", ""]]],
        [
            "Make a new one",
            [
                ["From a list of packages", "new:packages"],
                ["From an environment file", "new:file"],
                ["From a container image", "new:container"],
            ],
        ],
    ]
    assert found["default"] == ""


def test_groups_order_marks_and_default(home, tmp_path):
    catalog = catalog_file(
        tmp_path,
        kernels=[
            central("bad", "Bad", state="broken"), central("py", "Python 3.11"), central("gpu", "Torch", gpu="required"),
            central("old", "Old", deprecated="2027-01-31"), central("gone", alias=True), central("secret", hidden=True),
        ],
        form={"default": "site:py", "kinds": ["venv"]},
        templates=[{"value": "template:conda-slurm", "name": "conda-slurm", "label": "Conda via Slurm"}, {"value": "template:off", "name": "off", "label": "Off", "hidden": True}],
    )  # fmt: skip
    index(
        home,
        [
            row("user:b", "B", "broken"),
            row("user:a", "A", "warning"),
            row("group:lab/tool", "Tool"),
            row("conda:env", "Env"),
            row("site:py", "again"),
        ],
    )
    kernelspec(home, "a")
    kernelspec(home, "b")
    (home / ".local/share/jupyter/kernels/a/kernel.json").touch()
    found = ask("options", home=home, catalog=catalog)
    assert values_of(found["groups"]) == {
        "Central": ["site:py", "site:gpu", "site:old", "site:bad"],
        "Mine": ["user:a", "user:b", "conda:env"],
        "Shared with me": ["group:lab/tool"],
        "Make a new one": ["new:packages", "new:file", "template:conda-slurm"],
    }
    labels = {option[1]: option[0] for _, options in found["groups"] for option in options}
    assert labels["site:bad"] == "Bad (does not start)"
    assert labels["site:gpu"] == "Torch (needs a GPU)"
    assert labels["site:old"] == "Old (until 2027-01-31)"
    assert found["default"] == "site:py"


def test_the_index_that_python_writes_is_read(home):
    kernelspec(home, "mine", display_name="Mine é 漢字 🧬")
    write_index(home, discover(home=home, environ={"PATH": "/usr/bin"}, site=SiteConfig()), "node")
    document = json.loads((home / ".local/share/kernelwright/index.json").read_text())
    entry = next(e for e in document["kernels"] if e["value"] == "user:mine")
    entry["label"] = "taken from the index"
    (home / ".local/share/kernelwright/index.json").write_text(json.dumps(document))
    labels = {o[1]: o[0] for _, options in ask("options", home=home)["groups"] for o in options}
    assert labels["user:mine"].startswith(
        "taken from the index"
    )  # stat and size are the same: not parsed again


def test_hand_made_changed_and_removed_kernels_show_at_once(home):
    kernelspec(home, "kept")
    stat = os.stat(home / ".local/share/jupyter/kernels/kept/kernel.json")
    folder = home / ".local/share/jupyter/kernels"
    index(home, [
        row("user:kept", "Kept", path=str(folder / "kept"), stat=[stat.st_mtime_ns, stat.st_size]),
        row("user:removed", "Removed", path=str(folder / "removed"), stat=[1, 1]),
        row("user:changed", "Before", path=str(folder / "changed"), stat=[1, 1]),
    ])  # fmt: skip
    kernelspec(home, "changed", display_name="After")
    kernelspec(home, "handmade", display_name="By hand")
    kernelspec(home, "wreck", argv="python")
    mine = dict(ask("options", home=home)["groups"])["Mine"]
    assert mine == [
        ["After", "user:changed"],
        ["By hand", "user:handmade"],
        ["Kept", "user:kept"],
        ["wreck (does not start)", "user:wreck"],
    ]


def test_at_most_fifty_new_files_are_parsed(home):
    for number in range(60):
        kernelspec(home, f"k{number:02}", display_name=f"Label {number}")
    mine = dict(ask("options", home=home)["groups"])["Mine"]
    assert len(mine) == 60
    assert sum(label.startswith("Label") for label, _ in mine) in {49, 50}


BAD_INDEXES = {
    "empty": b"", "truncated": b'{"version": 1, "kernels": [', "list": b"[]", "null": b"null", "bytes": b"\xff\xfe\x00",
    "kernels is a mapping": b'{"version":1,"kernels":{}}', "entries are numbers": b'{"version":1,"kernels":[1,null,"x",[]]}',
    "newer": b'{"version":2,"kernels":[{"value":"user:x","label":"x"}]}', "deep": b"[" * 5000,
    "odd members": b'{"version":1,"kernels":[{"value":7,"label":{},"path":[],"stat":"x","state":[]},{"value":"user:ok","label":"ok","state":"ok"}]}',
    "lone surrogate": b'{"version":1,"kernels":[{"value":"user:s","label":"a\\ud800b","state":"ok"}]}',
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_INDEXES)
def test_a_bad_index_never_takes_the_form_down(home, name):
    path = index(home, [])
    path.write_bytes(BAD_INDEXES[name])
    found = ask("options", home=home)
    assert values_of(found["groups"])["Make a new one"] == MAKING
    form = render("evaluate", home=home)["definition"]
    assert "kw_kernel" in form["form"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"kernels": 1, "form": [], "templates": {"a": 1}, "site": 3}',
        b'{"form": {"hours": "x", "kinds": 1, "partitions": [1], "build": []}}',
    ],
)
def test_a_bad_catalog_falls_back_to_the_default(home, tmp_path, content):
    path = tmp_path / "catalog.json"
    path.write_bytes(content)
    assert ask("options", home=home, catalog=path)["groups"][0] == [
        "Central",
        [["The default of this site", ""]],
    ]
    assert "kw_kernel" in render("evaluate", home=home, catalog=path)["definition"]["form"]


def test_a_pipe_or_a_device_in_the_place_of_a_file_does_not_hang(home):
    folder = home / ".local/share/kernelwright"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "index.json")
    spec = kernelspec(home, "pipe")
    (spec / "kernel.json").unlink()
    os.mkfifo(spec / "kernel.json")
    loop = kernelspec(home, "loop")
    (loop / "kernel.json").unlink()
    (loop / "kernel.json").symlink_to("kernel.json")
    (kernelspec(home, "device") / "kernel.json").unlink()
    (home / ".local/share/jupyter/kernels/device/kernel.json").symlink_to("/dev/zero")
    assert "Mine" not in values_of(ask("options", home=home)["groups"])


@pytest.mark.root
def test_a_folder_that_may_not_be_read_hides_only_itself(alice):
    folder = alice.home / ".local/share/jupyter/kernels"
    kernelspec(alice.home, "mine")
    alice.run(["true"])
    os.chmod(folder, 0)  # root's own, so alice may neither list nor enter it
    found = ask("options", home=alice.home, user=alice)
    assert "Mine" not in values_of(found["groups"])
    assert alice.uid != 0
    os.chmod(folder, 0o755)
    assert values_of(ask("options", home=alice.home, user=alice)["groups"])["Mine"] == ["user:mine"]


HOSTILE = [
    "<script>alert(1)</script>", '" onmouseover="x', "'; drop", "a\nb: [", "&anchor *alias", "!!ruby/object:X", "{{ 7*7 }}", "<%= `id` %>", "#{exit}", "$(id)", "`id`",
    "\u202egnp.exe", "\x1b[31mred", "a\x00b", "\ud800", "\ufeffbom", "\u2028line", "日本 🧬 é", "x" * 10_000, "  ", "- - -", "%s%n", "\\u0000", "\uffff", "--- !", ": :", "null", "2024-01-01",
]  # fmt: skip


def test_hostile_display_names_are_text_and_nothing_else(home, tmp_path):
    catalog = catalog_file(
        tmp_path, kernels=[central(f"c{i}", text) for i, text in enumerate(HOSTILE)]
    )
    index(home, [row(f"group:lab/k{i}", text) for i, text in enumerate(HOSTILE)])
    for number, text in enumerate(HOSTILE):
        kernelspec(home, f"k{number}", display_name=text)
    definition = render("evaluate", home=home, catalog=catalog)["definition"]
    groups = definition["attributes"]["kw_kernel"]["options"]
    assert [len(options) for _, options in groups[:3]] == [len(HOSTILE)] * 3
    html = render("form", home=home, catalog=catalog, definition=definition, values={})["html"]
    assert "<script" not in html
    assert "onmouseover=" not in html.replace("&quot; onmouseover=", "")
    for _, options in groups[:3]:
        for label, _value, *_ in options:
            assert 0 < len(label) <= 110
            assert label.isprintable()


def test_odd_folder_names_of_kernels(home):
    for name in [
        "with space",
        "$(id)",
        "é",
        "-x",
        "..x",
        ".hidden",
        "a'b",
        'a"b',
        "x" * 200,
        "new\nline",
    ]:
        kernelspec(home, name)
    broken = os.fsencode(home / ".local/share/jupyter/kernels") + b"/\xff\xfe"
    os.mkdir(broken)
    with open(broken + b"/kernel.json", "w") as file:
        json.dump({"argv": ["x"], "display_name": "Bytes"}, file)
    mine = values_of(ask("options", home=home)["groups"])["Mine"]
    assert "user:with space" in mine
    assert "user:.hidden" not in mine
    assert not any("\n" in value for value in mine)
    assert "kw_kernel" in render("evaluate", home=home)["definition"]["form"]


@pytest.mark.parametrize("state", ["broken", "untrusted", "unavailable"])
def test_what_cannot_be_used_stands_last_and_says_so(home, state):
    index(
        home, [row("group:lab/a", "A", state), row("group:lab/b", "B"), row("group:other/a", "A")]
    )
    shared = dict(ask("options", home=home)["groups"])["Shared with me"]
    assert [option[1] for option in shared] == ["group:lab/b", "group:other/a", "group:lab/a"]
    assert shared[-1][0].startswith("A (")


def test_the_policy_of_the_site_decides_what_can_be_made(home, tmp_path):
    catalog = catalog_file(tmp_path, form={"kinds": ["container"]})
    assert values_of(ask("options", home=home, catalog=catalog)["groups"])["Make a new one"] == [
        "new:container"
    ]
    catalog = catalog_file(tmp_path, form={"kinds": []})
    assert "Make a new one" not in values_of(ask("options", home=home, catalog=catalog)["groups"])


def test_what_runs_in_a_job_of_its_own_says_so(tmp_path, home):
    own = {"launcher": {"slurm": {"partition": "defq"}}}
    catalog = catalog_file(
        tmp_path,
        kernels=[central("mpi", "MPI", recipe=own), central("py", "Python", description="Small <b>")],
        templates=[{"value": "template:t", "name": "t", "label": "T", "description": "Yours", "recipe": own}],
    )  # fmt: skip
    found = dict(ask("options", home=home, catalog=catalog)["groups"])
    assert found["Central"][0][:2] == ["MPI (counts as two jobs)", "site:mpi"]
    assert "two jobs are charged" in found["Central"][0][2]["data-kw-about"]
    assert found["Central"][1] == ["Python", "site:py", {"data-kw-about": "Small <b>."}]
    made = found["Make a new one"][-1]
    assert made[0] == "T (counts as two jobs)"
    assert made[2]["data-kw-about"].startswith("Yours. It runs in a job of its own")
