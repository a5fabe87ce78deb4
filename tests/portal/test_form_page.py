"""The form page of the preview: evaluation, widgets, values and errors."""

import json
import re
from types import SimpleNamespace

import pytest

from portal.client import NAME, Person
from portal_tools import FIXTURE, POST, log_of, portal, render, root_of, visit


def app_with(tmp_path, form):
    (tmp_path / "manifest.yml").write_text("name: x\nrole: batch_connect\n")
    (tmp_path / "form.yml").write_text(form)
    return tmp_path


def test_form_binding():
    definition = render(FIXTURE)["definition"]
    assert definition["attributes"]["shout"]["value"] == str(FIXTURE)


def test_how_often_the_form_is_evaluated(tmp_path):
    counts = {}
    for release in ("4.1", "4.2"):
        counter = tmp_path / release
        app = tmp_path / f"app{release}"
        app.mkdir()
        app_with(app, "")
        (app / "form.yml").unlink()
        (app / "form.yml.erb").write_text(
            f'<%- File.open("{counter}", "a") {{ |f| f.puts 1 }} -%>\ncluster: "*"\nform: []\n'
        )
        with portal(tmp_path, "--release", release, app=app) as address:
            visit(SimpleNamespace(address=address), Person.form)
            visit(SimpleNamespace(address=address), Person.form)
        counts[release] = len(counter.read_text().splitlines())
    assert counts["4.2"] == 1
    assert counts["4.1"] >= 4


@pytest.mark.parametrize(
    "yaml",
    [
        "form: [a]\nattributes: {a: &x {value: 1}, b: *x}",
        "form: [a]\nattributes: {a: {value: 2024-01-01}}",
        "form: [a]\nattributes: {a: {value: :sym}}",
        "form: [a\n",
    ],
)
def test_yaml_is_safe(tmp_path, yaml):
    answer = render(app_with(tmp_path, yaml))
    assert "error" in answer


@pytest.mark.parametrize(
    "form",
    ["form: [method]", "form: x", "form: [a]\nattributes: 3", "form: [Display]", "form: ['a b']"],
)
def test_bad_forms_become_alerts(tmp_path, form):
    assert render(app_with(tmp_path, form))["error"]
    definition = {"form": ["a"], "attributes": {"a": {"widget": "select", "options": [None]}}}
    assert "nil" in render(tmp_path, "form", definition=definition)["error"]


def test_fixed_values(place):
    async def launch(person):
        return await person.launch(kind="fail", fx_fixed="changed")

    card = visit(place, launch)
    context = json.loads((root_of(place, card) / "user_defined_context.json").read_text())
    assert "fx_fixed" not in context
    assert "before fail here" in log_of(place, card, "before")


def test_widgets(place):
    page, values = visit(place, Person.form)
    for field in ("kind", "word", "level", "box", "once", "bc_num_hours", "shout"):
        assert f'id="batch_connect_session_context_{field}_wrapper"' in page
        assert f'name="{NAME}[{field}]"' in page
        assert f'for="batch_connect_session_context_{field}"' in page
    assert "fx_fixed" not in page
    assert '<input type="hidden" name="batch_connect_session_context[box]" value="0">' in page
    assert 'data-hide-shout-when-un-checked="true"' in page
    assert 'min="1" max="9"' in page
    assert "<code>two</code>" in page
    assert "Quick &lt;b&gt;" in page
    assert "Fixture &lt;app&gt;" in page
    assert values[f"{NAME}[cluster]"] == "preview"
    assert values[f"{NAME}[kind]"] in {"quick", "fail"}
    assert 'data-hide-word="true"' in page
    assert 'document.body.dataset.formjs = "ran";' in page


def test_option_groups():
    def select(options, value=""):
        definition = {
            "form": ["a"],
            "attributes": {"a": {"widget": "select", "options": options, "value": value}},
        }
        return render(FIXTURE, "form", definition=definition)["html"]

    grouped = select(
        [
            ["Central", [["Py <3>", "py", {"data-x": "1"}], "plain"], {"data-g": "x"}],
            ["Mine", [["R", "r"]]],
        ],
        "r",
    )
    assert (
        '<optgroup label="Central" data-g="x"><option data-x="1" value="py">Py &lt;3&gt;</option><option value="plain">plain</option></optgroup>'
        in grouped
    )
    assert '<option selected="selected" value="r">R</option>' in grouped
    flat = select([["Py", "py"], ["Mine", [["R", "r"]]]])
    assert "optgroup" not in flat


def test_values_are_not_validated(place):
    async def launch(person):
        return await person.launch(kind="$(no such kind)", level="9", bc_num_hours="99")

    card = visit(place, launch)
    context = json.loads((root_of(place, card) / "user_defined_context.json").read_text())
    assert context["kind"] == "$(no such kind)"
    options = json.loads((root_of(place, card) / "job_script_options.json").read_text())
    assert options["script"]["wall_time"] == 99 * 3600
    visit(place, lambda person: person.act(card, "delete"))


def test_lists_are_dropped(place):
    async def launch(person):
        _, values = await person.form()
        data = [(k, v) for k, v in values.items() if not k.endswith("[word]")]
        data += [
            (f"{NAME}[word][]", "a"),
            (f"{NAME}[word][]", "b"),
            (f"{NAME}[unknown]", "x"),
            (f"{NAME}[kind]", "fail"),
        ]
        await person.text("POST", POST, data=data)
        return next(iter(await person.cards()))

    context = json.loads(
        (root_of(place, visit(place, launch)) / "user_defined_context.json").read_text()
    )
    assert context["word"] == ""
    assert "unknown" not in context
    assert all(isinstance(value, str) for value in context.values())


def test_submit_errors(place):
    async def launch(person):
        _, values = await person.form()
        values |= {
            f"{NAME}[level]": "many <b>",
            f"{NAME}[word]": "kept\n<i>words</i>",
            f"{NAME}[kind]": "slow",
        }
        return await person.text("POST", POST, data=values)

    before = set(root_of(place, "").glob("*"))
    page = visit(place, launch)
    assert (
        "<h4>save</h4><pre>The level must be a digit\nyou typed &lt;many &lt;b&gt;&gt;</pre>"
        in page
    )
    assert "kept\n&lt;i&gt;words&lt;/i&gt;" in page
    assert re.search(r'<option selected="selected"[^>]* value="slow">', page)
    assert set(root_of(place, "").glob("*")) == before


def test_submit_binding(place):
    async def launch(person):
        return await person.launch(kind="fail")

    options = json.loads(
        (root_of(place, visit(place, launch)) / "job_script_options.json").read_text()
    )
    assert options["script"]["native"] == ["nil", "here", 36]


def test_smart_attributes():
    definition = {
        "form": ["bc_num_hours", "bc_queue", "bc_account", "auto_qos", "bc_num_slots"],
        "cluster": "*",
        "attributes": {"bc_queue": {"value": "q"}},
    }
    answer = render(
        FIXTURE.parent / "none",
        "submit",
        definition=definition,
        clusters=["c"],
        staged_root="/x",
        values={"bc_account": "IHAx"},
    )
    assert answer["options"] == {
        "cluster": "c", "script": {"wall_time": 3600, "queue_name": "q", "accounting_id": "p1", "qos": None, "native": ["-N", "1"]},
    }  # fmt: skip


def test_a_form_without_a_cluster():
    for cluster in ({}, {"cluster": "other*"}):
        answer = render(
            FIXTURE.parent / "none",
            "submit",
            definition={"form": [], "attributes": {}, **cluster},
            clusters=["c"],
            staged_root="/x",
        )
        assert answer["error"] == "The cluster was never set."


def test_last_values(place):
    async def launch(person):
        await person.launch(kind="fail", word="remember <me>", once="forget me")
        return await person.form()

    page, values = visit(place, launch)
    assert values[f"{NAME}[word]"] == "remember <me>"
    assert values[f"{NAME}[kind]"] == "fail"
    assert values[f"{NAME}[once]"] == ""
    assert "remember &lt;me&gt;" in page
