"""Templates: recipes with questions. Described for the form, and filled in with people's answers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .. import paths
from ..errors import UserError, did_you_mean
from ..recipe import from_mapping, propose_name
from ..recipe.names import NAME
from . import commands
from .answers import checked
from .expressions import rendered
from .ids import ids

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..config.model import SiteConfig
    from ..model import Recipe

TEXT_VALUES = ("env", "build_env")


def find(site: SiteConfig, name: str) -> Mapping[str, Any]:
    """The site's template called `name` (or `template:name`), described.

    Raises UserError `no-such-template`, or `template-hidden` with the reason.
    """
    wanted = name.removeprefix("template:")
    known = {str(entry["name"]): entry for entry in site.templates}
    if wanted not in known:
        others = f"there are {', '.join(known)}" if known else "the site has none yet"
        raise UserError(
            "no-such-template",
            f"{site.site.name} has no template `{wanted[:80]}`",
            hint=did_you_mean(wanted, known, others),
        )
    template = known[wanted] if "value" in known[wanted] else describe(known[wanted], site)
    if template.get("hidden") and template.get("reason"):
        raise UserError(
            "template-hidden",
            f"the template `{wanted}` cannot be used now: {template['reason']}",
            hint=f"ask {site.site.support or 'the site'}",
        )
    return template


def instantiate(
    site: SiteConfig,
    template: str,
    answers: Mapping[str, Any],
    *,
    name: str | None = None,
    title: str | None = None,
    home: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Recipe:
    """The recipe that a template gives with these answers (by parameter name, as text or values).

    `name` is a kernel name; anything else is taken as a display name from which the name follows. Raises UserError: `no-such-template`, `template-hidden`, `template-answer`, `template-broken`, or
    what recipe.from_mapping says.
    """
    return fill_in(
        find(site, template), answers, name=name, title=title, home=home, environ=environ
    )


def fill_in(
    template: Mapping[str, Any],
    answers: Mapping[str, Any],
    *,
    name: str | None = None,
    title: str | None = None,
    home: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Recipe:
    """`instantiate` for a template that was found and described already."""
    parameters = template["parameters"]
    _refuse_unknown(template, parameters, answers)
    values = {p["name"]: _answer(p, answers.get(p["name"]), environ) for p in parameters}
    data = _as_texts(rendered(template["recipe"], values, home or paths.home_folder()))
    plain = name is not None and NAME.fullmatch(name) is not None
    label = title or data.get("display_name") or (None if plain else name)
    data["display_name"] = label or template["label"]
    data["name"] = (
        name if plain else propose_name(str(label or data.get("name") or template["name"]))
    )
    return from_mapping(data, source=f"template {template['name']}")


def answers_from_form(template: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The answers by parameter name, from form fields by id; fields of other templates are left out."""
    return {
        p["name"]: fields[p["id"]] for p in template["parameters"] if p["ask"] and p["id"] in fields
    }


def _refuse_unknown(
    template: Mapping[str, Any], parameters: list[Mapping[str, Any]], answers: Mapping[str, Any]
) -> None:
    asked = [p["name"] for p in parameters if p["ask"]]
    for name in answers:
        if name not in asked:
            raise UserError(
                "template-answer",
                f"the template `{template['name']}` does not ask for `{name[:80]}`",
                hint=did_you_mean(name, asked, f"it asks for {', '.join(asked) or 'nothing'}"),
            )


def _answer(parameter: Mapping[str, Any], given: Any, environ: Mapping[str, str]) -> Any:
    source = parameter.get("from")
    if isinstance(source, dict) and source.get("when") == "node":
        lines = commands.lines_of(source, environ)
        given = lines if parameter["type"] in {"list", "modules"} else (lines[0] if lines else None)
    elif not parameter["ask"]:
        given = parameter["default"]
    return checked(parameter, given)


def _as_texts(data: Any) -> dict[str, Any]:
    """The values of `env` as texts, as a recipe has them: an expression may have made a number."""
    if not isinstance(data, dict):
        raise UserError("template-broken", "the template's recipe is not a mapping")
    for section in TEXT_VALUES:
        if isinstance(data.get(section), dict):
            data[section] = {
                name: item if isinstance(item, str) else str(item)
                for name, item in data[section].items()
            }
    return data


def describe(
    entry: Mapping[str, Any], site: SiteConfig, *, environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """A template of the site's files as the catalog has it: options found, ids given, and tried once.

    A template that cannot work is hidden, with the reason.
    """
    found: dict[str, Any] = {
        "value": f"template:{entry['name']}",
        "name": entry["name"],
        "label": entry.get("label") or entry["name"],
        "description": entry.get("description"),
        "clusters": list(entry.get("clusters") or ()),
        "parameters": [],
        "hidden": bool(entry.get("hidden")),
        "reason": None,
        "code": None,
        "recipe": entry["recipe"],
    }
    names = list(entry.get("parameters") or {})
    try:
        given = ids(entry["name"], names)
        found["parameters"] = [
            _parameter(n, entry["parameters"][n] or {}, given[n], site, environ) for n in names
        ]
        _try_out(found, entry, site, environ)
    except UserError as error:
        found |= {"hidden": True, "reason": error.message, "code": error.code}
    return found


def _parameter(
    name: str, said: Mapping[str, Any], id_: str, site: SiteConfig, environ: Mapping[str, str]
) -> dict[str, Any]:
    kind = str(said.get("type") or "text")
    source = said.get("from") or {"partition": "partitions", "account": "accounts"}.get(kind)
    on_node = isinstance(source, dict) and source.get("when") == "node"
    default = said.get("value") if said.get("value") is not None else said.get("default")
    options = _options(said, source, site, environ)
    if kind == "choice" and not options:
        kind = {"partitions": "partition", "accounts": "account"}.get(
            str(source), kind
        )  # free text then
    found = {
        "name": name,
        "id": id_,
        "type": kind,
        "label": said.get("label") or name.replace("_", " ").capitalize(),
        "help": said.get("help"),
        "ask": said.get("value") is None and not on_node,
        "required": bool(said.get("required", True)) and default is None and not on_node,
        "default": default,
        "min": said.get("min"),
        "max": said.get("max"),
        "options": options,
        "pattern": said.get("pattern"),
        "max_length": said.get("max_length") or 200,
        "example": said.get("example"),
        "from": source,
    }
    return found | {"default": None if default is None else checked(found, default)}


def _options(
    said: Mapping[str, Any], source: Any, site: SiteConfig, environ: Mapping[str, str]
) -> list[dict[str, str]]:
    if said.get("options"):
        return [
            {"value": o["value"], "label": o.get("label") or o["value"]} for o in said["options"]
        ]
    if source == "partitions":
        return [
            {"value": str(p["name"]), "label": str(p.get("label") or p["name"])}
            for p in site.form.partitions
        ]
    if source == "accounts":
        return [{"value": account, "label": account} for account in site.form.accounts]
    if isinstance(source, dict) and source.get("when") != "node":
        return commands.options_of(source, environ)
    return []


def _try_out(
    template: Mapping[str, Any],
    entry: Mapping[str, Any],
    site: SiteConfig,
    environ: Mapping[str, str],
) -> None:
    """Run the template's check and fill it in once with plausible answers; raises what went wrong."""
    if entry.get("check"):
        try:
            commands.lines_of(entry["check"], environ)
        except UserError as error:
            raise UserError("template-check", f"its check failed: {error.message}") from error
    asked = [
        p for p in template["parameters"] if p["ask"] and p["type"] == "choice" and not p["options"]
    ]
    if asked:
        raise UserError(
            "template-broken",
            f"there is nothing to choose for `{asked[0]['name']}`",
            hint="add `options:` or `from:`",
        )
    known = {
        **template,
        "parameters": [p if p["ask"] else _known_here(p) for p in template["parameters"]],
    }
    answers = {p["name"]: _sample(p) for p in known["parameters"] if p["ask"]}
    recipe = fill_in(known, answers, name="try")
    if recipe.slurm is not None and site.slurm.submit == "none":
        raise UserError("policy-slurm", "it needs Slurm kernels, and `slurm.submit` is none")


def _known_here(parameter: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter whose value is only found on the node, with a stand-in for the trial."""
    on_node = isinstance(parameter["from"], dict) and parameter["from"].get("when") == "node"
    return {
        **parameter,
        "from": None,
        "default": _sample(parameter) if on_node else parameter["default"],
    }


def _sample(parameter: Mapping[str, Any]) -> Any:
    for key in ("example", "default"):
        if parameter[key] is not None:
            return parameter[key]
    if parameter["options"]:
        return parameter["options"][0]["value"]
    if parameter["type"] == "number":
        return next((parameter[k] for k in ("min", "max") if parameter[k] is not None), 1)
    return {"bool": "true", "list": [], "modules": []}.get(
        parameter["type"], "/sample" if parameter["type"] == "text" else "sample"
    )
