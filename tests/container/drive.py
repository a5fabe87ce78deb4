"""Drives one kernel as a notebook server would; run as an unprivileged user by the runtime's Python.

usage: drive.py KERNEL_NAME < steps.json; prints the answers as JSON. Steps, in order:
  {"run": CODE, "input": TEXT}          -> {"text", "status", "error"}
  {"interrupt": N, "code": CODE}        -> {"seen": how many of N ended as the language's interrupt, "errors"}
  {"restart": true | "now"}  {"shutdown": true | "now"}  {"kill": true}  {"die": true}
"""

import json
import os
import signal
import sys
import time
from queue import Empty

from jupyter_client.manager import KernelManager

LIMIT = float(os.environ.get("DRIVE_LIMIT", "90"))  # seconds a step: the machine may be loaded


class Failed(Exception):
    pass


class Driver:
    def __init__(self, name):
        self.log = open(os.path.expanduser(f"~/drive-{name}.log"), "a+")
        self.manager = KernelManager(kernel_name=name)
        self.client = None

    def start(self):
        self.manager.start_kernel(stdout=self.log, stderr=self.log)
        self.connect()

    def connect(self):
        """Until a reply and its own status have both come: then iopub is subscribed, and no output is lost."""
        if self.client:
            self.client.stop_channels()
        self.client = self.manager.client()
        self.client.start_channels()
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            asked = self.client.kernel_info()
            replied = heard = False
            until = time.monotonic() + 2
            while time.monotonic() < until and not (replied and heard):
                replied = replied or self.mine(self.client.get_shell_msg, asked)
                heard = heard or self.mine(self.client.get_iopub_msg, asked)
                if not self.manager.is_alive():
                    raise Failed("the kernel ended")
            if replied and heard:
                time.sleep(
                    0.3
                )  # stdin connects by itself, each 0.1 s; a question before that is lost
                return
        raise Failed("no kernel_info reply with its status")

    def mine(self, channel, asked):
        try:
            return channel(timeout=0.05)["parent_header"].get("msg_id") == asked
        except Empty:
            return False

    def run(self, code, typed=None, after=None, hear=lambda text: None):
        """Execute and collect until both the reply and idle have come."""
        # stop_on_error would abort what is sent within 0.1 s after an interrupt, in old ipykernels
        asked = self.client.execute(code, allow_stdin=typed is not None, stop_on_error=False)
        text, error, reply, idle = "", None, None, False
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            if typed is not None:
                try:
                    self.client.get_stdin_msg(timeout=0.01)
                    self.client.input(typed)
                except Empty:
                    pass
            try:
                message = self.client.get_iopub_msg(timeout=0.05)
                if message["parent_header"].get("msg_id") == asked:
                    kind, content = message["msg_type"], message["content"]
                    if kind == "stream":
                        text += content["text"]
                        hear(text)
                    elif kind in ("execute_result", "display_data"):
                        text += content["data"].get("text/plain", "")
                    elif kind == "error":
                        error = content["ename"]
                    elif kind == "status" and content["execution_state"] == "idle":
                        idle = True
            except Empty:
                pass
            if reply is None:
                try:
                    message = self.client.get_shell_msg(timeout=0.01)
                    if message["parent_header"].get("msg_id") == asked:
                        reply = message["content"]
                except Empty:
                    pass
            if reply is not None and idle:
                return {
                    "text": text,
                    "status": reply["status"],
                    "error": error or reply.get("ename"),
                }
            if not self.manager.is_alive():
                raise Failed(f"the kernel ended during {code!r}; it said {text!r}")
        raise Failed(f"no end of {code!r}; it said {text!r}, reply {reply}")

    def interrupts(self, count, code):
        errors, texts = [], []
        for _ in range(count):
            done = []

            def hear(text):
                if "going" in text and not done:
                    done.append(1)
                    self.manager.interrupt_kernel()

            answer = self.run(code, hear=hear)
            errors.append(answer["error"] or answer["status"])
            texts.append(answer["text"])
        return {"errors": errors, "texts": texts}

    def step(self, step):
        if "run" in step:
            return self.run(step["run"], step.get("input"))
        if "interrupt" in step:
            return self.interrupts(step["interrupt"], step["code"])
        if "restart" in step:
            self.manager.restart_kernel(now=step["restart"] == "now")
            self.connect()
            return {}
        if "kill" in step:  # the launch script alone, as the out-of-memory killer may choose it
            self.client.stop_channels()
            os.kill(self.manager.provisioner.pid, signal.SIGKILL)
            return {}
        if "die" in step:  # as the whole server may
            os.kill(os.getpid(), signal.SIGKILL)
        if "shutdown" in step:
            self.client.stop_channels()
            self.manager.shutdown_kernel(now=step["shutdown"] == "now")
            return {}
        raise Failed(f"what is {step}?")


def main():
    steps = json.load(sys.stdin)
    driver = Driver(sys.argv[1])
    answers, failed = [], None
    try:
        driver.start()
        for step in steps:
            answers.append(driver.step(step))
    except Failed as error:
        failed = str(error)
    finally:
        if driver.manager.has_kernel:
            driver.manager.shutdown_kernel(now=True)
    driver.log.seek(0)
    print(json.dumps({"answers": answers, "failed": failed, "log": driver.log.read()[-4000:]}))


if __name__ == "__main__":
    main()
