"""From plain data to a Recipe: every key of docs/reference/recipe.md, one function a section."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from ..model import (
    Bind,
    CondaSpec,
    ContainerSpec,
    EnvironmentSpec,
    Isolation,
    Modules,
    PrefixSpec,
    Recipe,
    ScriptSpec,
    SlurmSettings,
    VenvSpec,
)
from .names import check_name, check_title, visible
from .reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/@:=~-]{0,200}")
LANGUAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+#. _-]{0,40}")
SLURM_TIME = re.compile(r"(?ai:\d+|\d+:\d\d(:\d\d)?|\d+-\d+(:\d\d){0,2}|UNLIMITED|INFINITE)")
SLURM_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:=*@%+/()\[\]&|!-]{0,200}")
SLURM_FEATURES = re.compile(rf"[\[(!]{{0,4}}{SLURM_WORD.pattern}")  # [a|b], !x
# a long option, or a short one with its value at once, as -wn1
SLURM_OPTION = re.compile(r"--[A-Za-z][A-Za-z0-9-]*(=.*)?|-[A-Za-z]([^\s=-].*)?")
VERSION = 1


def from_mapping(
    data: object,
    *,
    source: str,
    line_of: Callable[[tuple[str, ...]], int | None] = lambda _: None,
) -> Recipe:
    """Validate plain data (from YAML, JSON or a template) and return the Recipe it describes.

    Raises UserError `invalid-recipe`, `invalid-name` or `invalid-display-name`.
    """
    top = Reader(data if isinstance(data, dict) else {}, source, (), line_of)
    if not isinstance(data, dict):
        top.fail("must be a mapping of keys to values")
    if top.number("version", low=0, high=10**9) not in {VERSION, None}:
        top.fail(f"is newer than this kernelwright, which reads version {VERSION}", key="version")
    name = top.text("name")
    if name is None:
        top.fail("is missing", key="name")
    title = top.text("display_name")
    language = (top.text("language") or "python").lower()
    if not LANGUAGE.fullmatch(language):
        top.fail(f"cannot be `{visible(language)}`", key="language")
    launcher = top.section("launcher")
    recipe = Recipe(
        name=check_name(name),
        environment=_environment(top.section("environment")),
        display_name=check_title(title) if title else None,
        language=language,
        description=top.text("description"),
        modules=_modules(top.section("modules")),
        env=top.pairs("env", _is_variable),
        build_env=top.pairs("build_env", _is_variable),
        isolation=_isolation(top.section("isolation")),
        command=top.texts("command"),
        interrupt_mode=cast("Any", top.choice("interrupt_mode", ("message", "signal"))),
        slurm=slurm(launcher.section("slurm")) if "slurm" in launcher.data else None,
    )
    launcher.asked.add("slurm")
    launcher.done()
    top.done()
    return recipe


def _is_variable(name: str) -> bool:
    return VARIABLE.fullmatch(name) is not None


def _environment(reader: Reader) -> EnvironmentSpec:
    kinds: Mapping[str, Callable[[Reader], EnvironmentSpec]] = {
        "conda": _conda,
        "venv": _venv,
        "container": _container,
        "script": lambda r: ScriptSpec(_path(r, "path")),
        "prefix": lambda r: PrefixSpec(_path(r, "path")),
    }
    named = [key for key in reader.data if key in kinds]
    if len(named) != 1:
        for key in kinds:
            reader.asked.add(key)
        reader.done()
        reader.fail(f"must hold exactly one of {', '.join(kinds)}")
    inner = reader.section(named[0])
    spec = kinds[named[0]](inner)
    inner.done()
    reader.done()
    return spec


def _conda(reader: Reader) -> CondaSpec:
    return CondaSpec(
        channels=_words(reader, "channels"),
        channels_append=_words(reader, "channels_append"),
        dependencies=_words(reader, "dependencies"),
        pip=_words(reader, "pip"),
        variables=reader.pairs("variables", _is_variable),
        file=reader.text("file"),
        lock=reader.text("lock"),
    )


def _venv(reader: Reader) -> VenvSpec:
    python = reader.text("python")
    if python is not None and (python.startswith("-") or len(python) > 4096):
        reader.fail("must be a version such as 3.12 or the path of an interpreter", key="python")
    return VenvSpec(
        requirements=_words(reader, "requirements"),
        file=reader.text("file"),
        python=python,
        lock=reader.text("lock"),
    )


def _words(reader: Reader, key: str) -> tuple[str, ...]:
    """Package specs and channels: an element that begins with a dash would be read as an option."""
    words = tuple(word.strip() for word in reader.texts(key) if word.strip())
    for word in words:
        if word.startswith("-"):
            reader.fail(f"holds `{visible(word)}`, which looks like an option", key=key)
    return words


def _path(reader: Reader, key: str) -> str:
    path = reader.text(key)
    if path is None:
        reader.fail("is missing", key=key)
    if not path.startswith(("/", "~")):
        reader.fail(f"must be an absolute path or begin with ~, not `{visible(path)}`", key=key)
    return path


def _container(reader: Reader) -> ContainerSpec:
    image = reader.text("image")
    if image is None:
        reader.fail("is missing", key="image")
    if image.startswith("-"):
        reader.fail("begins with a dash, which the runtime would read as an option", key="image")
    raw = reader.raw("bind")
    if raw is not None and not isinstance(raw, list):
        reader.fail("must be a list", key="bind")
    return ContainerSpec(
        image=image,
        gpu=cast("Any", reader.choice("gpu", ("auto", "none", "nvidia", "rocm")) or "auto"),
        bind=tuple(_bind(reader, item) for item in raw or ()),
        runtime=reader.text("runtime"),
    )


def parse_bind(text: str) -> Bind:
    """`SRC[:DST[:ro|rw]]`, as on the command line; ValueError says what is wrong with it."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if mode not in {"", "ro", "rw"}:
        raise ValueError(f"the mode must be ro or rw, not `{visible(mode)}`")
    for part in (source, target):
        if part and (not part.startswith(("/", "~", "$")) or "," in part):
            raise ValueError(f"`{visible(part)}` must be an absolute path without commas")
    if not source:
        raise ValueError("the source is missing")
    return Bind(source, target or None, cast("Any", mode or "rw"))


def _bind(reader: Reader, item: object) -> Bind:
    if isinstance(item, dict):
        inner = Reader(item, reader.source, (*reader.path, "bind"), reader.line_of)
        source, target = inner.text("source"), inner.text("target")
        mode = inner.choice("mode", ("ro", "rw")) or "rw"
        required = inner.flag("required") if "required" in item else True
        inner.done()
        text = ":".join([source or "", target or "", mode])
    else:
        text, required = reader.as_text(item, "bind"), True
    try:
        bind = parse_bind(text)
    except ValueError as error:
        reader.fail(f"cannot hold `{visible(text)}`: {error}", key="bind")
    return Bind(bind.source, bind.target, bind.mode, required)


def _modules(reader: Reader) -> Modules:
    use, load = reader.texts("use"), reader.texts("load")
    for name in load:
        if not MODULE.fullmatch(name):
            reader.fail(f"cannot hold `{visible(name)}`, which is no module name", key="load")
    for folder in use:
        if not folder.startswith(("/", "~", "$")) or ":" in folder:
            reader.fail(f"must hold absolute paths, not `{visible(folder)}`", key="use")
    modules = Modules(use, load, reader.flag("purge"))
    reader.done()
    return modules


def _isolation(reader: Reader) -> Isolation:
    isolation = Isolation(*(reader.flag(k) for k in ("user_site", "pythonpath", "ld_library_path")))
    reader.done()
    return isolation


def slurm(reader: Reader) -> SlurmSettings:
    """The `launcher.slurm` section, also used for the form's and the site's settings."""
    time = reader.text("time")
    if time is not None and not SLURM_TIME.fullmatch(time):
        reader.fail(f"must look like 01:30:00 or 1-12, not `{visible(time)}`", key="time")
    words = {
        k: reader.text(k)
        for k in ("partition", "gres", "account", "qos", "reservation", "constraint", "mem")
    }
    for key, value in words.items():
        form = SLURM_FEATURES if key == "constraint" else SLURM_WORD
        if value is not None and not form.fullmatch(value):
            reader.fail(f"cannot be `{visible(value)}`", key=key)
    extra = reader.texts("extra")
    for option in extra:
        if not SLURM_OPTION.fullmatch(option):
            reader.fail(
                f"must hold options such as --constraint=skylake, not `{visible(option)}`",
                key="extra",
            )
    settings = SlurmSettings(
        ntasks=reader.number("ntasks"),
        cpus_per_task=reader.number("cpus_per_task"),
        nodes=_nodes(reader),
        time=time,
        extra=extra,
        **words,
    )
    reader.done()
    return settings


def _nodes(reader: Reader) -> int | str | None:
    """A number of nodes, or a range such as 1-2."""
    text = reader.text("nodes") if isinstance(reader.raw("nodes"), str) else None
    found = re.fullmatch(r"([1-9][0-9]{0,6})-([1-9][0-9]{0,6})", text or "")
    if not found:
        return reader.number("nodes")
    if int(found[1]) > int(found[2]):
        reader.fail(f"must go upwards, not `{text}`", key="nodes")
    return text
