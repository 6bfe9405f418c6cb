"""Did the run show anything at all? What never happened proves nothing, and evidence that is not whole proves less."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from assay.checks.finding import UndecidedError, counted, finding
from assay.checks.records import Origin
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.checks.history import History


def vacuous(history: History) -> Finding:
    """Every part of the run happened: sends, every partition, every replica, the sink, the drain, the ETL.

    Source: Jepsen's `stats` checker fails an operation that never succeeded; the verifiers' commonest lie is one
    healthy partition standing for three.
    """
    gaps: list[str] = []
    for look in (_stopped, _sending, _partitions, _replicas, _sink, _etl):
        try:
            gaps += look(history)
        except UndecidedError as reason:
            gaps.append(str(reason))
    gaps = list(dict.fromkeys(gaps))
    text = (
        f"{counted(len(gaps), 'part')} of the run did not happen: {'; '.join(gaps)}."
        if gaps
        else "Messages, partitions, replicas, the sink, the drain and the ETL: all took part."
    )
    verdict = Verdict.UNKNOWN if gaps else Verdict.PASS
    return finding("vacuous", verdict, text, {"gaps": len(gaps)}, {"gap": gaps})


def incomplete(history: History) -> Finding:
    """Every ledger was closed by its writer. One that was not is judged as far as it goes; its end may be missing."""
    torn = sorted(
        f"{ledger.kind}{' of ' + ledger.producer if ledger.producer else ''}"
        for ledger in history.ledgers
        if not ledger.complete
    )
    with_attempts = {ledger.producer for ledger in history.ledgers if ledger.kind == "attempts"}
    with_outcomes = {ledger.producer for ledger in history.ledgers if ledger.kind == "outcomes"}
    absent = sorted(with_attempts - with_outcomes)
    text = f"All {counted(len(history.ledgers), 'ledger')} were closed properly."
    if torn or absent:
        parts = []
        if torn:
            parts.append(f"the ledgers {', '.join(torn)} end without their mark, so rows may be missing")
        if absent:
            parts.append(f"there are no outcomes of {', '.join(absent)}")
        text = f"The evidence is not whole: {'; '.join(parts)}. Sends without an outcome are counted as unknown."
    verdict = Verdict.UNKNOWN if torn or absent else Verdict.PASS
    listing = {"ledger": [*torn, *(f"outcomes of {name}" for name in absent)]}
    return finding("incomplete", verdict, text, {"ledgers": len(history.ledgers), "torn": len(torn)}, listing)


def preflight(history: History) -> tuple[Finding, ...]:
    """What was checked before the load: connectivity, DNS, network policy, resources, settings. One finding each."""
    checks = history.manifest.preflight
    if not checks:
        return (finding("preflight", Verdict.UNKNOWN, "Nothing was checked before the load."),)
    return tuple(finding(f"preflight: {check.name}", Verdict(check.verdict), check.detail) for check in checks)


def _stopped(history: History) -> Iterator[str]:
    if history.manifest.stopped:
        yield f"the run stopped early ({history.manifest.stopped.rstrip('.')})"


def _sending(history: History) -> Iterator[str]:
    attempted, planned = sum(len(sends) for sends in history.sends), history.manifest.plan.messages
    if not attempted:
        yield "no message was sent"
    elif attempted < planned:
        yield f"only {attempted:,} of {planned:,} planned messages were sent"
    if planned <= 0:
        yield "no message was planned"


def _partitions(history: History) -> Iterator[str]:
    log = history.log
    own = log.origin == Origin.OWN
    with_records = {number for number, where in log.slices.items() if own[where].any()}
    numbers = set(range(history.manifest.plan.partitions)) | set(history.partitions)
    for number in sorted(numbers - with_records):
        yield f"partition {number} got no record"
    for number in sorted(numbers - set(history.partitions)):
        yield f"the brokers' offsets of partition {number} were not read"


def _replicas(history: History) -> Iterator[str]:
    replicas, wanted = history.manifest.replicas, history.manifest.objectives.replicas
    if len(replicas) < wanted:
        yield f"only {len(replicas)} of {wanted} consumer replicas were there"
    for replica in replicas:
        if not replica.ready:
            yield f"replica {replica.pod} was not ready"
        if not replica.partitions:
            yield f"replica {replica.pod} had no partition"


def _sink(history: History) -> Iterator[str]:
    if not history.manifest.drained:
        yield "the consumers did not drain the topic in time"
    if not np.any(history.sink.origin == Origin.OWN):
        yield "the sink has no row of this run"


def _etl(history: History) -> Iterator[str]:
    rows = history.etl
    if not rows.run.extracted or not rows.fates:
        yield "the ETL extracted nothing"
    extracted = {commodity for commodity, _ in rows.fates if commodity}
    for commodity in sorted(extracted - {commodity for commodity, fate in rows.fates if fate == "topic"}):
        yield f"no row of {commodity} got past the ETL's validation"
