"""How soon a killed consumer's partition is another's: the classic protocol beside that of KIP-848.

    python benchmarks/group_protocols.py 127.0.0.1:9092 commodity-prices [rounds]

Three members, each a process of its own, share the topic in a group of their own; one of them is killed (SIGKILL), and
the time until another one has its partitions is taken, each round. Nothing is sent or committed. The classic protocol's
timeouts are the members' (6 s and 1 s, as the platform's consumers have them), the other's are the brokers'.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import secrets
import signal
import statistics
import sys
import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from assay.kafka import clients
from assay.kafka.admin import Admin
from assay.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

MEMBERS: Final = 3
#: The classic protocol's, in milliseconds; see playbooks/inventory/group_vars/all/recovery.yml.
SESSION_MS, HEARTBEAT_MS = 6000, 1000
#: How long a partition may take to move before the round is given up, and the group to settle, in seconds.
MOVE_SECONDS, SETTLE_SECONDS = 90.0, 60.0

#: By member: what it has, since when by the machine's monotonic clock (nanoseconds).
Board = "multiprocessing.managers.DictProxy[int, tuple[frozenset[int], int]]"


def member(number: int, settings: dict[str, str | int], topic: str, board: Board) -> None:
    """One member, until it is killed: it writes down what partitions it has whenever that changes."""
    consumer = Consumer(clients.settings(str(settings["bootstrap.servers"]), settings))
    own: set[int] = set()

    def note(change: Callable[[set[int]], object], places: list[TopicPartition]) -> None:
        change({place.partition for place in places})
        board[number] = (frozenset(own), time.monotonic_ns())

    consumer.subscribe(
        [topic],
        on_assign=lambda _, places: note(own.update, places),
        on_revoke=lambda _, places: note(own.difference_update, places),
        on_lost=lambda _, places: note(own.difference_update, places),
    )
    while True:
        consumer.poll(0.05)


class Group:
    """A group whose members are processes of this one."""

    def __init__(self, bootstrap: str, topic: str, protocol: str, board: Board) -> None:
        """Start its members."""
        self.name = f"benchmark-{protocol}-{secrets.token_hex(3)}"
        self._settings: dict[str, str | int] = {
            "bootstrap.servers": bootstrap,
            "group.id": self.name,
            "group.protocol": protocol,
            "auto.offset.reset": "latest",
            "enable.auto.commit": "false",
        }
        if protocol == "classic":
            self._settings |= {
                "session.timeout.ms": SESSION_MS,
                "heartbeat.interval.ms": HEARTBEAT_MS,
                "partition.assignment.strategy": "cooperative-sticky",
            }
        self._topic = topic
        self._board = board
        self._processes: dict[int, multiprocessing.Process] = {}
        self._partitions = frozenset(Admin(bootstrap).topic(topic).partitions)
        for _ in range(MEMBERS):
            self.add()

    def add(self) -> None:
        """Start one more member."""
        number = max(self._processes, default=-1) + 1
        process = multiprocessing.Process(target=member, args=(number, self._settings, self._topic, self._board))
        process.start()
        self._processes[number] = process

    def settle(self) -> None:
        """Wait until every member that lives has a partition, and each partition one member, for two seconds."""

        def settled() -> bool:
            owned = [self._board.get(number, (frozenset(), 0))[0] for number in self._living()]
            return all(owned) and sorted(one for part in owned for one in part) == sorted(self._partitions)

        def lasting() -> bool:
            end = time.monotonic() + 2
            while settled():
                if time.monotonic() > end:
                    return True
                time.sleep(0.1)
            return False

        wait_until(lasting, SETTLE_SECONDS, f"The group {self.name} did not settle within {SETTLE_SECONDS:.0f} s.")

    def kill_one(self, chance: random.Random) -> float:
        """Kill a member at a random moment between heartbeats; seconds until others have what it had."""
        victim = chance.choice(self._living())
        time.sleep(chance.uniform(0, HEARTBEAT_MS / 1000))
        lost = self._board[victim][0]
        process = self._processes[victim]
        killed_ns = time.monotonic_ns()
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()

        def moved() -> int | None:
            holders = [self._board[number] for number in self._living()]
            held = {partition: since for parts, since in holders for partition in parts}
            return max(held[one] for one in lost) if lost <= held.keys() else None

        at_ns = wait_until(moved, MOVE_SECONDS, f"{lost} did not move within {MOVE_SECONDS:.0f} s.", every=0.02)
        return (at_ns - killed_ns) / 1e9

    def end(self) -> None:
        """Kill all members; whoever deletes the group waits for its sessions to end."""
        for process in self._processes.values():
            process.kill()
            process.join()

    def _living(self) -> list[int]:
        return [number for number, process in self._processes.items() if process.is_alive()]


def measure(bootstrap: str, topic: str, protocol: str, rounds: int) -> tuple[str, list[float]]:
    """The group's name, and the seconds of each round."""
    chance = random.Random(1)  # noqa: S311  # moments, not secrets
    with multiprocessing.Manager() as manager:
        group = Group(bootstrap, topic, protocol, manager.dict())
        try:
            found = []
            for number in range(rounds):
                if number:
                    group.add()
                group.settle()
                found.append(group.kill_one(chance))
            return group.name, found
        finally:
            group.end()


def main() -> None:
    """Print one line a protocol."""
    multiprocessing.set_start_method("spawn")  # librdkafka's threads do not survive a fork
    bootstrap, topic, *rest = sys.argv[1:]
    rounds = int(rest[0]) if rest else 5
    admin, names, medians = Admin(bootstrap), [], []
    for protocol in ("classic", "consumer"):
        name, seconds = measure(bootstrap, topic, protocol, rounds)
        names.append(name)
        medians.append(statistics.median(seconds))
        own = {"consumer.session.timeout.ms": str(SESSION_MS), "consumer.heartbeat.interval.ms": str(HEARTBEAT_MS)}
        timeouts = own if protocol == "classic" else admin.group_settings(name)
        session, beat = (
            float(timeouts[f"consumer.{one}.ms"]) / 1000 for one in ("session.timeout", "heartbeat.interval")
        )
        sys.stdout.write(
            f"{protocol:8}  session {session:g} s, heartbeat {beat:g} s: {rounds} rounds, "
            f"min {min(seconds):.2f} s, median {medians[-1]:.2f} s (x{medians[-1] / session:.2f} of the session), "
            f"max {max(seconds):.2f} s  {json.dumps([round(one, 2) for one in seconds])}\n"
        )
        sys.stdout.flush()
    sys.stdout.write(f"consumer is x{medians[1] / medians[0]:.2f} of classic\n")
    time.sleep(SESSION_MS / 1000 + 1)
    for future in AdminClient(clients.settings(bootstrap)).delete_consumer_groups(names).values():
        future.result()


if __name__ == "__main__":
    main()
