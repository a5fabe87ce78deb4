"""Bad kernel.json files and folders, as people, tools and full disks leave them.

Each row: how to make it, the problem code that we expect, and what Jupyter's server does
(`listed`: in get_all_specs; `dropped`: found but not loaded; `absent`: not found at all).
tests/discovery/test_bad_inputs.py holds the last column against the real jupyter_client.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GOOD = {
    "argv": ["/bin/sh", "-c", "exec sleep 1", "{connection_file}"],
    "display_name": "Good",
    "language": "python",
}


@dataclass(frozen=True)
class Bad:
    name: str
    make: Callable[[Path], None]
    code: str
    jupyter: str
    severity: str = "error"


def raw(data: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / "kernel.json").write_bytes(data)

    return make


def text(words: str, encoding: str = "utf-8") -> Callable[[Path], None]:
    return raw(words.encode(encoding, "surrogatepass"))


def changed(**keys: object) -> Callable[[Path], None]:
    return text(json.dumps({**GOOD, **keys}))


def without(key: str) -> Callable[[Path], None]:
    return text(json.dumps({k: v for k, v in GOOD.items() if k != key}))


def special(action: Callable[[Path], None]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        action(folder / "kernel.json")

    return make


def loop(path: Path) -> None:
    path.symlink_to(path)


def huge(path: Path) -> None:
    with open(path, "wb") as stream:
        stream.write(json.dumps({**GOOD, "pad": ""})[:-2].encode())
        stream.truncate(100 << 20)  # sparse: 100 MB of NUL bytes


def world_writable(folder: Path) -> None:
    changed()(folder)
    folder.chmod(0o777)


def renamed(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / name).write_text(json.dumps(GOOD))

    return make


def plain_file(folder: Path) -> None:
    folder.with_suffix(".json").write_text(json.dumps(GOOD))


def dangling_folder(folder: Path) -> None:
    folder.symlink_to("/nowhere/kernels/old")


BODY = json.dumps(GOOD, indent=1)
CONNECTION = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "hb_port": 4, "control_port": 5,
              "key": "not-to-be-shown", "ip": "127.0.0.1", "transport": "tcp", "signature_scheme": "hmac-sha256"}  # fmt: skip

BAD = (
    Bad("truncated", text(BODY[:90]), "kernelspec-truncated", "dropped"),
    Bad("empty", raw(b""), "kernelspec-empty", "dropped"),
    Bad("blank", raw(b" \n\n"), "kernelspec-empty", "dropped"),
    Bad("trailing-comma", text(BODY.replace('"python"\n', '"python",\n')), "kernelspec-trailing-comma", "dropped"),
    Bad("comments", text("// my kernel\n" + BODY), "kernelspec-comment", "dropped"),
    Bad("hash-comment", text(BODY.replace("{\n", "{\n # mine\n", 1)), "kernelspec-comment", "dropped"),
    Bad("smart-quotes", text(BODY.replace('"Good"', "\u201cGood\u201d")), "kernelspec-smart-quotes", "dropped"),
    Bad("all-smart", text(BODY.replace('"', "\u201d")), "kernelspec-smart-quotes", "dropped"),
    Bad("single-quotes", text(BODY.replace('"', "'")), "kernelspec-single-quotes", "dropped"),
    Bad("no-break-space", text(BODY.replace(": ", ":\u00a0")), "kernelspec-odd-space", "dropped"),
    Bad("line-break", text(BODY.replace("exec sleep 1", "exec \n   sleep 1")), "kernelspec-line-break", "dropped"),
    Bad("quotes-in-token", text(BODY.replace("exec sleep 1", 'exec "$@" 1')), "kernelspec-invalid-json", "dropped"),
    Bad("bom", raw(b"\xef\xbb\xbf" + BODY.encode()), "kernelspec-bom", "dropped"),
    Bad("utf-16", text(BODY, "utf-16"), "kernelspec-utf16", "dropped"),
    Bad("utf-16-bare", text(BODY, "utf-16-le"), "kernelspec-utf16", "dropped"),
    Bad("latin-1", raw(BODY.replace("Good", "Zo\u00eb").encode("latin-1")), "kernelspec-not-utf8", "dropped"),
    Bad("a-list", text("[1, 2]"), "kernelspec-not-a-mapping", "dropped"),
    Bad("null", text("null"), "kernelspec-not-a-mapping", "dropped"),
    Bad("a-number", text("5"), "kernelspec-not-a-mapping", "dropped"),
    Bad("display-null", changed(display_name=None), "kernelspec-wrong-type", "dropped"),
    Bad("display-number", changed(display_name=7), "kernelspec-wrong-type", "dropped"),
    Bad("language-null", changed(language=None), "kernelspec-wrong-type", "dropped"),
    Bad("env-list", changed(env=["A=1"]), "kernelspec-wrong-type", "dropped"),
    Bad("env-null", changed(env=None), "kernelspec-wrong-type", "dropped"),
    Bad("metadata-list", changed(metadata=[]), "kernelspec-wrong-type", "dropped"),
    Bad("metadata-null", changed(metadata=None), "kernelspec-wrong-type", "dropped"),
    Bad("provisioner-null", changed(metadata={"kernel_provisioner": None}), "kernelspec-wrong-type", "dropped"),
    Bad("resource-dir", changed(resource_dir="/x"), "kernelspec-wrong-type", "dropped"),
    Bad("interrupt-mode", changed(interrupt_mode="ctrl-c"), "kernelspec-interrupt-mode", "dropped"),
    Bad("huge-number", text(BODY[:-2] + ', "n": ' + "9" * 10_000 + "}"), "kernelspec-huge-number", "dropped"),
    Bad("deep", text("[" * 100_000 + "]" * 100_000), "kernelspec-too-deep", "dropped"),
    Bad("argv-null", changed(argv=None), "argv-not-a-list", "dropped"),
    Bad("argv-text", changed(argv="python -m ipykernel -f {connection_file}"), "argv-not-a-list", "listed"),
    Bad("argv-numbers", changed(argv=["/bin/sh", 5, "{connection_file}"]), "argv-not-texts", "listed"),
    Bad("argv-empty", changed(argv=[]), "argv-empty", "listed"),
    Bad("argv-missing", without("argv"), "argv-empty", "listed"),
    Bad("braces", text("{}"), "argv-empty", "listed"),
    Bad("no-connection-file", changed(argv=["/bin/sh", "-c", "sleep 1"]), "argv-no-connection-file", "listed"),
    Bad("interpreter-gone", changed(argv=["/home/gone/envs/old/bin/python", "{connection_file}"]), "interpreter-not-found", "listed"),
    Bad("windows-path", changed(argv=["C:\\Users\\me\\python.exe", "{connection_file}"]), "made-on-another-machine", "listed"),
    Bad("placeholder", changed(argv=["/path/to/python", "{connection_file}"]), "placeholder-not-filled", "listed"),
    Bad("typographic-dash", changed(argv=["/bin/sh", "\u2013nv", "{connection_file}"]), "argv-typographic-dash", "listed"),
    Bad("gateway", changed(argv=["run.sh", "{kernel_id}", "{response_address}"]), "kernelspec-for-gateway", "listed"),
    Bad("env-numbers", changed(env={"OMP_NUM_THREADS": 4}), "env-not-texts", "listed"),
    Bad("env-default", changed(env={"P": "${X:-d}"}), "env-not-substituted", "listed", "warning"),
    Bad("env-replaces-path", changed(env={"PATH": "/opt/me/bin"}), "env-replaces-path", "listed", "warning"),
    Bad("duplicate-key", text(BODY[:-2] + ', "language": "R"}'), "kernelspec-duplicate-key", "listed", "warning"),
    Bad("nan", text(BODY[:-2] + ', "metadata": {"x": NaN}}'), "kernelspec-not-a-number", "listed", "warning"),
    Bad("connection-file", text(json.dumps(CONNECTION)), "kernelspec-is-connection-file", "listed"),
    Bad("hundred-megabytes", special(huge), "kernelspec-too-large", "dropped"),
    Bad("html", changed(display_name="<img src=x onerror=alert(1)>"), "display-name-unsafe", "listed", "warning"),
    Bad("escape", changed(display_name="\x1b[31mred\x1b]0;t\x07"), "display-name-unsafe", "listed", "warning"),
    Bad("surrogate", changed(display_name="\ud800 half"), "display-name-unsafe", "listed", "warning"),
    Bad("world-writable", world_writable, "kernelspec-writable-by-all", "listed", "warning"),
    Bad("fifo", special(os.mkfifo), "kernelspec-not-a-file", "absent"),
    Bad("device", special(lambda p: p.symlink_to("/dev/zero")), "kernelspec-not-a-file", "absent"),
    Bad("folder", special(lambda p: p.mkdir()), "kernelspec-not-a-file", "absent"),
    Bad("dangling", special(lambda p: p.symlink_to("/nowhere/kernel.json")), "kernelspec-dangling-link", "absent"),
    Bad("loop", special(loop), "kernelspec-link-loop", "absent"),
    Bad("dangling-folder", dangling_folder, "kernelspec-dangling-link", "absent"),
    Bad("upper-case-file", renamed("KERNEL.JSON"), "kernelspec-misnamed", "absent"),
    Bad("text-file", renamed("kernel.json.txt"), "kernelspec-misnamed", "absent"),
    Bad("plain-file", plain_file, "kernelspec-misplaced", "absent", "warning"),
    Bad("a name with spaces", changed(), "invalid-kernel-name", "listed", "warning"),
    Bad("no-provisioner", changed(metadata={"kernel_provisioner": {"provisioner_name": "nobody"}}), "provisioner-missing", "dropped"),
)  # fmt: skip
