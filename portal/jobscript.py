"""The generated job script: before sourced, script run, after sourced, connection.yml, wait, clean up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("job_script.sh")
SET_HOST = "host=127.0.0.1"
NAME = re.compile(r"[a-z_][a-z0-9_]*")


def render(batch_connect: dict[str, Any], root: Path) -> str:
    """The text of the job for one staged root; conn_params go before host, port and password."""
    params = [name for name in batch_connect.get("conn_params", []) if NAME.fullmatch(str(name))]
    lines = [f'      echo -e "{name}: ${name}"' for name in [*params, "host", "port", "password"]]
    script = "./script.sh"
    if timeout := batch_connect.get("timeout"):
        script = f"timeout {int(timeout)} {script}"
    values = {
        "HEADER": str(batch_connect.get("header", "")),
        "ROOT": str(root),  # unquoted, as on the dashboard: a home with blanks breaks there too
        "PARAMS": "\n".join(lines),
        "SET_HOST": str(batch_connect.get("set_host", SET_HOST)),
        "RUN": script,
    }
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], TEMPLATE.read_text("utf-8"))
