"""Taking secrets out of text that leaves the account: tokens, keys, passwords, credentials in URLs."""

from __future__ import annotations

import re

HIDDEN = "[removed]"
# names whose values are secrets, as a variable, a key in JSON or YAML, or an option
_NAME = r"[\w.-]*(?:token|secret|passw(?:or)?d|passwd|passphrase|(?:pass|_pat|pwd)(?=[\"']?\s*[:=])|api[_-]?key|access[_-]?key|private[_-]?key|credential|auth|cookie|session[_-]?key|signature|licen[cs]e[_-]?key|\bkey)s?(?:_?\d+)?"
# a value as shells and languages write it: quoted or not, and pieces of both kinds without a blank between
_MORE = r"(?:\"(?![,\]}\s])[^\"\n]*\"|'(?![,\]}\s])[^'\n]*'|[^\s,;\"'&\]}]+)*"
_VALUE = rf"(?:b?\"[^\"\n]*\"|b?'[^'\n]*'|[^\s,;\"'&=][^\s,;\"'&]*){_MORE}"
_PATTERNS = (
    # private keys, whole
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        HIDDEN,
    ),
    # scheme://user:password@host and scheme://token@host
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@\"'<>]+@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    # ?token=..., &api_key=...
    (re.compile(rf"([?&]{_NAME}=)[^\s&\"'<>]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    # conda channels: /t/TOKEN/
    (re.compile(r"(/t/)[A-Za-z0-9_-]{6,}(?=/|\s|$)"), rf"\1{HIDDEN}"),
    # Authorization: Bearer ..., Basic ...
    (
        re.compile(r"\b(Bearer|Basic|Token)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE),
        rf"\1 {HIDDEN}",
    ),
    # "password": "...", TOKEN=..., --token ...
    (
        re.compile(
            rf"([\"']{_NAME}[\"']\s*[:=]\s*)(\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|[^\s,}}\]]+)",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(
            rf"(\b{_NAME}[ \t]*==?[ \t]*){_VALUE}",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(rf"^(\s*(?:export\s+)?{_NAME}\s*:\s+)(\S.*)$", re.IGNORECASE | re.MULTILINE),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(rf"(--?{_NAME}(?:[ =]|[\"'],?\s*[\"'])){_VALUE}", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
    # the well-known shapes of tokens, wherever they stand
    (
        re.compile(
            r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{16,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|pypi-[\w-]{16,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*)"
        ),
        HIDDEN,
    ),
    # argon2 and sha1 hashes of server passwords
    (re.compile(r"\b(?:argon2:)?\$argon2\w*\$\S+|\bsha1:[0-9a-f]{6,}:[0-9a-f]{20,}"), HIDDEN),
    # what is left that looks like nothing but a secret: 40 or more hexadecimal digits are a hash or a key
    (
        re.compile(
            r"(?<![\w/.@:-])(?=[A-Za-z0-9+/_-]*[0-9])(?=[A-Za-z0-9+/_-]*[A-Z])(?=[A-Za-z0-9+/_-]*[a-z])[A-Za-z0-9+_-]{40,}={0,2}(?![\w/])"
        ),
        HIDDEN,
    ),
)


def redact(text: str) -> str:
    """`text` with everything that looks like a secret replaced; rather too much than too little."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def names_secret(name: str) -> bool:
    """Whether a variable of this name is likely to hold a secret."""
    return re.fullmatch(_NAME.replace(r"\b", ""), name, re.IGNORECASE) is not None
