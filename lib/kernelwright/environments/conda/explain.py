"""What the engine says, as errors that people can act on, each with its own code."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from ...errors import UserError
from .. import offline
from .settings import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base import Place
    from .values import EngineError, Settings

LINES = 12  # of an explanation that are shown
ADDRESS = re.compile(r"(?:for url|channel) \(?'?((?:https?|file)://[^\s)']+)")
UNREACHABLE = re.compile(
    r"dns error|tcp connect|client error \(Connect\)|timed out|Network is unreachable|No route|error sending request"
    r"|not in the cache|connection closed before",
    re.IGNORECASE,
)


def explain(
    error: EngineError, found: Settings, place: Place, names: Callable[[], list[str]]
) -> UserError:
    """The UserError that an engine's failure stands for; `names` lists the channels' packages if asked."""
    text = error.text
    context = {"channels": ", ".join(visible(c) for c in found.channels)}
    where = visible(match[1]) if (match := ADDRESS.search(text)) else None
    if where:
        context["address"] = where
    if error.panic:
        return UserError(
            "conda-engine-failed",
            f"the conda engine broke down: {_first(text)}",
            context=context,
            hint="try again; if it stays, send the output of `kernelwright report`",
        )
    if (full := _storage(text, found)) is not None:
        return full
    if "Cannot solve" in text:
        return _unsolvable(text, context, names)
    if "hash mismatch" in text:
        return UserError(
            "hash-mismatch",
            f"a package is not the file that the channel names: {_package(text)}",
            context=context,
            hint="the channel or a mirror between gives wrong files; try again later, or tell the site",
        )
    if UNREACHABLE.search(text):
        return UserError(
            "channel-unreachable",
            f"this node cannot reach {where or 'the channel'}",
            context=context | {"reason": _last(text)},
            hint=way_out(place),
        )
    if "could not find subdir" in text or re.search(r"\b404\b", text):
        return UserError(
            "channel-not-found",
            f"there is no such channel or package: {where or context['channels']}",
            context=context,
            hint="check the channel's name and address",
        )
    if re.search(r"\b(401|403|407)\b", text):
        return UserError(
            "channel-denied",
            f"{where or 'the channel'} refuses access",
            context=context,
            hint="a token or password is needed: `https://host/t/${TOKEN}/channel`, or ~/.rattler/credentials.json",
        )
    if re.search(
        r"status server error|end of file|error decoding|corruption|missing field|unpack|failed to (?:fetch|parse|decode|deserialize|decompress)",
        text,
        re.IGNORECASE,
    ):
        return UserError(
            "channel-broken",
            f"{where or 'the channel'} gives damaged or no answers ({_last(text)})",
            context=context,
            hint="it was tried several times; try again later, what was downloaded is kept",
        )
    return UserError(
        "conda-install-failed", _first(text), context=context | {"evidence": text[-1500:]}
    )


def _storage(text: str, found: Settings) -> UserError | None:
    place = re.search(r"`(/[^`]+)`| (/\S+)", text)
    where = (place[1] or place[2]) if place else str(found.cache)
    if "os error 28" in text or "No space left" in text:
        return UserError(
            "disk-full",
            f"the disk is full: `{where}` cannot be written",
            hint="free some space, or see what kernelwright uses with `kernelwright storage`",
        )
    if "os error 122" in text or "quota exceeded" in text.lower():
        return UserError(
            "quota-exceeded",
            f"your quota is used up: `{where}` cannot be written",
            hint="remove files, or see what kernelwright uses with `kernelwright storage`",
        )
    if re.search(r"os error (1|13|20|30)\b|failed to create (?:the prefix|directory)", text):
        return UserError(
            "not-writable",
            f"`{where}` cannot be written",
            hint="look at the owner and the permissions of that folder with `ls -ld`",
        )
    return None


def _unsolvable(text: str, context: dict[str, str], names: Callable[[], list[str]]) -> UserError:
    body = text.split("because of:", 1)[1].strip()
    if missing := re.match(
        r"No candidates were found for ([^\s,]+)(?: (.+?))?\.?$", body.splitlines()[0]
    ):
        return _no_candidates(missing[1], missing[2] or "*", context, names)
    shown = shorten(body)
    roots = [m[1] for m in re.finditer(r"^[├└]─ (\S+ \S+)", body, re.MULTILINE)]
    if virtual := re.search(r"(__\w+)", body):
        hint = f"this node has no fitting `{virtual[1]}`; the site can set `conda.virtual_packages`, or choose another version"
    elif beside := re.search(r"(\S+) (\S+), for which no candidates were found", body):
        asked = "".join(f"`{r.split()[0]}`, or " for r in roots) or "it, or "
        hint = f"no `{beside[1]}` fits `{beside[2]}`: leave out {asked}what else you ask of `{beside[1]}`"
    elif pins := [r for r in roots if re.search(r"=\w*[a-z]\w*_\d+$", r)]:
        hint = f"the build pins (such as `{pins[0]}`) come from another platform: use `conda env export --from-history`"
    else:
        names_only = [r.split()[0] for r in roots]
        hint = (
            "relax or leave out one of these: "
            + ", ".join(f"`{n}`" for n in dict.fromkeys(names_only))
            if names_only
            else "relax one of the versions"
        )
    return UserError(
        "conda-unsolvable",
        "these packages cannot be installed together",
        context=context | {"reason": shown},
        hint=hint,
    )


def _no_candidates(
    name: str, version: str, context: dict[str, str], names: Callable[[], list[str]]
) -> UserError:
    bare = name.rsplit("::", 1)[-1]
    known = names()
    if version not in {"*", ""} and (not known or bare in known):
        hint = "ask for another version, or leave the version out"
        if re.search(r"\s\S*_\d+$|=\w+_\d+$", version):
            hint = "the build may come from another platform: leave the build out, or use `conda env export --from-history`"
        return UserError(
            "conda-version-not-found",
            f"the channels have `{bare}`, but no version `{version}`",
            context=context,
            hint=hint,
        )
    near = difflib.get_close_matches(bare, known, n=3, cutoff=0.6)
    hint = (
        f"did you mean {', '.join(f'`{n}`' for n in near)}?"
        if near
        else "add the channel that has it (--channel), or take it from pip (`pip:` section)"
    )
    return UserError(
        "conda-package-not-found", f"no channel has a package `{bare}`", context=context, hint=hint
    )


def shorten(body: str) -> str:
    """The conflict without the lines that every explanation has: roots and leaves come first."""
    lines = [
        re.sub(r", which can(?:not)? be installed .*$", "", line.rstrip())
        for line in body.splitlines()
    ]
    lines = [
        re.sub(
            r" can(?:not)? be installed (?:with any of|because there are no viable).*$", "", line
        )
        for line in lines
    ]
    kept = [
        line for line in lines if line.strip() and not line.startswith("The following packages")
    ]
    if len(kept) > LINES:
        kept = [*kept[: LINES - 3], f"... {len(kept) - LINES + 1} lines more ...", *kept[-2:]]
    return "\n".join(kept)


def way_out(place: Place) -> str:
    """What this site wants done where a node has no internet: a partition, or a shell, if there is one."""
    told = offline.way_out(place.site, "create", "how to install packages from here")
    return f"{told}. What was downloaded already is kept"


def _package(text: str) -> str:
    found = re.search(r"failed to fetch (\S+)", text)
    return f"`{found[1]}`" if found else "see below"


def _first(text: str) -> str:
    return text.strip().splitlines()[0][:300] if text.strip() else "no reason was given"


def _last(text: str) -> str:
    lines = [line.removeprefix("Caused by: ") for line in text.strip().splitlines() if line.strip()]
    return visible(lines[-1])[:200] if lines else "no reason was given"
