"""The form itself: sound for the dashboard's reader, in plain words, and there whatever is broken around it."""

import json
import re
import shutil
import subprocess

import pytest
from ood.rubyside import ROOT, call, catalog_file, central, render

RENDER = ROOT / "portal/render.rb"
FULL = {
    "kernels": [central("py311-ml", "Python 3.11 (ML)", gpu="required", partitions=["gpu"])],
    "templates": [{
        "value": "template:conda-slurm", "name": "conda-slurm", "label": "Conda via <Slurm>", "parameters": [
            {"name": "env", "id": "kwt_condaslurm_env_x", "type": "text", "label": "Environment", "help": "its <name>", "required": True, "default": None, "options": []},
            {"name": "n", "id": "kwt_condaslurm_n_x", "type": "number", "label": "Tasks", "default": 1, "min": 1, "max": 64, "options": []},
            {"name": "fast", "id": "kwt_condaslurm_fast_x", "type": "bool", "label": "Fast", "default": True, "options": []},
            {"name": "p", "id": "kwt_condaslurm_p_x", "type": "partition", "label": "Partition", "default": None, "options": [{"value": "defq", "label": "Default"}]},
            {"name": "m", "id": "kwt_condaslurm_m_x", "type": "modules", "label": "Modules", "default": ["gcc", "cuda"], "options": []},
            {"name": "no", "id": "kwt_condaslurm_no_x", "type": "text", "label": "No", "ask": False},
        ]}],
    "form": {
        "default": "site:py311-ml", "kinds": ["conda", "venv", "container"], "interfaces": ["lab"], "clusters": ["one", "two"], "slurm_options": True, "file_picker": True,
        "partitions": [{"name": "defq", "label": "Default", "gpus": 0, "max_hours": 4}, {"name": "gpu", "label": "GPUs", "gpus": 4, "max_hours": None}],
        "gpus": {"default": 0, "min": 0, "max": 4}, "hours": {"default": 2, "min": 1, "max": 24}, "build": {"partition": "short", "time": "00:30:00", "cores": 4},
    },
    "site": {"name": "HPC", "support": "help@example.org", "message": "Down on <b>Monday</b>\n\n- list"}, "command": "module load kernelwright; kernelwright",
}  # fmt: skip
ORDINARY = {
    "kw_kernel",
    "kw_ui",
    "kw_folder",
    "bc_num_hours",
    "bc_queue",
    "auto_queues",
    "bc_account",
    "kw_cores",
    "kw_mem",
    "kw_gpus",
}


@pytest.fixture
def full(home, tmp_path):
    return render("evaluate", home=home, catalog=catalog_file(tmp_path, **FULL))["definition"]


@pytest.fixture
def bare(home):
    return render("evaluate", home=home)["definition"]


def shown(definition):
    return {
        k: v
        for k, v in definition["attributes"].items()
        if not (isinstance(v, dict) and (v.get("fixed") or v.get("widget") == "hidden_field"))
    }


@pytest.mark.parametrize("which", ["bare", "full"])
def test_every_field_says_what_it_is_and_gives_an_example(which, request):
    definition = request.getfixturevalue(which)
    for field, given in shown(definition).items():
        assert given["label"].strip(), field
        assert given["help"].strip(), field
        if field not in {"kw_only", "kw_more"} and not field.startswith("kwt_"):
            assert re.search(r"for example|FOR EXAMPLE", given["help"], re.I), field
    assert definition["form"] == list(definition["attributes"])


@pytest.mark.parametrize("which", ["bare", "full"])
def test_ids_are_letters_and_none_begins_or_ends_another(which, request):
    ids = request.getfixturevalue(which)["form"]
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in ids)
    assert [(a, b) for a in ids for b in ids if a != b and (b.startswith(a) or b.endswith(a))] == []


def test_the_ordinary_path_shows_at_most_nine_fields(full):
    hidden = {
        "kw_title",
        "kw_packages",
        "kw_file",
        "kw_image",
        "kw_only",
        "kw_other",
        "kw_modules",
        "kw_installer",
        "kw_qos",
        "kw_reservation",
        "kw_slurm",
        "kw_job",
    }
    ordinary = [f for f in shown(full) if f not in hidden and not f.startswith("kwt_")]
    assert set(ordinary) - {"kw_more"} <= ORDINARY
    assert len(set(ordinary) - {"kw_more"}) == 9


def test_no_cluster_is_wired_in(bare, full):
    assert bare["cluster"] == ["*"]
    assert full["cluster"] == ["one", "two"]


def test_bounds_defaults_and_choices_come_from_the_site(full):
    fields = full["attributes"]
    assert fields["kw_kernel"]["value"] == "site:py311-ml"
    assert (
        fields["bc_num_hours"]["value"],
        fields["bc_num_hours"]["min"],
        fields["bc_num_hours"]["max"],
    ) == (2, 1, 24)
    assert fields["bc_queue"]["options"][0] == [
        "Default",
        "defq",
        {"data-kw-gpus": 0, "data-max-bc-num-hours": 4},
    ]
    assert fields["kw_ui"]["options"] == [["JupyterLab", "lab"]]
    assert fields["kw_file"]["widget"] == "path_selector"
    assert fields["kw_gpus"]["max"] == 4
    assert (
        full["form_header"]
        == '<div class="alert alert-info">Down on &lt;b&gt;Monday&lt;/b&gt;  - list</div>'
    )


def test_new_fields_are_not_remembered(full):
    for field in (
        "kw_title",
        "kw_packages",
        "kw_file",
        "kw_image",
        "kw_only",
        "kw_other",
        "kwt_condaslurm_env_x",
    ):
        assert full["attributes"][field]["cacheable"] is False


def test_parameters_of_templates_become_fields(full):
    fields = {k: v for k, v in full["attributes"].items() if k.startswith("kwt_")}
    assert (
        fields["kwt_condaslurm_env_x"]["help"]
        == "Counts for “Conda via &lt;Slurm&gt;”. its &lt;name&gt;"
    )
    assert fields["kwt_condaslurm_n_x"] | {"help": 0} == {
        "label": "Tasks (Conda via <Slurm>)",
        "help": 0,
        "cacheable": False,
        "value": "1",
        "widget": "number_field",
        "min": 1,
        "max": 64,
    }
    assert fields["kwt_condaslurm_fast_x"]["value"] == "1"
    assert fields["kwt_condaslurm_p_x"]["options"] == [["(not set)", ""], ["Default", "defq"]]
    assert fields["kwt_condaslurm_m_x"]["value"] == "gcc\ncuda"
    assert "kwt_condaslurm_no_x" not in fields


def test_hide_directives_name_what_does_not_count(full):
    options = {o[1]: o[2] for _, group in full["attributes"]["kw_kernel"]["options"] for o in group}
    new = {k for k, v in options["new:packages"].items() if v is True}
    assert "data-hide-kw-file" in new
    assert "data-hide-kw-packages" not in new
    assert "data-hide-kw-title" in options["site:py311-ml"]
    assert "data-hide-kwt-condaslurm-env-x" not in options["template:conda-slurm"]


def test_long_lists_leave_the_directives_to_form_js(home, tmp_path):
    catalog = catalog_file(tmp_path, kernels=[central(f"k{i}") for i in range(301)])
    definition = render("evaluate", home=home, catalog=catalog)["definition"]
    assert len(definition["attributes"]["kw_kernel"]["options"][0][1][0]) == 2


@pytest.mark.parametrize(
    "broken", ["lib gone", "lib with a syntax error", "lib that raises", "lib that exits"]
)
def test_a_broken_lib_leaves_a_form_with_the_default(home, tmp_path, broken):
    app = tmp_path / "app"
    app.mkdir()
    for name in ("form.yml.erb", "manifest.yml"):
        shutil.copy(ROOT / name, app)
    shutil.copytree(ROOT / "lib/ood", app / "lib/ood")
    if broken == "lib gone":
        shutil.rmtree(app / "lib")
    else:
        code = {
            "lib with a syntax error": "def (",
            "lib that raises": "raise 'x'",
            "lib that exits": "raise NotImplementedError",
        }[broken]
        (app / "lib/ood/fields.rb").write_text(code)
    definition = call(RENDER, {"action": "evaluate", "app": str(app)}, home=home)["definition"]
    assert definition["attributes"]["kw_kernel"]["options"] == [["The default of this site", ""]]
    assert "could not be made" in definition["form_header"]


def test_a_home_with_odd_characters(tmp_path):
    home = tmp_path / "ho me'\"<b>#{exit}:é"
    home.mkdir()
    definition = render("evaluate", home=home)["definition"]
    html = render("form", home=home, definition=definition, values={}, clusters=["c"])["html"]
    assert definition["attributes"]["kw_folder"]["placeholder"] == str(home)
    assert (
        'placeholder="'
        + str(home)
        .replace("'", "&#39;")
        .replace('"', "&quot;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        in html
    )


def test_the_form_starts_no_process(home, tmp_path):
    trace = tmp_path / "trace"
    request = '{"action": "evaluate", "app": "%s"}' % ROOT
    done = subprocess.run(
        ["strace", "-f", "-o", trace, "-e", "trace=execve", "ruby", RENDER],
        input=request,
        text=True,
        capture_output=True,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "KERNELWRIGHT_HOME": str(home)},
    )
    assert done.returncode == 0
    assert trace.read_text().count("execve(") == 1


def test_a_course_is_one_small_file_that_fixes_fields(home, tmp_path):
    """A sub-app: its YAML is merged over the form; a scalar fixes a field, and the job gets it all the same."""
    course = tmp_path / "course.yml"
    course.write_text(
        'title: "Course"\nattributes:\n  kw_kernel: site:course\n  bc_num_hours: 3\n  kw_reservation: tuesday\n'
    )
    catalog = catalog_file(tmp_path, kernels=[central("course")])
    definition = render("evaluate", home=home, catalog=catalog, subapp=str(course))["definition"]
    html = render("form", home=home, definition=definition, values={}, clusters=["c"])["html"]
    assert definition["title"] == "Course"
    assert "kw_kernel" not in html
    assert "bc_num_hours" not in html
    options = render(
        "submit",
        home=home,
        catalog=catalog,
        definition=definition,
        values={"kw_kernel": "user:mine"},
        clusters=["c"],
        staged_root="/x",
    )["options"]
    assert options["script"]["wall_time"] == 3 * 3600
    assert options["script"]["reservation_id"] == "tuesday"
    root = tmp_path / "staged"
    root.mkdir()
    record = {"id": "1", "staged_root": str(root), "cluster_id": "c", "title": "Course"}
    render(
        "stage",
        home=home,
        catalog=catalog,
        definition=definition,
        values={"kw_kernel": "user:mine"},
        clusters=["c"],
        record=record,
        env={"KERNELWRIGHT_RUNTIME": "/opt/kw"},
    )
    assert json.loads((root / "request.json").read_text())["answers"]["kw_kernel"] == "site:course"


def test_ruby_files_have_no_warnings_and_no_gems():
    for file in sorted([*(ROOT / "lib/ood").glob("*.rb"), *(ROOT / "portal").rglob("*.rb")]):
        done = subprocess.run(["ruby", "-wc", file], capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr) == ("Syntax OK\n", ""), file
        needed = set(re.findall(r"^\s*require \"([a-z]+)\"", file.read_text(), re.M))
        assert needed <= {
            "json",
            "etc",
            "erb",
            "time",
            "yaml",
            "cgi",
            "ostruct",
            "fileutils",
            "pathname",
            "shellwords",
            "base64",
        }, file
