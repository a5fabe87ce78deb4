"""The user's and the system's .condarc, as conda reads them."""

from __future__ import annotations

import pytest

from kernelwright.config.model import Conda, SiteConfig
from kernelwright.environments.conda import condarc
from kernelwright.environments.conda.settings import Channels, visible


def write(home, name, text):
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_files_are_merged_the_users_own_first(tmp_path):
    write(tmp_path, ".condarc", "channels: [mine]\nssl_verify: ~/ca.pem\n")
    write(
        tmp_path,
        ".conda/condarc.d/a.yml",
        "channels: [ours, mine]\nchannel_alias: https://mirror.example.org\nchannel_priority: disabled\n",
    )
    write(
        tmp_path,
        "named",
        "channels:\n- ${EXTRA}\nproxy_servers: {https: 'http://u:p@proxy:3128'}\n",
    )
    found = condarc.read(tmp_path, {"CONDARC": str(tmp_path / "named"), "EXTRA": "first"})
    assert found.channels == ("first", "mine", "ours")
    assert found.alias == "https://mirror.example.org"
    assert found.priority == "disabled"
    assert found.proxies == {"https": "http://u:p@proxy:3128"}
    assert found.ca_file.endswith("/ca.pem")
    assert found.sources["channel_alias"].endswith("a.yml")


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "- a",
        "channels: 5",
        "channels: {a: b}",
        "null",
        "custom_channels: [x]",
        "remote_max_retries: many",
        "\x00",
    ],
)
def test_what_cannot_be_read_changes_nothing(tmp_path, text):
    write(tmp_path, ".condarc", text)
    notes = []
    found = condarc.read(tmp_path, {}, notes.append)
    assert found.channels == ()
    assert found.retries is None


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("conda-forge", "https://conda.anaconda.org/conda-forge"),
        ("conda-forge/label/dev", "https://conda.anaconda.org/conda-forge/label/dev"),
        ("conda-forge/linux-64", "https://conda.anaconda.org/conda-forge"),
        ("https://host.example.org/a/", "https://host.example.org/a"),
        ("https://host.example.org/t/abc-123/a", "https://host.example.org/a"),
        ("https://u:p%40ss@host.example.org:8443/a", "https://host.example.org:8443/a"),
        ("lab", "https://lab.example.org/conda/lab"),
        ("/srv/channel", "file:///srv/channel"),
        ("file:///srv/channel", "file:///srv/channel"),
    ],
)
def test_addresses(tmp_path, name, address):
    user = condarc.Condarc(custom={"lab": "https://lab.example.org/conda"})
    channels = Channels(SiteConfig(), user, {}, tmp_path)
    assert channels.address(name) == address


def test_secrets_go_into_credentials(tmp_path):
    channels = Channels(SiteConfig(), condarc.Condarc(), {"T": "tok"}, tmp_path)
    channels.address("https://h.example.org/t/${T}/a")
    channels.address("https://u:p%40ss@i.example.org/a")
    assert channels.credentials == {
        "h.example.org": {"CondaToken": "tok"},
        "i.example.org": {"BasicHTTP": {"username": "u", "password": "p@ss"}},
    }
    assert visible("https://u:p@h/t/tok/a") == "https://***@h/t/***/a"


def test_defaults_and_own_groups_of_channels(tmp_path):
    user = condarc.Condarc(
        default_channels=("https://a.example.org/main",), multi={"all": ("x", "y")}
    )
    channels = Channels(
        SiteConfig(conda=Conda(channel_alias="https://m.example.org/")), user, {}, tmp_path
    )
    assert channels.addresses(["defaults", "all", "nodefaults", "x"], "x") == (
        "https://a.example.org/main", "https://m.example.org/x", "https://m.example.org/y",
    )  # fmt: skip
