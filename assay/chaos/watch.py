"""Watching the service while an experiment goes on: is it steady, and has it recovered?

By the judge's own definition (`assay.checks.outage`), from what was recorded so far: first from the samples of the
brokers' offsets, which are few, and at last from the acknowledgements themselves, so that an experiment does not end
before the judge can see the recovery. An end offset that grows is an acknowledgement: consumers are shown, and counted,
what all replicas in sync have.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from assay import ledger, stages
from assay.checks import History, UndecidedError
from assay.checks.examine import pieces
from assay.checks.outage import ORDINARY_ACK_SECONDS, ORDINARY_CONSUME_SECONDS, outage_of, usual_before
from assay.checks.outage import STEADY_SECONDS as LASTING_SECONDS
from assay.checks.service import Service, acknowledgements, longest_gap, service_of
from assay.checks.shards import SendsShard
from assay.checks.tally import Tally
from assay.errors import AssayError, UsageError
from assay.kafka import metadata
from assay.kafka.admin import Admin
from assay.platform import TOPIC

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.platform import Platform
    from assay.run import Run

#: Service must have been steady for so long before anything is broken.
STEADY_SECONDS: Final = 10.0
#: No more messages wait than come in so many seconds.
LAG_SECONDS: Final = 3.0
_SAMPLES: Final = ("lag", "faults")
_ALL: Final = ("attempts", "outcomes", "events", *_SAMPLES)
_EVERY_SECONDS: Final = 0.5


def history(run: Run, kinds: tuple[str, ...]) -> History:
    """What was recorded by now, of these kinds of ledger; of those that are being written, as far as they go."""
    paths = [path for kind in kinds for path in sorted(run.folder.glob(f"{kind}*.arrows"))]
    return History(run.manifest, [ledger.read(path) for path in paths])


def sampled(recorded: History) -> Service:
    """The service as the samples of offsets show it.

    Raises:
        UndecidedError: There are none.
    """
    lag = recorded.lag
    if len(lag.at_ns) < 2:  # noqa: PLR2004  # what grows needs two looks
        raise UndecidedError("lag was sampled less than twice")
    at = lag.at_ns[1:]
    acked = {number: at[np.diff(lag.end[line]) > 0] for line, number in enumerate(lag.partitions)}
    consumed = {
        number: at[np.diff(lag.end[line] - lag.waiting[line]) > 0] for line, number in enumerate(lag.partitions)
    }
    return Service(acked, consumed, lag.at_ns, lag.waiting.sum(axis=0), int(at[-1]))


def exact(recorded: History) -> Service:
    """The service as the judge will see it.

    Raises:
        UndecidedError: Sends or lag were not recorded, or nothing was acknowledged.
    """
    tally = Tally()
    for piece in pieces(recorded):
        if piece.of_sends:
            tally += acknowledgements(SendsShard(recorded, piece.first, piece.last))
    return service_of(recorded, tally)


def settled(service: Service) -> Service:
    """The service as far as it is known: up to the last acknowledgement or commit of whichever partition is behind.

    Its silence since then may end in a moment or last: the judge will know, who sees what came after (pure).
    """
    lasts = [int(times[-1]) for kind in (service.acked, service.consumed) for times in kind.values() if len(times)]
    return replace(service, ends_ns=min(lasts, default=service.ends_ns))


def unsteady(service: Service, rate: float, seconds: float) -> str | None:
    """Why the service is not steady by now, in a clause; None: it is (pure).

    Args:
        service: As sampled.
        rate: Messages a second that are sent; 0: as many as go.
        seconds: For how long it must have been.
    """
    last = service.ends_ns
    first = last - int(seconds * 1e9)
    for what, by_partition, limit in (
        ("acknowledged", service.acked, ORDINARY_ACK_SECONDS),
        ("committed", service.consumed, ORDINARY_CONSUME_SECONDS),
    ):
        for number, times in sorted(by_partition.items()):
            if not len(times) or times[0] > first + int(limit * 1e9):
                return f"nothing was {what} in partition {number} {seconds:g} s ago"
            gap = longest_gap(times, first, last)
            if gap > limit:
                return f"nothing was {what} in partition {number} for {gap:.1f} s"
    waiting = service.lag[service.lag_at >= first]
    if rate and waiting.max(initial=0) > LAG_SECONDS * rate:
        return f"{int(waiting.max()):,} messages waited"
    try:
        usual_before(service, last)
    except UndecidedError as reason:
        return str(reason)
    return None


def unserved(run: Run) -> str | None:
    """Why full service is not back by now after each fault that bit, in a clause; None: it is.

    Raises:
        UsageError: Nobody will ever be able to say, since nothing is known of before a fault.
    """
    for kinds, view in ((_SAMPLES, sampled), (_ALL, exact)):
        try:
            recorded = history(run, kinds)
            service = settled(view(recorded))
            for fault in recorded.faults:
                if fault.bites_ns is not None:
                    _compare(service, fault.bites_ns)
                    outage_of(service, fault)
        except UndecidedError as reason:
            return str(reason)
    return None


def _compare(service: Service, bitten_ns: int) -> None:
    try:
        usual_before(service, bitten_ns)
    except UndecidedError as reason:
        raise UsageError(f"Recovery can't be told, since {reason}: await_steady comes before a fault.") from None


def unwhole(platform: Platform, admin: Admin, replicas: int) -> str | None:
    """Why the platform is not whole by now, in a clause; None: every replica in sync, every consumer there."""
    lacking = metadata.under_replicated(admin, TOPIC)
    if lacking:
        return f"{len(lacking)} partitions lack a replica in sync"
    there = consumers_there(platform, admin)
    return None if there >= replicas else f"{there} of {replicas} consumers are ready and have a partition"


def consumers_there(platform: Platform, admin: Admin) -> int:
    """How many consumers are ready and have a partition.

    Raises:
        AssayError: Kafka does not answer.
    """
    return sum(one.ready and bool(one.partitions) for one in stages.replicas(platform, admin))


def await_steady(platform: Platform, run: Run, seconds_at_most: float) -> None:
    """Wait until the service is steady and the platform whole.

    Raises:
        AssayError: It was not in time; the sentence says what was amiss.
    """
    admin = Admin(platform.bootstrap())

    def look() -> str | None:
        return _unsteady(run, STEADY_SECONDS) or unwhole(platform, admin, run.manifest.objectives.replicas)

    _await(look, seconds_at_most, "The service was not steady")


def await_service(platform: Platform, run: Run, seconds_at_most: float, *, whole: bool) -> None:
    """Wait until full service is back and has lasted; `whole`: with every replica in sync and every consumer there.

    Raises:
        AssayError: It was not in time; the sentence says what was amiss.
    """
    admin = Admin(platform.bootstrap())

    def look() -> str | None:
        amiss = unserved(run) or _unsteady(run, LASTING_SECONDS)
        return amiss or (unwhole(platform, admin, run.manifest.objectives.replicas) if whole else None)

    _await(look, seconds_at_most, "Full service was not back")


def _unsteady(run: Run, seconds: float) -> str | None:
    try:
        service = sampled(history(run, _SAMPLES))
    except UndecidedError as reason:
        return str(reason)
    return unsteady(service, run.manifest.plan.rate_per_second, seconds)


def _await(look: Callable[[], str | None], seconds: float, what: str) -> None:
    """Look until nothing is amiss. A look that Kafka does not answer is one that sees something amiss."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = look()
        except UsageError:
            raise  # waiting does not help
        except AssayError as error:
            found = str(error).rstrip(".")
        if found is None:
            return
        if time.monotonic() >= deadline:
            raise AssayError(f"{what} within {seconds:g} s: {found}.")
        time.sleep(_EVERY_SECONDS)
