"""What usually causes an anomaly, and what in this run's settings speaks for it: a lead for a person, not a finding.

Settings are the manifest's, as they were read from brokers and clients; a setting that was not read speaks for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Without anything in the settings that speaks for a cause.
_USUALLY: Final[Mapping[str, str]] = {
    "lost": (
        "With acks=all, two in-sync replicas and no unclean election, Kafka loses an acknowledged record only where"
        " that many replicas lose their disks or page caches at once, or where a log was truncated: compare the "
        "leader epochs around the offsets, and look for truncation in the brokers' logs."
    ),
    "lost downstream": (
        "A consumer that commits before its output is durable (or commits automatically) loses what it held when it "
        "died; so does a sink that drops rows it can't take. See `commit ahead` and the consumer's log at that time."
    ),
    "duplicate": (
        "A producer that restarted, or an application that sends again after an error, gets a new producer id: Kafka "
        "can't know that the message is the same."
    ),
    "corrupt": (
        "Something between the sender and the log changed the value: a proxy, an interceptor, a re-encoding, or "
        "memory. Kafka's own CRC covers the batch from the producer's library on."
    ),
    "corrupt in sink": (
        "The consumer or the table's writer changed the value: a re-encoding, a schema's default, rounding."
    ),
    "reordered": (
        "Without idempotence, or with more than five requests in flight, a retried batch is written behind its "
        "successor."
    ),
    "phantom": (
        "Another sender writes to this topic: a second load, a forgotten producer, a mirror. Records that bear this"
        " run's id point to two loads with one id."
    ),
    "phantom in sink": (
        "The log was cut and written anew below what the consumers had read (an unclean election), the topic was "
        "deleted and made again, or another group writes into the same table."
    ),
    "aborted read": (
        "A broker answered with an error and kept the record: a bug worth reporting, with the broker's log."
    ),
    "inconsistent offset": (
        "Two leaders acknowledged the same offset: a fenced leader that went on (split brain), or a log that was "
        "cut after an acknowledgement."
    ),
    "redelivered": (
        "A consumer died, or lost its partition, between its write and its commit, and its sink does not know "
        "offsets: store them with the rows, in one commit."
    ),
    "skipped": "A seek, a reset to the latest offset, or a poll whose records were dropped after a rebalance.",
    "went back": "A seek, or an offset store that was not cleared when the partition came back.",
    "unsound start": (
        "`auto.offset.reset=latest` where nothing was committed, committed offsets that expired, or a start that the "
        "application chose itself."
    ),
    "commit ahead": (
        "Automatic commits, or a commit before the write: a crash in between loses what was committed and not written."
    ),
    "etl conservation": "Rows that were dropped without a reject, a topic written by a second run, or an early end.",
}


def traced(found: Finding, settings: Mapping[str, str]) -> str:
    """What usually causes what a finding says, the causes that the settings speak for first; empty for a pass."""
    if found.verdict is not Verdict.FAIL:
        return ""
    leads = list(_leads(found.check, settings))
    return " ".join(leads) if leads else _USUALLY.get(found.check, "")


def _leads(check: str, settings: Mapping[str, str]) -> Iterator[str]:
    acks, idempotence = settings.get("producer acks"), settings.get("producer enable.idempotence")
    if check == "lost":
        if acks == "0":
            yield (
                "The producer ran with acks=0: it counts a message as acknowledged before any broker has seen it, "
                "so a broker's death or a closed connection loses what was on its way. Set acks=all."
            )
        elif acks == "1":
            yield (
                "The producer ran with acks=1: the leader alone acknowledges, and what no follower had yet is lost "
                "with it. Set acks=all."
            )
        if settings.get("topic unclean.leader.election.enable") == "true":
            yield (
                "The topic allows unclean elections: a replica that lacks acknowledged records may become leader, "
                "and cuts the others down to what it has. Set unclean.leader.election.enable=false."
            )
        if settings.get("topic min.insync.replicas") == "1":
            yield (
                "The topic's min.insync.replicas is 1: when the followers have fallen behind, the leader "
                "acknowledges alone, acks=all or not. Set it to 2 with three replicas."
            )
        if settings.get("topic replication.factor") == "1":
            yield "The topic has one replica: whatever befalls it is lost. Set a replication factor of 3."
    if check in {"duplicate", "reordered"} and idempotence == "false":
        yield (
            "The producer ran without idempotence: a batch that is sent again after a lost acknowledgement is "
            "written again, or behind its successor. Set enable.idempotence=true."
        )
