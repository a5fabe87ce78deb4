"""What a person typed meets its first reader: each bad answer is a sentence on the form, nothing else happens."""

import json

from ood.rubyside import ROOT, ask, catalog_file, central, render

GOOD = {
    "kw_kernel": "user:mine", "kw_last": "", "kw_other": "", "kw_title": "", "kw_packages": "", "kw_file": "", "kw_image": "", "kw_only": "0",
    "kw_ui": "lab", "kw_folder": "", "bc_num_hours": "2", "auto_queues": "defq", "bc_account": "", "kw_cores": "4", "kw_mem": "8",
    "kw_more": "0", "kw_modules": "", "kw_installer": "", "kw_qos": "", "kw_reservation": "", "kw_job": "",
}  # fmt: skip
NEW = {"kw_kernel": "new:packages", "kw_title": "RNA", "kw_packages": "numpy\npandas>=2"}
HOSTILE = {
    "blanks": "   ", "quotes": "a'b\"c", "substitution": "$(touch /tmp/pwned)", "backticks": "`id`", "newlines": "a\nb\r\nc", "command": "; rm -rf ~",
    "up": "../../etc/passwd", "dot": ".", "dots": "..", "dash": "-rf", "long": "x" * 10_001, "nul": "a\x00b", "bytes": b"\xff\xfe", "half emoji": b"\xed\xa0\x80",
    "emoji": "🧬", "right to left": "\u202egnp", "escape": "\x1b[2J", "yaml": "x\nscript:\n  native: [--uid=0]", "erb": "<%= 1 %>", "html": "<b onclick=x>",
}  # fmt: skip
ALLOWED = {  # what is no harm in this field: text that is quoted and passed on as JSON
    "kw_kernel": set(), "kw_other": set(), "bc_num_hours": set(), "kw_cores": set(), "kw_mem": set(), "kw_ui": set(),
    "kw_title": {"quotes", "substitution", "backticks", "command", "up", "dash", "yaml", "erb", "html"} - {"yaml"},
    "kw_packages": {"up", "newlines"}, "kw_file": set(), "kw_image": set(), "kw_folder": set(), "auto_queues": set(), "bc_account": set(), "kw_modules": {"newlines"},
    "kw_installer": set(), "kw_qos": set(), "kw_reservation": set(), "kw_job": set(),
}  # fmt: skip
EMPTY_IS_FINE = {
    "kw_kernel",
    "kw_title",
    "kw_other",
    "bc_num_hours",
    "kw_cores",
    "kw_mem",
    "kw_ui",
    "kw_folder",
    "auto_queues",
    "bc_account",
    "kw_modules",
    "kw_installer",
    "kw_qos",
    "kw_reservation",
    "kw_job",
}
CONTEXT = {
    "kw_title": NEW,
    "kw_packages": NEW,
    "kw_file": {**NEW, "kw_kernel": "new:file"},
    "kw_image": {**NEW, "kw_kernel": "new:container"},
}


def check(home, catalog=None, **values):
    return check_all(home, [values], catalog)[0]


def check_all(home, cases, catalog=None, base=GOOD):
    """One Ruby process for many sets of answers."""
    return ask("check", home=home, catalog=catalog, cases=[{**base, **case} for case in cases])[
        "found"
    ]


def test_hostile_answers_are_refused_in_words_or_harmless(home):
    cases = [(field, name) for field in ALLOWED for name in HOSTILE]
    found = check_all(
        home, [{**CONTEXT.get(field, {}), field: HOSTILE[name]} for field, name in cases]
    )
    for (field, name), one in zip(cases, found, strict=True):
        fine = name in ALLOWED[field] or (name == "blanks" and field in EMPTY_IS_FINE)
        assert one["ok"] is fine, (field, name, one)
        if not fine:
            assert len(one["message"]) < 400
            assert one["message"].isprintable(), (field, name)
            assert ": " in one["message"]


def test_every_refusal_reaches_the_form_through_submit(home):
    definition = render("evaluate", home=home)["definition"]
    for value in (HOSTILE["yaml"], HOSTILE["bytes"], HOSTILE["nul"], "   "):
        found = render(
            "submit",
            home=home,
            definition=definition,
            clusters=["c"],
            staged_root="/x",
            values={**GOOD, "kw_kernel": value, "cluster": "c"},
        )
        if value == "   ":
            assert found["options"]["cluster"] == "c"
        else:
            assert found["error"].startswith("Software for your notebook: ")


def test_submit_gives_plain_options(home):
    definition = render("evaluate", home=home)["definition"]
    found = render(
        "submit",
        home=home,
        definition=definition,
        clusters=["c"],
        staged_root="/x",
        values={**GOOD, "kw_qos": "debug", "kw_reservation": "course", "cluster": "c"},
    )
    assert found["options"] == {
        "cluster": "c", "batch_connect": {"template": "basic"},
        "script": {"native": ["--nodes=1", "--ntasks=1", "--cpus-per-task=4", "--mem=8G"], "wall_time": 7200, "queue_name": "defq",
                   "accounting_id": None, "qos": "debug", "reservation_id": "course"},
    }  # fmt: skip
    assert "kw_title" not in found["cache"]
    assert found["cache"]["kw_kernel"] == "user:mine"


PACKAGES = [
    "numpy", "numpy==1.26\n\n# a comment\nscipy", "numpy pandas scipy", "pip install numpy", "!pip install 'numpy<2'", "conda install -c conda-forge r-base=4.4", "python3 -m pip install x",
    "requests[socks]>=2.8; python_version < '3.12'", "pkg @ https://example.org/x.whl", "git+https://example.org/a.git@v1", "conda-forge::numpy=1.26=py311*", "-r requirements.txt", "./local", "numpy,scipy", "mamba create -n x python=3.12",
]  # fmt: skip
NO_PACKAGES = {
    "": "name at least one", "# only a comment": "name at least one", "numpy\nimport os; os.system('x') &&": "line 2", "numpy | cat": "shell code", "$HOME": "is not a package", "(numpy)": "is not a package",
}  # fmt: skip


def test_package_lists_as_people_write_them(home):
    found = check_all(home, [{**NEW, "kw_packages": text} for text in PACKAGES])
    assert [one["ok"] for one in found] == [True] * len(PACKAGES), found


def test_what_is_no_list_of_packages_is_named_with_its_line(home):
    found = check_all(home, [{**NEW, "kw_packages": text} for text in NO_PACKAGES])
    for one, says in zip(found, NO_PACKAGES.values(), strict=True):
        assert says in one["message"]


IMAGES = {
    "": "name one", "rocker/r-ver:4.4": "docker://rocker/r-ver:4.4", "tool.sif": "neither", "docker://a b": "neither",
    "docker://rocker/r-ver:4.4": None, "oras://x/y:1": None, "library://a/b": None, "/shared/my image.sif": None, "~/tool.sif": None,
}  # fmt: skip


def test_images_that_can_be_meant_and_others(home):
    found = check_all(
        home, [{**NEW, "kw_kernel": "new:container", "kw_image": image} for image in IMAGES]
    )
    for one, says in zip(found, IMAGES.values(), strict=True):
        assert one["ok"] is (says is None)
        assert says is None or says in one["message"]


def test_a_file_of_the_home_that_is_not_there_is_named(home):
    new = {**NEW, "kw_kernel": "new:file"}
    assert "there is no file" in check(home, **new, kw_file=str(home / "no.yml"))["message"]
    assert "there is no file" in check(home, **new, kw_file="~/no.yml")["message"]
    (home / "environment.yml").write_text("x")
    assert check(home, **new, kw_file="~/environment.yml")["ok"]
    assert check(home, **new, kw_file="/elsewhere/only/the/node/sees.yml")["ok"]


def test_fields_that_do_not_count_are_ignored(home):
    for values in (
        {"kw_title": "", "kw_packages": "$(x)"},
        {"kw_image": "; rm"},
        {"kw_file": "nowhere"},
        {"kw_only": "1"},
    ):
        assert check(home, **values)["ok"], values
    script = check(home, kw_only="1")["submit"]["script"]
    assert script["wall_time"] == 7200


CHOICES = ["", "site:py", "user:a b", "group:lab/x", "conda:base", "legacy:x", "jupyter:python3"]


def test_choices_of_the_list(home):
    assert [
        one["kernel"] for one in check_all(home, [{"kw_kernel": value} for value in CHOICES])
    ] == CHOICES


def test_a_typed_name_wins_over_the_list(home):
    assert check(home, kw_other="my-kernel")["kernel"] == "my-kernel"
    assert check(home, kw_other="group:lab/x")["kernel"] == "group:lab/x"


def test_the_site_bounds_numbers_partitions_and_kinds(home, tmp_path):
    catalog = catalog_file(tmp_path, form={
        "hours": {"default": 1, "min": 1, "max": 8}, "cores": {"default": 2, "min": 1, "max": 4}, "gpus": {"default": 0, "min": 0, "max": 2},
        "partitions": [{"name": "short", "label": "Short", "gpus": 0, "max_hours": 2}, {"name": "long", "label": "Long", "gpus": 0, "max_hours": None}],
        "kinds": ["venv"], "interfaces": ["lab"], "slurm_options": True, "build": {"partition": "build", "time": "00:30:00", "cores": 3},
    })  # fmt: skip
    base = {**GOOD, "bc_queue": "long", "kw_gpus": "1"}
    base.pop("auto_queues")

    def said(**values):
        return check_all(home, [values], catalog, base)[0]

    assert said()["submit"]["script"]["native"][-1] == "--gpus=1"
    assert said(bc_num_hours="9")["message"] == "Hours: 9 is not between 1 and 8."
    assert said(kw_cores="5")["message"] == "Processor cores: 5 is not between 1 and 4."
    assert said(kw_cores="1e3")["message"].startswith(
        "Processor cores: “1e3” is not a whole number"
    )
    assert (
        said(bc_queue="gone")["message"]
        == "Partition: “gone” is not offered here. Use short, long."
    )
    assert said(bc_queue="short", bc_num_hours="3")["message"] == "Hours: short gives at most 2."
    assert (
        "not offered here"
        in said(kw_kernel="new:container", kw_title="x", kw_image="/x.sif")["message"]
    )
    assert "not offered here" in said(kw_ui="notebook")["message"]
    making = said(**NEW, kw_only="1", bc_queue="short", bc_num_hours="8")["submit"]["script"]
    assert making == {
        "native": ["--nodes=1", "--ntasks=1", "--cpus-per-task=3", "--mem=8G"],
        "queue_name": "build",
        "wall_time": 1800,
    }


OPTIONS = {
    "--constraint=avx512\n--exclusive": ["--constraint=avx512", "--exclusive"],
    "--constraint avx": ["--constraint=avx"],
    "": [],
    "--licenses=a:1,b:2": ["--licenses=a:1,b:2"],
}
NO_OPTIONS = [
    "-N 4",
    "--wrap=id",
    "--output=/tmp/x",
    "--export=ALL",
    "--uid=0",
    "--comment=$(id)",
    "--comment='x'",
    "x",
    "--constraint=a b",
    "--array=1-9",
    "--chdir=/",
]


def test_more_slurm_options_where_the_site_allows_them(home, tmp_path):
    catalog = catalog_file(tmp_path, form={"slurm_options": True})
    found = check_all(home, [{"kw_slurm": text} for text in OPTIONS], catalog)
    assert [one["submit"]["script"]["native"][4:] for one in found] == list(OPTIONS.values())
    assert check(home, kw_slurm="--exclusive")["submit"]["script"]["native"][4:] == []


def test_slurm_options_that_would_break_the_session(home, tmp_path):
    catalog = catalog_file(tmp_path, form={"slurm_options": True})
    for one in check_all(home, [{"kw_slurm": text} for text in NO_OPTIONS], catalog):
        assert one["message"].startswith("More Slurm options: ")


TEMPLATE = {
    "value": "template:slurm", "name": "slurm", "label": "Conda via Slurm", "parameters": [
        {"name": "env", "id": "kwt_slurm_env_x", "type": "text", "label": "Environment", "required": True, "default": None, "pattern": "[a-z]+", "max_length": 10, "options": []},
        {"name": "ntasks", "id": "kwt_slurm_ntasks_x", "type": "number", "label": "Tasks", "default": 1, "min": 1, "max": 64, "options": []},
        {"name": "gpu", "id": "kwt_slurm_gpu_x", "type": "choice", "label": "GPU", "default": None, "options": [{"value": "a", "label": "A"}, {"value": "b", "label": "B"}]},
        {"name": "fixed", "id": "kwt_slurm_fixed_x", "type": "text", "label": "Fixed", "ask": False},
        {"name": "mods", "id": "kwt_slurm_mods_x", "type": "list", "label": "Modules", "default": ["gcc"], "options": []},
    ],
}  # fmt: skip


PARAMETERS = [
        ({}, None), ({"kwt_slurm_env_x": ""}, "Environment: it must not be empty."), ({"kwt_slurm_env_x": "A1"}, "Environment: “A1” does not have the form"),
        ({"kwt_slurm_env_x": "abcdefghijkl"}, "Environment: it is longer than 10"), ({"kwt_slurm_ntasks_x": "65"}, "Tasks: 65 is more than 64."), ({"kwt_slurm_ntasks_x": "many"}, "Tasks: “many” is not a number."),
        ({"kwt_slurm_gpu_x": "c"}, "GPU: “c” is not one of the choices."), ({"kwt_slurm_gpu_x": "b"}, None),
    ]  # fmt: skip


def test_parameters_of_templates(home, tmp_path):
    catalog = catalog_file(tmp_path, templates=[TEMPLATE])
    base = {"kw_kernel": "template:slurm", "kwt_slurm_env_x": "bert", "kwt_slurm_ntasks_x": "4"}
    found = check_all(home, [{**base, **answers} for answers, _ in PARAMETERS], catalog)
    for one, (_, says) in zip(found, PARAMETERS, strict=True):
        assert one["ok"] is (says is None), one
        assert says is None or one["message"].startswith(says)


def test_a_template_that_is_gone_is_said_at_relaunch(home, tmp_path):
    assert (
        "not offered here"
        in check(home, catalog_file(tmp_path, kernels=[central("x")]), kw_kernel="template:slurm")[
            "message"
        ]
    )


def test_the_values_never_become_code_in_submit(home, tmp_path):
    definition = render("evaluate", home=home)["definition"]
    values = {**GOOD, **NEW, "kw_title": 'a\' "b" #{exit} <%= exit %> $(x)', "cluster": "c"}
    found = render(
        "submit",
        home=home,
        definition=definition,
        clusters=["c"],
        staged_root=str(tmp_path),
        values=values,
    )
    assert json.dumps(found["options"]).count("exit") == 0
    assert (ROOT / "submit.yml.erb").is_file()
