"""The report for the help desk: what it holds, and that no planted secret is in it."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from kernelwright.config.model import SiteConfig
from kernelwright.doctor.report import make_report
from kernelwright.doctor.secrets import redact
from kernelwright.doctor.subject import Around

S = "S3cretValue0123456789abcdef"
PLANTED = (
    f"https://user:{S}@host/path", f"git+https://{S}@github.example/x.git", f"http://h/?token={S}&x=1", f"https://c/t/{S}/main",
    f"Authorization: Bearer {S}", f'"password": "{S}"', f"'api_key': '{S}'", f"API_KEY={S}", f"export HF_TOKEN={S}", f"--token {S}",
    f"--password={S}", f'"--token", "{S}"', f"AWS_SECRET_ACCESS_KEY={S}", f"password: {S}", f"JUPYTERHUB_API_TOKEN='{S}'", f"MY_LICENSE_KEY={S}",
    f"-----BEGIN OPENSSH PRIVATE KEY-----\n{S}\n-----END OPENSSH PRIVATE KEY-----", f"-----BEGIN RSA PRIVATE KEY-----\n{S}", f"ghp_{S}",
    f"hf_{S}", f"sk-{S}", f"glpat-{S}", f"argon2:$argon2id$v=19$m=10240$abc${S}", f'"key": "{S}"', f"cookie_secret={S}", f"db_passwd = {S}",
    f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{S}", f"Token {S}",
    f"PASSPHRASE={S}", f"export DB_PASS={S}", f"GITHUB_PAT='{S}'", f"API_KEY_2: {S}", f"--Session.key=b'{S}'", f"'--Session.key=b'\"'\"'{S}'\"'\"''",
    f"--password 'two words {S}'", f"['--token', '{S}']", f"PASS='it'\"'\"'s {S}'", f'export MY_TOKEN="a"{S}', f'--token "x {S}"', f'if token == "{S}"',
)  # fmt: skip


@pytest.mark.parametrize("text", PLANTED)
def test_secrets_are_removed(text: str) -> None:
    assert S not in redact(f"before\n  {text}\nafter")
    assert redact(f"before\n  {text}\nafter").startswith("before")


@pytest.mark.parametrize(
    "text",
    [
        "/home/a/envs/mine/bin/python -m ipykernel_launcher -f {connection_file}", "PATH=/usr/bin:/bin", "numpy==2.1.0", "module load gcc/12.2.0",
        "https://conda.anaconda.org/conda-forge", "kernel `bert` cannot start", "LD_LIBRARY_PATH=/a:/b", "-rw-r--r-- alice lab 12 /home/alice/x",
        "KERNELWRIGHT_HOME=/x", "recipe_hash: 3f1a", "kernels/secret\n\n== Kernel secret ==\nnothing found", "== Paths of api-key ==",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_what_stands_beside_a_secret_stays() -> None:
    line = '{"argv": ["x", "--token=abc", "-f", "{connection_file}"], "env": {"API_KEY": "k", "A": "b"}}'
    told = redact(line)
    assert "abc" not in told
    assert '"-f", "{connection_file}"' in told
    assert '"A": "b"' in told


def home_with_secrets(tmp: Path) -> Path:
    home = tmp / "home"
    folder = home / ".local/share/jupyter/kernels/k"
    folder.mkdir(parents=True)
    spec = {"argv": ["{resource_dir}/start.sh", "--token", S, "{connection_file}"], "display_name": "k", "language": "python",
            "env": {"ANYTHING": S, "PATH": "/bin:${PATH}"}, "metadata": {"x": {"y": S}}}  # fmt: skip
    (folder / "kernel.json").write_text(json.dumps(spec))
    (folder / "start.sh").write_text(
        f"#!/bin/bash\nexport WANDB_API_KEY={S}\ncurl https://me:{S}@host\nexec python $@\n"
    )
    return home


def test_the_report(tmp_path: Path) -> None:
    home = home_with_secrets(tmp_path)
    environ = {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "JUPYTER_TOKEN": S,
        "SOME_SECRET": S,
        "UNREMARKABLE": S,
        "LOADEDMODULES": "gcc/12",
    }
    text = make_report(Around(home, environ, SiteConfig(), tmp_path), "k")
    assert S not in text
    for words in (
        "kernelwright ",
        "groups ",
        "glibc",
        "LOADEDMODULES=gcc/12",
        "script-not-executable",
        "export WANDB_API_KEY=[removed]",
        "UNREMARKABLE",
        '"ANYTHING": "[not shown]"',
        "drwx",
    ):
        assert words in text


def test_a_folder_as_the_place_of_the_report(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "KERNELWRIGHT_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    (tmp_path / "desk").mkdir()
    call = [sys.executable, "-m", "kernelwright", "report", "--output", str(tmp_path / "desk")]
    done = subprocess.run(call, env=environ, capture_output=True, text=True, timeout=120)
    assert Path(done.stdout.strip()).parent == tmp_path / "desk", done.stderr
    assert Path(done.stdout.strip()).stat().st_mode & 0o777 == 0o600


def test_the_command_writes_a_private_file(tmp_path: Path) -> None:
    home = home_with_secrets(tmp_path)
    environ = {"HOME": str(home), "KERNELWRIGHT_HOME": str(home), "PATH": "/usr/bin:/bin"}
    argv = [sys.executable, "-m", "kernelwright", "report"]
    done = subprocess.run([*argv, "k"], env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path.parent == home
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert S not in path.read_text()
    assert subprocess.run(
        [*argv, "--output", "-"], env=environ, capture_output=True, text=True, timeout=120
    ).stdout.startswith("== This report")
    assert (
        subprocess.run(
            [*argv, "nobody"], env=environ, capture_output=True, text=True, timeout=120
        ).returncode
        == 1
    )
