"""The preview with a real Slurm: the same app, submitted by sbatch, cancelled by scancel; and the exact arguments."""

import asyncio
import os

import pytest
from portal_tools import FIXTURE, portal
from slurm.cluster import Cluster, missing_parts

from portal.client import Person, PreviewError
from portal.jobs import slurm_options


def test_the_jobs_options_as_sbatch_arguments():
    script = {
        "job_name": "x", "queue_name": "defq", "accounting_id": None, "qos": "", "reservation_id": "course", "cores": 4, "gpus_per_node": 1, "wall_time": 5400, "native": ["--mem=8G", "--exclusive"],
    }  # fmt: skip
    assert slurm_options({"script": script}) == [
        "-J", "x", "-p", "defq", "--reservation", "course", "-n", "4", "--gpus-per-node", "1", "-t", "90", "--mem=8G", "--exclusive",
    ]  # fmt: skip
    assert slurm_options({}) == []


@pytest.mark.slurm
@pytest.mark.root
def test_a_session_through_a_real_slurm(tmp_path_factory):
    if os.getuid() != 0:
        pytest.skip("a private Slurm cluster needs root")
    if missing := missing_parts():
        pytest.skip(f"missing for a private Slurm cluster: {', '.join(missing)}")
    home = tmp_path_factory.mktemp("slurm-home")
    cluster = Cluster().start()
    try:
        with portal(
            home,
            "--scheduler",
            "auto",
            app=FIXTURE,
            env={"SLURM_CONF": cluster.environ["SLURM_CONF"], "PORTAL_SCHEDULER": "auto"},
        ) as address:
            asyncio.run(_session(address))
        cluster.wait_no_jobs()
    finally:
        cluster.stop()


async def _session(address):
    async with Person(address) as person:
        with pytest.raises(PreviewError, match="sbatch: unrecognized option"):
            await person.launch(kind="batch--no-such-option", word="x")
        assert await person.cards() == {}
        waiting = await person.launch(kind="batch--hold", word="x")
        text = await person.wait(waiting, "queued")
        assert "your job currently sits in queue" in text
        assert "kind batch--hold queued" in text
        card = await person.launch(kind="batch--requeue", word='it\'s $HOME, "a"\nb')
        text = await person.wait(card, "running")
        path = text.split('action="')[2 if "/cancel" in text.split('action="')[1] else 1].split(
            '"'
        )[0]
        assert path.startswith("/node/127.0.0.1/")
        assert path in await person.text("GET", path)
        for one in (waiting, card):
            await person.act(one, "cancel")
            await person.wait(one, "completed")
