"""Where conda packages come from: names, aliases, mirrors, secrets and policy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from conda.asking import code_of
from kernelwright.config.model import Conda

from .conftest import Log
from .server import LOGIN, TOKEN


def test_two_channels_of_the_same_name_and_a_package_from_one(workshop):
    mirror = workshop.server.url.replace("/channel", "/mirror")
    place = workshop.place()
    workshop.make(f"{mirror}::greetings", place=place)
    record = json.loads(next((place.prefix / "conda-meta").glob("greetings-*")).read_text())
    assert record["channel"].startswith(mirror)


def test_policy_on_channels(workshop):
    rule = replace(workshop.site.conda, allow_channels=("http://127.0.0.1:*/channel",))
    workshop.make("activator", place=workshop.place(conda=rule))
    mirror = workshop.server.url.replace("/channel", "/mirror")
    code, error = code_of(
        workshop.make, "activator", channels=(mirror,), place=workshop.place(conda=rule)
    )
    assert (code, "/channel" in error.context["allowed"]) == ("channel-not-allowed", True)
    assert (
        code_of(workshop.make, f"{mirror}::activator", place=workshop.place(conda=rule))[0]
        == "channel-not-allowed"
    )
    (workshop.home / ".condarc").write_text(f"channels: ['{mirror}']\n")
    code, error = code_of(workshop.make, "activator", place=workshop.place(conda=rule))
    assert (code, error.context["it comes from"]) == (
        "channel-not-allowed",
        str(workshop.home / ".condarc"),
    )
    denied = replace(workshop.site.conda, deny_channels=("defaults", "*anaconda.com*"))
    assert (
        code_of(workshop.make, channels=("defaults",), place=workshop.place(conda=denied))[0]
        == "channel-not-allowed"
    )


def test_names_through_alias_mirror_proxy_and_condarc(workshop, monkeypatch):
    host = workshop.server.host
    alias = workshop.place(conda=Conda(channels=("channel",), channel_alias=f"http://{host}"))
    workshop.make("activator", place=alias)
    mirrored = Conda(
        channels=("http://upstream.invalid/c",),
        mirrors={"http://upstream.invalid/c": (f"http://{host}/mirror",)},
    )
    place = workshop.place(conda=mirrored)
    made = workshop.make("activator", place=place)
    assert made.facts["channels"] == ["http://upstream.invalid/c"]
    assert "http://upstream.invalid/c/noarch/activator" in (place.keep / "conda.lock").read_text()
    (workshop.home / ".condarc").write_text(
        f"channel_alias: http://{host}\nchannels: [channel]\nproxy_servers: {{http: 'http://{host}'}}\n"
    )
    made = workshop.make("activator", place=workshop.place(conda=Conda()))
    assert made.facts["channels"] == [f"http://{host}/channel"]
    assert any(r.startswith(f"GET http://{host}/channel") for r in workshop.server.requests)
    (workshop.home / ".condarc").write_text("channels: [\n")
    log = Log()
    workshop.make("activator", log=log)
    assert any(".condarc" in note and "left out" in note for note in log.notes)


def test_secrets_stay_out_of_everything_that_is_kept(cold, log):
    host = cold.server.host
    place = cold.place()
    made = cold.make(
        "greetings", channels=(f"http://{host}/t/{TOKEN}/channel",), place=place, log=log
    )
    assert any(f"/t/{TOKEN}/channel" in request for request in cold.server.requests)
    user, password = LOGIN.split(":")
    login = cold.make("activator", channels=(f"http://{user}:{password}@{host}/private",))
    said = f"{made}{login}{log.notes}"
    for folder in (place.keep, place.prefix / "conda-meta", Path(cold.site.storage.package_cache)):
        for path in folder.rglob("*"):
            if path.is_file() and path.stat().st_size < 1 << 20:
                said += path.read_bytes().decode("latin-1")
    assert TOKEN not in said
    assert password not in said


def test_an_auth_file_of_the_site(workshop):
    file = workshop.base / "auth.json"
    user, password = LOGIN.split(":")
    file.write_text(
        json.dumps({"127.0.0.1": {"BasicHTTP": {"username": user, "password": password}}})
    )
    private = workshop.server.url.replace("/channel", "/private")
    rule = Conda(channels=(private,), auth_file=str(file))
    workshop.make("activator", place=workshop.place(conda=rule))
    code, error = code_of(
        workshop.make, "oldformat", place=workshop.place(conda=Conda(channels=(private,)))
    )
    assert code == "channel-denied"
    assert "${TOKEN}" in error.hint


def test_variables_in_channels_must_be_set(workshop):
    code, error = code_of(workshop.make, channels=("https://h.example.org/t/${NO_SUCH_TOKEN}/c",))
    assert code == "channel-variable-unset"
    assert "never stored" in error.hint
