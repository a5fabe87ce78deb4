"""Sessions: launching, their records, their states, and what a card shows."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import jobscript, ruby

if TYPE_CHECKING:
    from pathlib import Path

    from .jobs import Jobs
    from .settings import Settings

RETENTION = 7 * 86400  # seconds a completed card is kept


@dataclass(frozen=True)
class Card:
    """One card of "My Interactive Sessions": its record, its state, and the app's parts as HTML."""

    record: dict[str, Any]
    state: str
    parts: dict[str, str]


class Sessions:
    """All sessions of the person; records are files, so that they outlive the preview."""

    def __init__(self, settings: Settings, jobs: Jobs, queues: tuple[str, ...] = ()) -> None:
        self._settings = settings
        self._jobs = jobs
        self._queues = settings.queues or queues
        self._definition: dict[str, Any] | None = None
        self._db = settings.dataroot / "db"

    async def ask(self, action: str, **more: Any) -> dict[str, Any]:
        """One action of the app's Ruby, which knows the scheduler's partitions."""
        scheduler = {"queues": list(self._queues), "accounts": []}
        return await ruby.ask(self._settings, action, scheduler=scheduler, **more)

    async def definition(self) -> dict[str, Any]:
        """The evaluated form; from release 4.2 on it is kept as long as the process lives."""
        if self._definition is not None and float(self._settings.release) >= 4.2:
            return self._definition
        answer = await self.ask("evaluate")
        self._definition = answer["definition"]
        return self._definition

    def last_values(self) -> dict[str, str]:
        """What the person chose at the last launch."""
        try:
            found = json.loads(self._settings.cache_file.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def values_of(self, session_id: str) -> dict[str, str] | None:
        """The values of an earlier session: for Edit and Relaunch."""
        record = self.record(session_id)
        if record is None:
            return None
        try:
            found = json.loads(_context_file(record).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    async def launch(self, values: dict[str, bytes]) -> str:
        """Evaluate submit.yml.erb, stage, submit; returns the session's id.

        Raises ruby.AppError or jobs.SubmitError with the text for the form's alert; before the first
        nothing is staged, after the second the staged root remains.
        """
        definition = await self.definition()
        session_id = str(uuid.uuid4())
        root = self._settings.output / session_id
        packed = ruby.packed(values)
        answer = await self.ask(
            "submit", definition=definition, values=packed, staged_root=str(root)
        )
        options = answer["options"]
        record = self._new_record(session_id, root, str(options["cluster"]), definition)
        await self._stage(root)
        await self.ask("stage", definition=definition, values=packed, record=record)
        script = jobscript.render(options.get("batch_connect", {}), root)
        (root / "job_script_content.sh").write_text(script, "utf-8")
        (root / "job_script_options.json").write_text(json.dumps(options, indent=2), "utf-8")
        record["job_id"] = await self._jobs.submit(script, options, root)
        record["wall_time"] = options.get("script", {}).get("wall_time")
        record["started"] = time.time()
        self._write(record)
        _write_private(self._settings.cache_file, json.dumps(answer["cache"]))
        return session_id

    def _new_record(
        self, session_id: str, root: Path, cluster: str, definition: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "id": session_id,
            "cluster_id": cluster,
            "job_id": None,
            "created_at": int(time.time()),
            "completed_at": None,
            "token": self._settings.token,
            "title": definition.get("title") or "Kernelwright",
            "staged_root": str(root),
            "release": self._settings.release,
            "cache_completed": False,
        }

    async def _stage(self, root: Path) -> None:
        """What rsync -rlp with --exclude '*.erb' does: links stay links, modes are kept."""
        root.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        await asyncio.to_thread(
            shutil.copytree,
            self._settings.app / "template",
            root,
            symlinks=True,
            ignore=shutil.ignore_patterns("*.erb"),
        )

    async def cards(self) -> list[Card]:
        """All cards, newest first; the app's parts are rendered at each look."""
        records = [self._with_state(record, await self._state(record)) for record in self.records()]
        if not records:
            return []
        answer = await self.ask("cards", records=records)
        return [
            Card(r, r["status"], parts) for r, parts in zip(records, answer["cards"], strict=True)
        ]

    def records(self) -> list[dict[str, Any]]:
        """The records that are not too old, newest first."""
        found = []
        for file in self._db.glob("*") if self._db.is_dir() else []:
            try:
                record = json.loads(file.read_text("utf-8"))
                if time.time() - (record["completed_at"] or time.time()) < RETENTION:
                    found.append(record)
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return sorted(found, key=lambda record: -float(record.get("started") or 0))

    def record(self, session_id: str) -> dict[str, Any] | None:
        """One record by the session's id."""
        return next((r for r in self.records() if r["id"] == session_id), None)

    async def cancel(self, session_id: str) -> None:
        """Cancel the job and keep the card; clean.sh does not run."""
        if record := self.record(session_id):
            await self._jobs.cancel(record["job_id"])

    async def delete(self, session_id: str) -> None:
        """Cancel the job and drop the card; the staged root stays."""
        await self.cancel(session_id)
        if self.record(session_id):
            (self._db / session_id).unlink(missing_ok=True)

    async def _state(self, record: dict[str, Any]) -> str:
        if record["cache_completed"]:
            return "completed"
        state = await self._jobs.state(record["job_id"])
        if state == "completed":
            record.update(cache_completed=True, completed_at=int(time.time()))
            self._write(record)
        elif state == "running":
            return "running" if _connected(record) else "starting"

        return state

    @staticmethod
    def _with_state(record: dict[str, Any], state: str) -> dict[str, Any]:
        return {**record, "status": state}

    def _write(self, record: dict[str, Any]) -> None:
        _write_private(self._db / record["id"], json.dumps(record))


def _connected(record: dict[str, Any]) -> bool:
    return os.path.exists(os.path.join(record["staged_root"], "connection.yml"))


def _context_file(record: dict[str, Any]) -> Path:
    from pathlib import Path

    return Path(record["staged_root"], "user_defined_context.json")


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with open(
        os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    new.replace(path)
