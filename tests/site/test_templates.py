"""Templates: typed answers, and answers that stay data whatever they hold."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kernelwright.catalog import templates
from kernelwright.catalog.answers import AnswerError, checked
from kernelwright.catalog.expressions import env_folder, rendered
from kernelwright.catalog.templates import describe
from kernelwright.config.model import Form, SiteConfig, SlurmConfig
from kernelwright.errors import UserError
from kernelwright.recipe import dump, load

MARWAN = {
    "name": "conda-slurm",
    "label": "Conda via Slurm",
    "parameters": {
        "env": {"label": "Environment", "example": "analysis"},
        "ntasks": {"type": "number", "min": 1, "max": 64, "default": 1},
        "modules": {"type": "modules", "default": []},
        "partition": {"type": "choice", "from": "partitions", "default": "defq"},
        "account": {"type": "account", "required": False},
        "purge": {"type": "bool", "default": False},
    },
    "recipe": {
        "environment": {"prefix": {"path": "{{ env | env_folder }}"}},
        "modules": {"load": ["base", "{{ modules }}"], "purge": "{{ purge }}"},
        "env": {"TASKS": "{{ ntasks }}", "NOTE": "for {{ env }} on {{ partition }}"},
        "launcher": {
            "slurm": {
                "partition": "{{ partition }}",
                "ntasks": "{{ ntasks }}",
                "account": "{{ account }}",
                "time": "01:00:00",
            }
        },
    },
}
SITE = SiteConfig(form=Form(partitions=({"name": "defq"}, {"name": "gpu"})), templates=(MARWAN,))


def make(answers, **more):
    return templates.instantiate(SITE, "conda-slurm", answers, home=Path("/home/u"), **more)


def test_answers_become_a_recipe():
    recipe = make(
        {
            "env": "/envs/a",
            "ntasks": "4",
            "modules": "gcc/12, openmpi",
            "partition": "gpu",
            "account": "p1",
            "purge": "1",
        },
        name="My analysis",
    )
    assert (recipe.name, recipe.display_name) == ("my-analysis", "My analysis")
    assert recipe.environment.path == "/envs/a"
    assert recipe.modules.load == ("base", "gcc/12", "openmpi")
    assert recipe.modules.purge is True
    assert dict(recipe.env) == {"TASKS": "4", "NOTE": "for /envs/a on gpu"}
    assert (recipe.slurm.partition, recipe.slurm.ntasks, recipe.slurm.account) == ("gpu", 4, "p1")


def test_defaults_are_used_and_optional_answers_leave_their_key_out():
    recipe = make({"env": "/envs/a"}, name="a1")
    assert (recipe.name, recipe.display_name) == ("a1", "Conda via Slurm")
    assert (recipe.slurm.partition, recipe.slurm.ntasks, recipe.slurm.account) == ("defq", 1, None)
    assert recipe.modules.load == ("base",)


HOSTILE = [
    "{{ 7 * 7 }}", "{% for x in range(9) %}x{% endfor %}", "{{ ''.__class__.__mro__ }}", "$(touch /tmp/pwned)", "`id`", "; rm -rf ~",
    "a: b", "- x", "[1, 2]", "{'a': 1}", "!!python/object/apply:os.system [id]", "&a *a", "# comment", "true", "null", "1e3", "010", "0x10",
    "'", '"', "\\", "%s", "${HOME}", "../../etc", "a\u202eb", "\U0001f600", "<script>alert(1)</script>", "__import__('os')", "x" * 190, "-rf", "~root", "%n%n",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=[repr(t)[:20] for t in HOSTILE])
def test_hostile_text_stays_data(text):
    template = describe(
        {
            "name": "t",
            "parameters": {"a": {}},
            "recipe": {
                "environment": {"prefix": {"path": "/x/{{ a }}"}},
                "env": {"ONE": "{{ a }}", "TWO": "<{{ a }}>"},
            },
        },
        SITE,
    )
    recipe = templates.fill_in(template, {"a": text}, name="k", home=Path("/home/u"))
    assert recipe.environment.path == f"/x/{text}"
    assert dict(recipe.env) == {"ONE": text, "TWO": f"<{text}>"}
    assert load(dump(recipe), source="again") == recipe


@pytest.mark.parametrize(
    "text", ["a\nb", "a\0b", "a\x1b[31m", "x" * 201, "\ud800", "a\rb"], ids=repr
)
def test_text_with_control_characters_or_too_long_is_refused_by_the_question(text):
    with pytest.raises(AnswerError) as raised:
        make({"env": text}, name="k")
    assert raised.value.code == "template-answer"
    assert raised.value.context == {"answer to": "env"}


@pytest.mark.parametrize(
    ("answers", "word"),
    [
        ({}, "needs an answer"),
        ({"env": "  "}, "needs an answer"),
        ({"env": "/a", "ntasks": "65"}, "between 1 and 64"),
        ({"env": "/a", "ntasks": "0"}, "between 1 and 64"),
        ({"env": "/a", "ntasks": "1.5"}, "whole number"),
        ({"env": "/a", "ntasks": "nan"}, "a number"),
        ({"env": "/a", "ntasks": "1e1"}, "a number"),
        ({"env": "/a", "ntasks": "1_0"}, "a number"),
        ({"env": "/a", "ntasks": "\u0664"}, "a number"),
        ({"env": "/a", "ntasks": "9" * 5000}, "a number"),
        ({"env": "/a", "ntasks": ["1"]}, "a number"),
        ({"env": "/a", "partition": "other"}, "one of defq, gpu"),
        ({"env": "/a", "account": "a b"}, "cannot be"),
        ({"env": "/a", "account": "--wrap=id"}, "cannot be"),
        ({"env": "/a", "modules": "gcc;id"}, "no module name"),
        ({"env": "/a", "modules": " ".join(["a"] * 101)}, "more than 100"),
        ({"env": "/a", "purge": "maybe"}, "yes or no"),
        ({"env": {"a": 1}}, "one text"),
        ({"env": "/a", "evn": "x"}, "does not ask for"),
        ({"env": "a/b"}, "cannot be filled in"),
    ],
    ids=str,
)
def test_wrong_answers_are_named(answers, word):
    with pytest.raises(UserError) as raised:
        make(answers, name="k")
    assert word in raised.value.message
    assert raised.value.code in {"template-answer", "template-broken"}


@pytest.mark.parametrize(
    "source",
    [
        "{{ a.__class__ }}", "{{ a.__init__.__globals__ }}", "{{ self }}", "{{ ''.join([].__class__.__base__.__subclasses__()) }}",
        "{{ a.format_map({}).__class__ }}", "{{ '{0.__class__}'.format(a) }}", "{{ 1 / 0 }}", "{{ nothing }}", "x{{ nothing }}",
        "{{ range(10**9) }}", "{% import 'os' as os %}", "{% include '/etc/passwd' %}", "{{ a | nofilter }}", "{{", "{{ a }", "{{ lipsum.__globals__ }}",
        "{{ cycler.__init__ }}", "{{ a[9] }}",
    ],
)  # fmt: skip
def test_a_template_reaches_nothing_but_its_answers(source):
    try:
        made = rendered({"k": source}, {"a": "x"}, Path("/h"))
    except UserError as error:
        assert error.code == "template-broken"
    else:
        assert "subclasses" not in str(made)
        assert "globals" not in str(made).lower() or str(made) == source
        assert "root:" not in str(made)
        assert "<class" not in str(made)


def test_form_fields_become_answers_by_id():
    template = templates.find(SITE, "template:conda-slurm")
    fields = {p["id"]: "v" for p in template["parameters"]} | {
        "kwt_other_x_x": "no",
        "kw_title": "no",
    }
    assert templates.answers_from_form(template, fields) == dict.fromkeys(MARWAN["parameters"], "v")


def test_a_fixed_value_is_not_asked_and_a_command_on_the_node_is_run_there():
    entry = {
        "name": "t",
        "parameters": {
            "fixed": {"value": "/opt/x"},
            "node": {"from": {"command": ["printf", "n1\\nn2\\n"], "when": "node"}},
        },
        "recipe": {"environment": {"prefix": {"path": "{{ fixed }}"}}, "env": {"N": "{{ node }}"}},
    }
    template = describe(entry, SITE)
    assert [p["ask"] for p in template["parameters"]] == [False, False]
    recipe = templates.fill_in(template, {}, name="k")
    assert (recipe.environment.path, recipe.env["N"]) == ("/opt/x", "n1")
    with pytest.raises(UserError):
        templates.fill_in(template, {"fixed": "/tmp/evil"}, name="k")
    broken = describe(
        entry
        | {
            "parameters": entry["parameters"]
            | {"node": {"from": {"command": ["false"], "when": "node"}}}
        },
        SITE,
    )
    with pytest.raises(UserError) as raised:
        templates.fill_in(broken, {}, name="k")
    assert raised.value.code == "site-command-failed"


def test_hidden_and_unknown_templates_are_refused_in_words():
    off = replace(SITE, slurm=SlurmConfig(submit="none"))
    with pytest.raises(UserError) as raised:
        templates.instantiate(off, "conda-slurm", {"env": "/a"})
    assert (raised.value.code, "slurm.submit" in raised.value.message) == ("template-hidden", True)
    with pytest.raises(UserError) as raised:
        templates.instantiate(SITE, "conda-slrm", {})
    assert (raised.value.code, raised.value.hint) == (
        "no-such-template",
        "did you mean `conda-slurm`?",
    )


def test_an_environment_is_found_by_its_name(tmp_path):
    (tmp_path / "miniforge3/envs/ml").mkdir(parents=True)
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda/environments.txt").write_text(f"/gone/away\n{tmp_path}/far/away\n")
    assert env_folder("ml", tmp_path) == str(tmp_path / "miniforge3/envs/ml")
    assert env_folder("away", tmp_path) == str(tmp_path / "far/away")
    assert env_folder("none", tmp_path) == str(tmp_path / ".conda/envs/none")
    assert env_folder("~/x", tmp_path) == "~/x"
    for bad in ("..", ".", "", "a/b"):
        with pytest.raises(ValueError, match="neither"):
            env_folder(bad, tmp_path)


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("bool", "on", True),
        ("bool", "0", False),
        ("bool", False, False),
        ("list", "a, b\nc", ["a", "b", "c"]),
        ("list", ["a"], ["a"]),
        ("number", " 7 ", 7),
        ("gpu", "a100", "a100"),
    ],
)
def test_values_by_type(kind, given, value):
    assert (
        checked({"name": "p", "label": "P", "type": kind, "options": [], "max_length": 200}, given)
        == value
    )


def test_numbers_with_fractions_where_the_bounds_have_them():
    parameter = {"name": "p", "label": "P", "type": "number", "min": 0.5, "max": 2, "options": []}
    assert checked(parameter, "1.25") == 1.25
    assert json.dumps(checked(parameter, "2")) == "2"


def test_a_check_without_a_command_hides_the_template_in_words():
    entry = {"name": "t", "check": {"timeout": 5}, "recipe": {"environment": {"venv": {}}}}
    found = describe(entry, SITE)
    assert found["hidden"]
    assert found["reason"] == "its check failed: it names no command that could be run"
