"""Recipes: what is taken, what is refused and with which line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelwright.errors import UserError
from kernelwright.model import (
    Bind,
    CondaSpec,
    ContainerSpec,
    PrefixSpec,
    Recipe,
    ScriptSpec,
    SlurmSettings,
    VenvSpec,
)
from kernelwright.recipe import (
    check_name,
    check_title,
    dump,
    from_mapping,
    load,
    propose_name,
    recipe_hash,
    to_mapping,
)

FULL = """\
version: 1
name: bert
display_name: BERT
description: for the course
language: python
environment:
  container: {image: "docker://org/name:tag", gpu: nvidia, bind: ["/scratch", {source: /a, target: /b, mode: ro, required: false}]}
modules: {use: [/apps/modules], load: [gcc/12, cuda/12.4], purge: true}
env: {LD_LIBRARY_PATH: "/proj/lib:${LD_LIBRARY_PATH}", FLAG: yes, OCTAL: 010, CLOCK: 12:30:00, EMPTY: ""}
build_env: {SOME_LICENCE: accept}
isolation: {user_site: true}
interrupt_mode: message
launcher:
  slurm: {partition: defq, ntasks: 4, time: "01:00:00", gres: "gpu:1", account: p1, qos: null, mem: 4G, extra: [--constraint=skylake]}
"""


def test_every_key_is_read_as_written():
    recipe = load(FULL, source="bert.yml")
    assert recipe.environment == ContainerSpec(
        "docker://org/name:tag",
        "nvidia",
        (Bind("/scratch"), Bind("/a", "/b", "ro", required=False)),
    )
    assert recipe.env == {
        "LD_LIBRARY_PATH": "/proj/lib:${LD_LIBRARY_PATH}",
        "FLAG": "yes",
        "OCTAL": "010",
        "CLOCK": "12:30:00",
        "EMPTY": "",
    }
    assert recipe.modules.load == ("gcc/12", "cuda/12.4")
    assert recipe.isolation.user_site and not recipe.isolation.pythonpath
    assert recipe.slurm == SlurmSettings(
        partition="defq",
        ntasks=4,
        time="01:00:00",
        gres="gpu:1",
        account="p1",
        mem="4G",
        extra=("--constraint=skylake",),
    )


def test_versions_keep_their_text():
    assert load("name: a\nenvironment: {venv: {python: 3.10}}", source="x").environment == VenvSpec(
        python="3.10"
    )


BAD = {
    "list": ("- a", "must be a mapping", 1),
    "empty": ("", "must be a mapping", None),
    "syntax": ("name: a\nenvironment: [", "is not a recipe", 3),
    "tab": ("name: a\n\tenvironment: {}", "is not a recipe", 2),
    "twice": ("name: a\nname: b", "stands twice", 2),
    "unknown key": ("name: a\nenvironmant: {venv: {}}\nenvironment: {venv: {}}", "is not a key", 2),
    "two kinds": ("name: a\nenvironment: {venv: {}, conda: {}}", "exactly one", 2),
    "no kind": ("name: a\nenvironment: {}", "exactly one", 2),
    "no name": ("environment: {venv: {}}", "is missing", None),
    "newer": ("version: 2\nname: a\nenvironment: {venv: {}}", "newer", 1),
    "relative prefix": ("name: a\nenvironment:\n  prefix: {path: envs/x}", "absolute", 3),
    "option as package": (
        "name: a\nenvironment:\n  conda: {dependencies: [--yes]}",
        "looks like an option",
        3,
    ),
    "bad variable": ("name: a\nenvironment: {venv: {}}\nenv: {'A B': x}", "no variable name", 3),
    "bad module": (
        "name: a\nenvironment: {venv: {}}\nmodules: {load: ['gcc; rm']}",
        "no module name",
        3,
    ),
    "bad time": (
        "name: a\nenvironment: {venv: {}}\nlauncher:\n  slurm: {time: soon}",
        "01:30:00",
        4,
    ),
    "bad number": (
        "name: a\nenvironment: {venv: {}}\nlauncher:\n  slurm: {ntasks: four}",
        "whole number",
        4,
    ),
    "bad bind": (
        "name: a\nenvironment:\n  container: {image: x.sif, bind: ['a,b']}",
        "cannot hold",
        3,
    ),
    "dash image": ("name: a\nenvironment:\n  container: {image: --nv}", "dash", 3),
    "mapping as text": ("name: a\nlanguage: {}\nenvironment: {venv: {}}", "must be a text", 2),
    "line end in value": (
        'name: a\ndescription: "a\\nb"\nenvironment: {venv: {}}',
        "control character",
        2,
    ),
    "bad language": ("name: a\nlanguage: $(id)\nenvironment: {venv: {}}", "cannot be", 2),
}


@pytest.mark.parametrize("case", BAD, ids=BAD)
def test_mistakes_are_named_with_their_line(case):
    text, words, line = BAD[case]
    with pytest.raises(UserError) as caught:
        load(text, source="r.yml")
    assert caught.value.code == "invalid-recipe"
    assert words in caught.value.message
    assert caught.value.context["recipe"] == ("r.yml" if line is None else f"r.yml:{line}")


def test_a_billion_laughs_end_at_once():
    text = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)
    )
    with pytest.raises(UserError, match="too large"):
        load(text, source="x")


@pytest.mark.parametrize("name", ["a", "0", "py3.12", "a-b_c.d", "x" * 63])
def test_good_names(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "...",
        "A",
        "Analysis",
        "a b",
        "a/b",
        "../x",
        "-a",
        "_a",
        "a\n",
        "\na",
        "a\0",
        "ä",
        "x" * 64,
        "a;rm",
        "$(id)",
        "`id`",
        "😀",
        "\u202ea",
        "a.lock",
    ],
)
def test_bad_names_are_refused_with_a_usable_suggestion(name):
    with pytest.raises(UserError) as caught:
        check_name(name)
    assert caught.value.code == "invalid-name"
    if "for example" in caught.value.hint:
        proposal = caught.value.hint.split("`")[-2]
        assert check_name(proposal) == proposal


@given(st.text(max_size=300))
def test_a_proposed_name_is_a_name_or_nothing(title):
    proposal = propose_name(title)
    assert proposal == "" or check_name(proposal) == proposal


@pytest.mark.parametrize(
    "title", ["", "  ", "a\nb", "a\x1b[31m", "\u202eabc", "\ud800", "x" * 121, "a\u2028b"]
)
def test_display_names_that_would_deceive(title):
    with pytest.raises(UserError) as caught:
        check_title(title)
    assert caught.value.code == "invalid-display-name"


@pytest.mark.parametrize(
    "title", ["Python 3 (ML)", "Größe", "日本語 カーネル", "R & 'friends' <b>", "😀 fun"]
)
def test_display_names_that_people_like(title):
    assert check_title(title) == title


SPECS = st.one_of(
    st.builds(
        VenvSpec,
        requirements=st.lists(
            st.sampled_from(["numpy>=2", "six", "a[b]; python_version>'3'"]), max_size=3
        ).map(tuple),
        python=st.sampled_from([None, "3.10"]),
    ),
    st.builds(
        CondaSpec,
        channels=st.lists(st.sampled_from(["conda-forge", "https://h/x"]), max_size=2).map(tuple),
        dependencies=st.just(("python=3.12", "numpy")),
    ),
    st.builds(PrefixSpec, st.sampled_from(["/opt/x", "~/envs/a b"])),
    st.builds(ScriptSpec, st.sampled_from(["~/k.sh"])),
    st.builds(
        ContainerSpec,
        st.sampled_from(["docker://a/b:1", "/i/x.sif"]),
        st.sampled_from(["auto", "none"]),
    ),
)


@given(
    SPECS,
    st.dictionaries(
        st.sampled_from(["A", "PATH", "_x"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    ),
)
def test_dump_and_load_give_the_same_recipe(spec, env):
    recipe = Recipe("a", spec, env=env, slurm=SlurmSettings(ntasks=2))
    assert load(dump(recipe), source="x") == recipe
    assert from_mapping(to_mapping(recipe), source="x") == recipe


def test_the_hash_knows_what_a_build_depends_on():
    one = load(FULL, source="x")
    assert recipe_hash(one) == recipe_hash(
        load(
            FULL.replace("name: bert", "name: other").replace("ntasks: 4", "ntasks: 8"), source="x"
        )
    )
    assert recipe_hash(one) != recipe_hash(load(FULL.replace("gcc/12", "gcc/13"), source="x"))
    assert recipe_hash(one, files=(b"a",)) != recipe_hash(one, files=(b"b",))
