"""The line that says what is run and where."""

from dataclasses import replace

import pytest

from wps_run.execution.run_info import Destination, RunInfo
from wps_run.playbook.shards import Shard

RUN = RunInfo(
    destination=Destination.SERVICE,
    endpoints=("a.example:443", "b.example:443"),
    hubs=("chat", "news"),
    playbooks=("p.yaml", "q\x1b.yaml"),
    total=6,
    pace="sequential",
    plan_total=6,
)


@pytest.mark.parametrize(
    ("run", "line"),
    [
        (
            RUN,
            (
                "SERVICE a.example:443, b.example:443 · hub chat, news · p.yaml, "
                "q\ufffd.yaml · 6 actions, sequential"
            ),
        ),
        (
            replace(RUN, playbooks=("p.yaml",), shard=Shard(2, 4), plan_total=24),
            (
                "SERVICE a.example:443, b.example:443 shard 2/4 · hub chat, news · p.yaml · "
                "6 of 24 actions, sequential"
            ),
        ),
        (
            replace(RUN, destination=Destination.LOCAL, playbooks=("p.yaml",), total=1),
            (
                "LOCAL rehearsal (nothing leaves this machine) · hub chat, news · p.yaml · "
                "1 action, sequential"
            ),
        ),
        (
            replace(RUN, destination=Destination.PLAN, playbooks=("p.yaml",)),
            "PLAN (nothing is sent) · hub chat, news · p.yaml · 6 actions, sequential",
        ),
    ],
    ids=["service", "shard", "rehearsal", "plan"],
)
def test_run_is_described_in_one_line(run: RunInfo, line: str) -> None:
    """Invisible characters in the name of a playbook are replaced."""
    assert str(run) == line
