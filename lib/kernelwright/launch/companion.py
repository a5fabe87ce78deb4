"""What a kernel of ours can do in its notebook; brought in by entry.py before the first cell.

Standard library only, Python 3.6 or later: `%kernelwright`, a word after a failed import, and how the
kernel ended last time.
"""

import contextlib
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # annotations are strings: Python 3.6 must not evaluate them
    from typing import Any

INSTALLED_AS = {
    "cv2": "opencv-python",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "bs4": "beautifulsoup4",
}


class Companion:
    """What a kernel of ours can do in its notebook: `%kernelwright`, and a word after a failed import."""

    def __init__(self, shell: "Any", here: str, key: str) -> None:
        self.shell = shell
        self.here = here
        self.key = key
        self.facts = {}  # type: Any

    def register(self) -> None:
        """Called once, before the first cell runs."""
        self.shell.register_magic_function(self.magic, "line", "kernelwright")
        self.shell.events.register("post_run_cell", self.after_cell)
        self.look_back()

    def look_back(self) -> None:
        """How the kernel ended last time, and modules that have changed."""
        for text in self.previous_ends(os.environ.pop("KERNELWRIGHT_DIED", "")):
            sys.stderr.write(f"Kernelwright: {text}\n")
        made = os.environ.pop("KERNELWRIGHT_MODULES_MADE", None)
        if made is not None:
            now = os.environ.get("LOADEDMODULES", "")
            sys.stderr.write(
                "Kernelwright: the modules have changed since this kernel was made: "
                f"{made or 'none'}, now {now or 'none'}\n"
            )

    def previous_ends(self, folder: str) -> "list[str]":
        """The sentences that watch.sh left for this start, each told once."""
        import json
        import time

        found = []
        for name in sorted(os.listdir(folder)) if folder else ():
            path = os.path.join(folder, name)
            if not name.endswith(".died") or (
                name[:-5] != self.key and time.time() - os.path.getmtime(path) < 60
            ):
                continue  # a young one belongs to a kernel that is being restarted now
            try:
                with open(path, encoding="utf-8") as file:
                    problem = json.load(file)["problem"]
                os.unlink(path)
            except (OSError, ValueError, KeyError):
                continue
            hint = "\n  " + problem["hint"] if problem.get("hint") else ""
            found.append(f"this kernel ended before: {problem['message']}.{hint}")
        return found

    def after_cell(self, result: "Any" = None) -> None:
        """After a cell that could not import: how the package is added to this kernel."""
        error = getattr(result, "error_in_exec", None)
        if (
            isinstance(error, ImportError)
            and type(error).__name__ == "ModuleNotFoundError"
            and error.name
        ):
            with contextlib.suppress(Exception):  # advice only
                sys.stderr.write(self.advice(error.name.partition(".")[0]) + "\n")

    def advice(self, module: str) -> str:
        """One line for a module that is not there."""
        kernel = self.facts or self.load_facts()
        package = INSTALLED_AS.get(module, module.replace("_", "-"))
        place = _in_user_site(module)
        leak = (
            f" ({place} has it for this Python, but this kernel leaves that folder out)"
            if place
            else ""
        )
        if not kernel["owned"]:
            copy = f"`{kernel['command']} clone {kernel['name']} NEW-NAME`"
            return f"Kernelwright: this kernel is not yours; {copy} makes a copy to which `{package}` can be added{leak}"
        how = {"conda": "conda", "venv": "pip"}.get(kernel["kind"])
        if how is None:
            return f"Kernelwright: `{module}` is not in this kernel's environment{leak}; `%pip install {package}` may add it"
        return (
            f"Kernelwright: `%kernelwright add {package}` adds it to this kernel with {how}{leak}"
        )

    def load_facts(self) -> "Any":
        """Name, kind and owner of this kernel, from the files beside this one."""
        import json

        facts = {
            "name": "NAME",
            "kind": "",
            "command": "kernelwright",
            "runtime": "",
            "owned": os.access(self.here, os.W_OK),
        }
        try:
            with open(os.path.join(self.here, "entry.json"), encoding="utf-8") as file:
                facts.update(json.load(file))
        except (OSError, ValueError):
            pass
        self.facts = facts
        return facts

    def magic(self, line: str) -> None:
        """`%kernelwright add PACKAGE...`, `job`, `cancel`, `fix`, or any verb of the command."""
        import shlex

        words = shlex.split(line)
        kernel = self.facts or self.load_facts()
        if words[:1] in (["job"], ["cancel"]):
            self.job(words[0], kernel)
            return
        if words[:1] == ["fix"]:
            words = ["repair"]
        if words[:1] in (["add"], ["repair"], ["update"], ["show"]):
            words[1:1] = [kernel["name"]]
        status = _run(os.path.join(kernel["runtime"], "bin", "kernelwright"), words or ["--help"])
        if words[:1] in (["add"], ["repair"], ["update"]) and status == 0:
            sys.stdout.write("Restart the kernel to use it: Kernel > Restart Kernel.\n")

    def job(self, word: str, kernel: "Any") -> None:
        """The Slurm job in which this kernel runs: its own, else the session's."""
        own = _own_job()
        job = os.environ.get("SLURM_JOB_ID")
        if own is not None and word == "cancel":
            sys.stdout.write(_cancel(own) + "\n")
        elif own is not None:
            sys.stdout.write(_job_text(own, kernel) + "\n")
        elif not job:
            sys.stdout.write("This kernel does not run in a Slurm job.\n")
        elif word == "cancel":
            sys.stdout.write(
                f"Job {job} is the whole session, not only this kernel's; end the session instead.\n"
            )
        else:
            _run("squeue", ["-j", job, "-o", "%i %T %P %l, left %L, on %N %r"])


def _own_job() -> "Any":
    """The job state file that a Slurm kernel's agent keeps; None for every other kernel.

    Where something has cleaned /tmp, what the job's environment says.
    """
    import json

    path = os.environ.get("KERNELWRIGHT_JOB_STATE")
    if not path:
        return None
    with contextlib.suppress(OSError, ValueError):
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        if isinstance(found, dict) and found.get("cancel_file"):
            return found
    return {
        "job": os.environ.get("SLURM_JOB_ID", "(unknown)"),
        "node": os.environ.get("SLURMD_NODENAME", "(unknown)"),
        "partition": os.environ.get("SLURM_JOB_PARTITION", "(unknown)"),
        "cancel_file": os.path.join(os.path.dirname(path), "cancel"),
    }


def _cancel(own: "Any") -> str:
    """Ask the agent to end the job; what to say of it."""
    try:
        open(own["cancel_file"], "w").close()
    except OSError as error:
        return (
            f"Job {own['job']} cannot be cancelled from here ({error.strerror}: {own['cancel_file']}); "
            "Kernel > Shut Down Kernel ends it."
        )
    return f"Job {own['job']} is being cancelled."


def _job_text(own: "Any", kernel: "Any") -> str:
    """Job id, place, time left, memory and environment, a line each."""
    import time

    memory = own.get("memory") or {}
    lines = [f"Slurm job {own['job']} on node {own['node']}, partition {own['partition']}"]
    if own.get("ends"):
        left = max(0, int(own["ends"] - time.time()) // 60)
        lines.append(f"time left: {left // 60} h {left % 60:02d} min")
    if memory.get("peak"):
        limit = f" of {memory['limit'] / 2**30:.1f} GiB" if memory.get("limit") else ""
        lines.append(f"memory peak: {memory['peak'] / 2**30:.1f} GiB{limit}")
    lines.append(f"environment: {kernel['name']} ({kernel['kind']})")
    return "\n".join(lines)


def _in_user_site(module: str) -> "str | None":
    """The folder in ~/.local that holds `module` for this very Python, where the kernel leaves it out."""
    import site

    folder = site.getusersitepackages()
    if folder in sys.path:
        return None
    names = (module, module + ".py")
    return folder if any(os.path.exists(os.path.join(folder, name)) for name in names) else None


def _run(program: str, words: "list[str]") -> int:
    """Run a command outside the kernel's environment and print what it says as it says it."""
    import subprocess

    drop = ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "PYTHONHOME")
    environ = {k: v for k, v in os.environ.items() if k not in drop}
    try:
        child = subprocess.Popen(
            [program, *words],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        sys.stderr.write(f"Kernelwright: {program} cannot be run: {error.strerror}\n")
        return 127
    try:
        for line in child.stdout or ():
            sys.stdout.write(line.decode("utf-8", "replace"))
        return child.wait()
    except KeyboardInterrupt:
        child.terminate()
        return 130
