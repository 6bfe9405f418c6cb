"""Systems that lose messages, on purpose and for real: the judge must say so, and name exactly what was lost.

Mutated ledgers show that a check can see an anomaly that somebody thought of. Here the platform itself is set up
wrongly, hit by a fault, and loses what it had acknowledged; beside it, where that is cheap, the right set-up under the
same fault, which loses nothing. What is lost is also computed naively, as a set difference against a plain reader.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from handmade import HandmadeRun, acked, new_topic, read_plainly, read_sink_plainly

from assay.chaos import packets, target
from assay.chaos.faults import Dropped, Killed, Paused, Probe
from assay.chaos.injection import injected
from assay.chaos.node import on_this_machine
from assay.errors import AssayError
from assay.kafka import lag
from assay.kafka.admin import Admin
from assay.platform import ANALYTICS, GROUP, TOPIC, Platform
from assay.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


SAFE = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}
#: The port on which brokers fetch from one another, and the one beside it, of their quorum.
REPLICATION, CONTROLLER = 9091, 9093
WRONG_CONSUMER = Path(__file__).with_name("commits_before_it_writes.py")


def _leader(admin: Admin, topic: str) -> int | None:
    """Who leads a topic's first partition, as far as anybody answers."""
    try:
        return admin.topic(topic).partitions[0].leader
    except AssayError:
        return None


def _steadiest_broker(platform: Platform) -> int:
    """The broker that was restarted least: the kubelet lets the others wait longer before they come back."""
    pods = platform.pods("kafka")
    calmest = min(pods, key=lambda pod: (pod.status.container_statuses[0].restart_count, pod.metadata.name))
    return int(calmest.metadata.name.rpartition("-")[2])


def test_a_producer_that_waits_for_no_acknowledgement_loses_messages(platform: Platform, tmp_path: Path) -> None:
    """With acks=0 what went into the socket of a leader that hangs, and then dies, counts as acknowledged, and is gone.

    An idempotent producer of the same topic, at the same time, loses nothing.
    """
    bootstrap, victim = platform.bootstrap(), _steadiest_broker(platform)
    name = f"acks-{secrets.token_hex(3)}"
    with new_topic(bootstrap, name, [0, 1, 2], SAFE):
        careless = HandmadeRun(tmp_path / "careless", bootstrap, name, {"acks": 0, "enable.idempotence": "false"})
        careful = HandmadeRun(tmp_path / "careful", bootstrap, name, {})
        with ExitStack() as stack:
            for run, rate in ((careless, 2_000), (careful, 1_000)):
                run.start_sending(rate)
                stack.callback(run.stop_sending)
            wait_until(lambda: careful.acknowledged > 1_000, 30, "the load does not start", every=0.1)
            broker = target.find(platform, f"kafka-{victim}")
            with injected(Paused(on_this_machine, broker), careless.faults, "leader-hang"):
                before = careless.acknowledged
                wait_until(lambda: careless.acknowledged > before + 1_000, 30, "nothing more is sent", every=0.05)
                with injected(Killed(platform, on_this_machine, broker), careless.faults, "leader-kill"):
                    before = careful.acknowledged
                    wait_until(lambda: careful.acknowledged > before + 1_000, 30, "the load does not go on", every=0.1)
                    stack.close()
        lossy = careless.judged(other_runs=(careful.name,))
        sound = careful.judged(other_runs=(careless.name,))
        missing = {run.name: acked(run.folder) - read_plainly(bootstrap, name, run.name) for run in (careless, careful)}
    assert missing[careful.name] == set()
    assert (sound.findings["lost"].verdict, sound.findings["duplicate"].verdict) == ("pass", "pass")
    assert len(missing[careless.name]) > 0
    assert (lossy.verdict, lossy.findings["lost"].verdict) == ("fail", "fail")
    assert lossy.findings["lost"].named == missing[careless.name]


def test_an_unclean_election_loses_what_the_leader_alone_had(platform: Platform, tmp_path: Path) -> None:
    """A leader that is cut from its followers acknowledges alone, and dies; a follower is elected that never had it.

    Where two replicas must be in sync the same sends wait for the second one, and none is lost.
    """
    bootstrap, victim = platform.bootstrap(), _steadiest_broker(platform)
    alone = {"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}
    suffix, admin = secrets.token_hex(3), Admin(bootstrap)
    leader, *followers = [
        target.find(platform, f"kafka-{number}") for number in sorted(range(3), key=lambda one: one != victim)
    ]
    replication = packets.flows([one.address for one in followers], here=[REPLICATION])
    cut = Dropped(
        on_this_machine,
        leader,
        replication,
        through=Probe(followers[0], leader.address, REPLICATION),
        beside=Probe(followers[0], leader.address, CONTROLLER),
    )
    with (
        new_topic(bootstrap, f"unclean-{suffix}", [victim], alone) as bad,
        new_topic(bootstrap, f"clean-{suffix}", [victim], SAFE) as good,
    ):
        lossy, sound = (HandmadeRun(tmp_path / one, bootstrap, one, {}) for one in (bad, good))
        for run in (lossy, sound):
            run.send(100)
            run.serve_until_acknowledged(100)
        with injected(cut, lossy.faults, "replication-cut") as cutting:
            for run in (lossy, sound):  # a follower that has all there is stays in sync, however long it is silent
                run.send(9)
            wait_until(
                lambda: all(admin.topic(one).partitions[0].in_sync == (victim,) for one in (bad, good)),
                40,
                "the followers never fell out of sync",
            )
            lossy.serve_until_acknowledged(109)
            sound.serve(0.1)
            assert sound.acknowledged == 100
            with injected(Killed(platform, on_this_machine, leader), lossy.faults, "leader-kill"):
                wait_until(lambda: _leader(admin, bad) not in (None, victim), 30, "no unclean election")
                cutting.heal()
        # Nothing more for the lossy topic: the new leader lacks what came before, and tells an idempotent producer so.
        sound.send(100)
        sound.serve_until_acknowledged(209)
        lost, kept = lossy.judged(), sound.judged()
        missing = {run.name: acked(run.folder) - read_plainly(bootstrap, run.name, run.name) for run in (lossy, sound)}
    assert missing == {good: set(), bad: {(bad, seq) for seq in range(100, 109)}}
    assert (kept.findings["lost"].verdict, kept.findings["duplicate"].verdict) == ("pass", "pass")
    assert (lost.verdict, lost.findings["lost"].verdict) == ("fail", "fail")
    assert lost.findings["lost"].named == missing[bad]
    assert {row["fault"] for row in lost.findings["lost"].rows} == {"replication-cut"}


@pytest.mark.parametrize("wrong", [False, True], ids=["writes-first", "commits-first"])
def test_a_consumer_that_commits_before_it_writes_loses_what_lies_between(
    platform: Platform, tmp_path: Path, *, wrong: bool
) -> None:
    """A consumer is killed after a commit: the real one loses nothing, one with the order swapped all of that batch."""
    bootstrap = platform.bootstrap()
    admin, command = Admin(bootstrap), ["python3", "-c", WRONG_CONSUMER.read_text()]
    with _consumers_as(platform, command) if wrong else nullcontext():
        holders = _holders(platform, admin)
        run = HandmadeRun(tmp_path / f"order-{secrets.token_hex(3)}", bootstrap, TOPIC, {})
        starts = {number: end for number, (_, end) in admin.watermarks(TOPIC).items()}
        run.send(9)
        committed = wait_until(lambda: _moved(starts, admin.committed(GROUP, TOPIC)), 30, "no commit", every=0.05)
        consumer = target.find(platform, holders[min(committed)])
        with injected(Killed(platform, on_this_machine, consumer), run.faults, "consumer-kill"):
            pass
    ends = {number: end for number, (_, end) in admin.watermarks(TOPIC).items()}
    assert lag.wait_for_drain(admin, GROUP, TOPIC, ends, timeout_seconds=60).drained
    judgement = run.judged(platform=platform)
    missing = acked(run.folder) - read_sink_plainly(platform, run.name)
    assert acked(run.folder) == read_plainly(bootstrap, TOPIC, run.name) == {(run.name, seq) for seq in range(9)}
    found = judgement.findings["lost downstream"]
    assert judgement.findings["lost"].verdict == "pass"
    assert found.named == missing
    if wrong:
        assert {(run.name, seq) for seq in range(9) if seq % 3 == min(committed)} <= missing
        assert (judgement.verdict, found.verdict) == ("fail", "fail")
    else:
        assert missing == set()
        assert found.verdict == "pass"


@contextmanager
def _consumers_as(platform: Platform, command: list[str]) -> Iterator[None]:
    """The consumers run another command for as long as this lasts, all of them replaced at once."""
    found = platform.apps.read_namespaced_deployment(ANALYTICS, platform.namespace)
    (container,) = found.spec.template.spec.containers
    ours, rolling = list(container.command), found.spec.strategy.rolling_update.max_unavailable

    def become(words: list[str], at_once: int) -> None:
        template = {"spec": {"containers": [{"name": container.name, "command": words}]}}
        strategy = {"rollingUpdate": {"maxUnavailable": at_once}}
        body = {"spec": {"template": template, "strategy": strategy}}
        platform.apps.patch_namespaced_deployment(ANALYTICS, platform.namespace, body)
        wait_until(lambda: _rolled_out(platform, words), 90, "the consumers were not replaced")

    try:
        become(command, found.spec.replicas)
        yield
    finally:
        become(ours, found.spec.replicas)
        become(ours, rolling)


def _rolled_out(platform: Platform, command: list[str]) -> bool:
    """Whether all consumers run this command and are ready, and none of the ones before is left."""
    pods = platform.core.list_namespaced_pod(
        platform.namespace, label_selector="app.kubernetes.io/component=analytics"
    ).items
    return len(pods) == 3 and all(
        pod.spec.containers[0].command == command
        and pod.metadata.deletion_timestamp is None
        and bool(pod.status.container_statuses)
        and all(one.ready for one in pod.status.container_statuses)
        for pod in pods
    )


def _holders(platform: Platform, admin: Admin) -> dict[int, str]:
    """The pod that consumes each partition, once each of three has one."""

    def each() -> dict[int, str] | None:
        pods = {pod.status.pod_ip: pod.metadata.name for pod in platform.pods("analytics")}
        members = admin.group(GROUP).members
        held = {
            number: pods.get(one.host.lstrip("/"), "") for one in members for number in one.partitions.get(TOPIC, ())
        }
        return held if len(set(held.values())) == len(held) == 3 else None

    return wait_until(each, 60, "the consumers do not have one partition each")


def _moved(starts: dict[int, int], committed: dict[int, int | None]) -> set[int]:
    """The partitions in which something new was committed."""
    return {number for number, start in starts.items() if (committed[number] or 0) > start}
