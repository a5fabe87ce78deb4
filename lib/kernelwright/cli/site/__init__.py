"""`kernelwright site ...`: for admins. Words to calls; the work is done in config, catalog and site."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ..context import Context

# action: (module in this package, one line of help)
ACTIONS = {
    "init": ("settings", "print a commented start of the site's settings"),
    "check": (
        "settings",
        "find every mistake in the settings; --start also starts each central kernel",
    ),
    "show": ("settings", "print each effective value and where it comes from"),
    "compile": ("settings", "write catalog.json for the form and for the runtime"),
    "build": ("central", "make central kernels from their recipes"),
    "prefetch": ("central", "make and pull everything that central kernels need"),
    "adopt": ("central", "take existing kernelspecs in as central kernels"),
    "add": ("central", "install what a user sent with `kernelwright request`"),
    "selftest": ("selftest", "as a user on the cluster: see whether all that is needed works"),
}


def configure(_verb: str, parser: argparse.ArgumentParser) -> None:
    """One sub-parser an action; each module adds its own arguments."""
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, parser_class=type(parser)
    )
    for name, (module, text) in ACTIONS.items():
        one = actions.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False
        )
        importlib.import_module(f".{module}", __package__).configure(name, one)


def run(_verb: str, args: argparse.Namespace, context: Context) -> int:
    """Hand over to the action's module."""
    module = importlib.import_module(f".{ACTIONS[args.action][0]}", __package__)
    return int(module.run(args.action, args, context))
