"""What the tests of real builds share."""

import subprocess

from kernelwright.recipe import load


def venv(name="demo", requirements="[six]", more=""):
    return load(
        f"name: {name}\nenvironment:\n  venv: {{requirements: {requirements}}}\n{more}",
        source="test",
    )


def names(home):
    folder = home / ".local/share/jupyter/kernels"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def run_cell(builder, name, code, patience=60):
    """The output of one cell and its error, through jupyter_client as every front end uses it."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import KernelManager

    specs = KernelSpecManager(kernel_dirs=[str(builder.store.specs)], ensure_native_kernel=False)
    manager = KernelManager(kernel_name=name, kernel_spec_manager=specs)
    manager.start_kernel(stderr=subprocess.DEVNULL)
    try:
        client = manager.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=patience)
        texts = []

        def hook(message):
            if message["msg_type"] == "stream":
                texts.append(message["content"]["text"])
            elif message["msg_type"] == "error":
                texts.append(message["content"]["evalue"])

        client.execute_interactive(code, timeout=patience, output_hook=hook)
        client.stop_channels()
        return "".join(texts)
    finally:
        manager.shutdown_kernel(now=True)
