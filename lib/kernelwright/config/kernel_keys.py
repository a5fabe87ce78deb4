"""The keys of one central kernel and of one template."""

from __future__ import annotations

from .table import Key, choice, entries, flag, integer, section, text, texts

PARAMETER_TYPES = (
    "text",
    "bool",
    "number",
    "choice",
    "list",
    "modules",
    "partition",
    "account",
    "gpu",
)
COMMAND = {
    "command": texts("program and its arguments, no shell", required=True),
    "timeout": Key("number", "seconds", 10, low=0.1, high=600),
}

KERNELS = entries(
    "Central kernels: a folder that holds kernel.json, or a recipe that `site build` makes",
    {
        "name": text("kernel name; notebooks remember it", required=True, rule="kernel-name"),
        "label": text(
            "what people read; null: the kernel's own display name, else its name", rule="title"
        ),
        "description": text("one or two sentences for people who choose"),
        "path": text("folder that holds kernel.json", rule="folder"),
        "recipe": Key(
            "free", "a recipe (docs/reference/recipe.md) without version and name", rule="mapping"
        ),
        "language": text("language; null: the recipe's or kernel.json's"),
        "gpu": choice("whether it needs a GPU", "none", "none", "optional", "required"),
        "partitions": texts(
            "where it runs; empty: everywhere", item=Key("text", rule="slurm-word")
        ),
        "clusters": texts("OOD cluster ids where it runs; empty: all"),
        "default": flag("whether the form chooses it at first"),
        "hidden": flag("whether it is left out of the form (old notebooks still open)"),
        "deprecated": text("day from which the successor is started in its place", rule="date"),
        "successor": text("name of the central kernel that takes over", rule="kernel-name"),
    },
    by="name",
    example="""
      - {name: py311-ml, label: "Python 3.11 (ML)", path: /shared/kernels/py311-ml, default: true}
      - name: r44
        label: "R 4.4"
        recipe: {language: r, environment: {prefix: {path: /shared/envs/r44}}}""",
)

OPTION = {"value": text("answer", required=True), "label": text("what people read")}
PARAMETER = {
    "type": choice("what the answer is", "text", *PARAMETER_TYPES),
    "label": text("what people read; null: the parameter's name"),
    "help": text("one sentence with an example"),
    "default": Key("free", "answer where none is given"),
    "value": Key("free", "a fixed answer: nobody is asked"),
    "required": flag("whether an answer must be given; needless where there is a default", True),
    "min": Key("number", "smallest number"),
    "max": Key("number", "largest number"),
    "options": Key(
        "list",
        "what may be chosen",
        (),
        item=Key("text", keys=OPTION, short=lambda answer: {"value": answer, "label": answer}),
    ),
    "from": Key(
        "text",
        "where options come from: partitions, accounts, modules, or a command",
        choices=("partitions", "accounts", "modules"),
        keys={
            **COMMAND,
            "when": choice(
                "compile: options, one a line; node: the answer, in the job",
                "compile",
                "compile",
                "node",
            ),
        },
    ),
    "pattern": text("regular expression that the whole answer must match", rule="pattern"),
    "max_length": integer("longest answer in characters", 200, low=1, high=10_000),
    "example": text("an answer that works, shown in the empty field and tried by `site check`"),
}

TEMPLATES = entries(
    "Recipes with questions: people answer them in the form or with `create template`",
    {
        "name": text("name of the template", required=True, rule="kernel-name"),
        "label": text("what people read; null: the name", rule="title"),
        "description": text("one or two sentences"),
        "clusters": texts("OOD cluster ids where it is offered; empty: all"),
        "parameters": Key(
            "map",
            "the questions, in order; names are used in the recipe's {{ }}",
            {},
            item=section("", None, **PARAMETER),
        ),
        "recipe": Key(
            "free",
            "a recipe whose texts may hold jinja2 expressions",
            required=True,
            rule="mapping",
        ),
        "check": Key(
            "section",
            "a command that must succeed when the catalog is compiled; else the template is hidden",
            None,
            keys=COMMAND,
            nullable=True,
        ),
        "hidden": flag("whether it is left out"),
    },
    by="name",
    example="""
      - name: conda-slurm
        label: "Conda via Slurm"
        parameters:
          env: {label: Environment name or folder, example: ~/envs/mine}
          ntasks: {type: number, min: 1, max: 64, default: 1, label: Tasks (MPI)}
        recipe:
          environment: {prefix: {path: "{{ env | env_folder }}"}}
          launcher: {slurm: {ntasks: "{{ ntasks }}"}}""",
)
