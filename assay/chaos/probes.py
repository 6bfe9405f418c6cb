"""What an experiment looks at: whether the platform is in its steady state, and what the judge says of the run."""

from __future__ import annotations

import numpy as np

from assay import ledger, sealed
from assay.chaos import session, watch
from assay.kafka import metadata
from assay.kafka.admin import Admin
from assay.kafka.lag import remaining
from assay.ledger import Outcome
from assay.platform import GROUP, TOPIC

__all__ = ["consumers_assigned", "error_ratio", "messages_waiting", "under_replicated_partitions", "verdict"]


def messages_waiting() -> int:
    """Messages that wait for the consumers now, over all partitions, by the brokers' word."""
    admin = _admin()
    marks = admin.watermarks(TOPIC)
    committed = admin.committed_of(GROUP, TOPIC, sorted(marks))
    starts = {number: low for number, (low, _) in marks.items()}
    return sum(remaining({number: high for number, (_, high) in marks.items()}, committed, starts).values())


def under_replicated_partitions() -> int:
    """Partitions of which any broker knows that a replica is not in sync or that nobody leads them."""
    return len(metadata.under_replicated(_admin(), TOPIC))


def consumers_assigned() -> int:
    """Consumers that are ready and have a partition."""
    return watch.consumers_there(session.current().platform, _admin())


def error_ratio() -> float:
    """The share of this experiment's sends that ended badly so far; 0 before anything was sent."""
    experiment = session.current()
    if experiment.run is None:
        return 0.0
    ended = np.zeros(len(Outcome), dtype=np.int64)
    for path in sorted(experiment.folder.glob("outcomes.*")):
        outcomes = sealed.read(path) if path.suffix == sealed.SEALED else ledger.read(path)
        for index in range(outcomes.chunks):
            ended += np.bincount(outcomes.chunk(index, ["outcome"])["outcome"].to_numpy(), minlength=len(Outcome))
    return float(1 - ended[Outcome.OK] / ended.sum()) if ended.any() else 0.0


def verdict() -> str:
    """What the judge says of the run that was collected: pass, fail or unknown; the report is written beside it."""
    return session.current().judge().value


def _admin() -> Admin:
    return Admin(session.current().platform.bootstrap())
