"""The signs of modules that cannot be loaded, of Lmod and Environment Modules; they come first in a start."""

from __future__ import annotations

from .rule import rule

MODULE_RULES = (
    rule(
        "module-not-loadable",
        r"cannot\s+be\s+loaded\s+as\s+requested[^\"]*\"(?P<what>[^\"]+)\"",
        "the module `{what}` exists, but another one must be loaded before it",
        "`module spider {what}` names what it needs; put that before it in `modules: load:` of the recipe ({command} edit {name})",
    ),
    rule(
        "module-not-loadable",
        r"(?:Cannot\s+load\s+module\s+\"(?P<what>[^\"]+)\"\.?\s+(?:without|At\s+least\s+one\s+of)\s+these\s+module\(s\)\s+(?:must\s+be\s+)?loaded|Loading (?P<other>\S+)[^\n]*\n\s*ERROR: Module cannot be loaded due to missing prereq\.\n\s*HINT: [^:\n]*):\s+(?P<needs>[^\n]+)",
        "the module `{what}` exists, but another one must be loaded before it: {needs}",
        "put that before it in `modules: load:` of the recipe ({command} edit {name})",
    ),
    rule(
        "module-conflict",
        r"Cannot\s+load\s+module\s+\"(?P<what>[^\"]+)\"\s+because\s+these\s+module\(s\)\s+are\s+loaded:|Loading (?P<other>\S+)[^\n]*\n\s*ERROR: (?:Module cannot be loaded due to a conflict|Conflicting [^\n]+ (?:is|are) load)",
        "the module `{what}` cannot be loaded beside another one that is loaded already",
        "the evidence names it; take one of the two out of `modules: load:` of the recipe ({command} edit {name})",
    ),
    rule(
        "module-missing",
        r"(?:module\(s\)\s+are\s+unknown:|[Uu]nable\s+to\s+locate\s+a\s+modulefile\s+for)\s+[\"'](?P<what>[^\"'\s]+)",
        "the module `{what}` does not exist on this system",
        "choose one that does in `modules: load:` of the recipe ({command} edit {name})",
    ),
)
