"""What a site does not let people make."""

import pytest

from kernelwright.config import policy
from kernelwright.config.model import Conda, Containers, Policy, SiteConfig, SlurmConfig
from kernelwright.recipe import from_mapping


def codes(site, environment, **more):
    recipe = from_mapping({"name": "k", "environment": environment, **more}, source="test")
    return [p.code for p in policy.check_recipe(recipe, site)]


def test_everything_is_allowed_where_the_site_says_nothing():
    site = SiteConfig()
    for environment in (
        {"conda": {"channels": ["x"]}},
        {"venv": {}},
        {"container": {"image": "docker://a"}},
        {"script": {"path": "/a"}},
        {"prefix": {"path": "/a"}},
    ):
        assert codes(site, environment, launcher={"slurm": {"ntasks": 999}}) == []


def test_kinds():
    site = SiteConfig(policy=Policy(kinds=("venv",)))
    assert codes(site, {"venv": {}}) == []
    assert codes(site, {"script": {"path": "/a"}}) == ["policy-kind"]


CHANNELS = [
    (["conda-forge"], True), (["conda-forge/"], True), (["conda-forge/label/dev"], True), (["https://mirror.example.org/a/b"], True),
    (["https://user:pw@mirror.example.org/a"], True), (["https://mirror.example.org/t/secret/a"], True), (["https://mirror.example.org.evil.org/a"], False),
    (["https://mirror.example.org/../x"], False), (["defaults"], False), (["bioconda", "conda-forge"], False), (["/local/channel"], False), ([], True),
]  # fmt: skip


@pytest.mark.parametrize(("channels", "allowed"), CHANNELS, ids=str)
def test_channels(channels, allowed):
    site = SiteConfig(conda=Conda(allow_channels=("conda-forge", "https://mirror.example.org/*")))
    assert codes(site, {"conda": {"channels": channels}}) == ([] if allowed else ["policy-channel"])


def test_channels_in_packages_and_appended_ones_count_and_denying_wins():
    site = SiteConfig(
        conda=Conda(deny_channels=("defaults",), channel_alias="https://c.example.org")
    )
    assert codes(site, {"conda": {"dependencies": ["defaults::numpy", "x"]}}) == ["policy-channel"]
    assert codes(site, {"conda": {"channels_append": ["defaults"]}}) == ["policy-channel"]
    aliased = SiteConfig(
        conda=Conda(
            allow_channels=("https://c.example.org/*",), channel_alias="https://c.example.org"
        )
    )
    assert codes(aliased, {"conda": {"channels": ["anything"]}}) == []


@pytest.mark.parametrize(
    ("conda", "channel", "allowed"),
    [
        (Conda(allow_channels=("conda-forge",)), "https://conda.anaconda.org/conda-forge", True),
        (Conda(allow_channels=("conda-forge",)), "https://conda.anaconda.org/bioconda", False),
        (
            Conda(allow_channels=("a",), channel_alias="https://c.example.org/"),
            "https://c.example.org/a/",
            True,
        ),
        (Conda(deny_channels=("defaults",)), "https://repo.anaconda.com/pkgs/main", False),
        (Conda(deny_channels=("bioconda",)), "https://conda.anaconda.org/bioconda", False),
        (Conda(deny_channels=("https://conda.anaconda.org/*",)), "bioconda", False),
    ],
)
def test_a_name_and_its_address_are_one_channel(conda, channel, allowed):
    assert policy.channel_allowed(channel, SiteConfig(conda=conda)) is allowed


def test_secrets_of_a_url_are_not_repeated():
    site = SiteConfig(conda=Conda(allow_channels=("conda-forge",)))
    recipe = from_mapping(
        {"name": "k", "environment": {"conda": {"channels": ["https://me:hush@x.org/t/hush/c"]}}},
        source="t",
    )
    assert "hush" not in policy.check_recipe(recipe, site)[0].message


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        ("docker://a/b:c", True),
        ("/shared/images/x.sif", True),
        ("/shared/images/../../home/x.sif", False),
        ("/home/u/x.sif", False),
        ("oras://a", False),
    ],
)
def test_images(image, allowed):
    site = SiteConfig(containers=Containers(allow=("docker://*", "/shared/images/*")))
    assert codes(site, {"container": {"image": image}}) == ([] if allowed else ["policy-image"])


def test_slurm_limits_partitions_and_no_slurm_at_all():
    site = SiteConfig(
        slurm=SlurmConfig(limits={"ntasks": 4, "time": "12:00:00"}, partitions=("a",))
    )
    assert (
        codes(
            site,
            {"venv": {}},
            launcher={"slurm": {"ntasks": 4, "time": "12:00:00", "partition": "a"}},
        )
        == []
    )
    assert codes(
        site, {"venv": {}}, launcher={"slurm": {"ntasks": 5, "time": "1-0", "partition": "b"}}
    ) == ["policy-limit", "policy-limit", "policy-partition"]
    for time in ("0", "UNLIMITED", "infinite"):
        assert codes(site, {"venv": {}}, launcher={"slurm": {"time": time}}) == ["policy-limit"]
    both = SiteConfig(slurm=SlurmConfig(partitions=("a", "b")))
    assert codes(both, {"venv": {}}, launcher={"slurm": {"partition": "a,b"}}) == []
    assert codes(
        SiteConfig(slurm=SlurmConfig(submit="none")), {"venv": {}}, launcher={"slurm": {}}
    ) == ["policy-slurm"]
    assert codes(SiteConfig(slurm=SlurmConfig(submit="none")), {"venv": {}}) == []


def test_sizes():
    site = SiteConfig(policy=Policy(max_size="1.5G"))
    assert policy.check_size(1 << 30, site) is None
    assert policy.check_size(2 << 30, site).code == "policy-size"
    assert policy.check_size(1 << 60, SiteConfig()) is None


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("30", 30),
        ("1:30", 1.5),
        ("01:30:00", 90),
        ("1-12", 2160),
        ("1-12:30", 2190),
        ("2-00:00:30", 2880.5),
        ("UNLIMITED", None),
        (None, None),
        ("x", None),
    ],
)
def test_slurm_times(text, minutes):
    assert policy.minutes(text) == minutes
