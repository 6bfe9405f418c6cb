"""The manifest: what a run was, in one JSON document beside its ledgers.

It holds the plan, the objectives, what was observed of the brokers and the group around the load, and the hash of
every file of evidence. With the ledgers it is all that a verdict is computed from, so that a verdict can be recomputed
offline.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assay.errors import AssayError
from assay.ledger import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

MANIFEST: Final = "manifest.json"
#: The folder, in a run's own, of the experiments that belong to it: each a run of its own, with its own manifest.
EXPERIMENTS: Final = "experiments"
#: Files and folders at the top of a run's folder that are written from the evidence, so are not part of it.
DERIVED: Final = frozenset(
    {MANIFEST, "manifest.draft", "verdict.json", "verdict.json.draft", "report.html", "junit.xml", "findings"}
)


#: The platform's stated objectives of recovery, in seconds by class of fault (docs/recovery.md).
RECOVERY_SECONDS: Final[Mapping[str, float]] = {
    "pod crash": 30.0,
    "broker failure": 60.0,
    "network partition": 60.0,
    "node loss": 60.0,
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Objectives(_Part):
    """What the run has to reach; the platform's stated floors by default (docs/platform.md).

    Attributes:
        throughput_per_second: Acknowledged messages a second over the whole load.
        success_ratio: Acknowledged sends, of all attempted.
        final_lag_messages: The most messages that may be left unconsumed after the drain, over all partitions.
        peak_lag_messages: The most that may ever wait while a paced load runs, over all partitions.
        latency_p99_ms: From the intended send to the acknowledgement; None: measured, not judged.
        etl_records_per_second: The ETL's produce stage.
        replicas: Consumers that are ready and hold a partition.
        sink_repeats: Rows of the sink that may repeat an offset; None: any number, for delivery at least once.
        recovery_seconds: How long recovery may take, by class of fault, or by one fault's own name or kind; what is not
            named is not judged.
    """

    throughput_per_second: float = 7000.0
    success_ratio: float = 0.999
    final_lag_messages: int = 4
    peak_lag_messages: int = 50_000
    latency_p99_ms: float | None = None
    etl_records_per_second: float = 7153.0
    replicas: int = 3
    sink_repeats: int | None = 0
    recovery_seconds: dict[str, float] = Field(default_factory=lambda: dict(RECOVERY_SECONDS))

    def recovery_of(self, fault: str, kind: str) -> float | None:
        """The objective for a fault by its name, or else by its kind; None: none is set."""
        return self.recovery_seconds.get(fault, self.recovery_seconds.get(kind))

    def __iter__(self) -> Generator[tuple[str, Any], None, None]:
        """Names and plain values, as a table shows them: each class of fault is one of its own."""
        for name, value in super().__iter__():
            if name == "recovery_seconds":
                yield from ((f"recovery_seconds {fault}", seconds) for fault, seconds in value.items())
            else:
                yield name, value


class Plan(_Part):
    """What was asked for.

    Attributes:
        messages: How many, exactly.
        rate_per_second: Messages a second; 0: as fast as it goes.
        seed: Of the made-up prices.
        topic: Where to send.
        group: Who consumes it; empty: nobody, so that there is no lag, no drain and no sink.
        partitions: How many the topic has.
        producer_settings: Settings of librdkafka's that win over the safe ones.
        parts: What belongs to the run beside the load; what does not is not asked for.
        left_out: What usually belongs to it and was left out on request, which the verdict says.
    """

    messages: int
    rate_per_second: float
    seed: int
    topic: str
    group: str
    partitions: int
    producer_settings: dict[str, str] = Field(default_factory=dict)
    parts: tuple[Literal["preflight", "etl", "posture"], ...] = ("preflight", "etl")
    left_out: tuple[Literal["posture", "faults"], ...] = ()

    def __iter__(self) -> Generator[tuple[str, Any], None, None]:
        """Names and plain values, as a table shows them: each of the producer's settings is one of its own."""
        for name, value in super().__iter__():
            if name == "producer_settings":
                yield from ((f"producer {setting}", given) for setting, given in value.items())
            elif name == "parts":
                yield name, ", ".join((*value, "load"))
            elif name == "left_out":
                yield from ((name, ", ".join(value)) for _ in range(bool(value)))
            else:
                yield name, value


class Partition(_Part):
    """Offsets of one partition, all read from the brokers.

    Attributes:
        log_start: The log's first offset when the load began.
        start: The end offset when the load began: this run's records start here.
        end: The end offset when the drain began; before that, when the load ended or, while it runs, began.
        log_start_after: The log's first offset after the drain.
        committed: The group's committed offset after the drain; None where it never committed.
        end_asked: Whether the brokers were asked for `end` after the load; else it proves nothing.
        committed_asked: Whether they were asked for `committed`.
    """

    partition: int
    log_start: int
    start: int
    end: int
    log_start_after: int
    committed: int | None
    end_asked: bool = True
    committed_asked: bool = True


class Replica(_Part):
    """A consumer of the group after the load: its pod, its node, and the partitions the group gave it."""

    pod: str
    node: str
    ready: bool
    partitions: tuple[int, ...]


class EtlRun(_Part):
    """What one ETL run said of itself (its summary line), to be held against what is in the topics.

    `attempts` is the number of pods that its Job needed: after a retry, a row may stand in the topic more than once.
    """

    run_id: str
    extracted: int
    accepted: int
    produced: int
    rejected: int
    unaccounted: int
    produce_records_per_second: float
    exit_code: int
    attempts: int = 1
    feed_rows: int | None = None
    real_rows: int | None = None


class Check(_Part):
    """One pre-flight check's result, in plain words."""

    name: str
    verdict: Literal["pass", "fail", "unknown"]
    detail: str


class Feasibility(_Part):
    """What the pre-flight said of one kind of fault and the objective of recovery that it falls under.

    Attributes:
        fault: The kind of fault, as `assay.recovery.floors` names it.
        objective: The objective's name; empty where there is none.
        objective_seconds: The objective.
        least_seconds: No recovery is faster with the settings found; None: unknown.
        most_seconds: How long the settings may take; None: unknown.
        verdict: `possible`, `not guaranteed`, `impossible`, `unknown`, `not in use` or `no objective`.
        detail: The same in a sentence, with the settings to change.
    """

    fault: str
    objective: str
    objective_seconds: float | None
    least_seconds: float | None
    most_seconds: float | None
    verdict: str
    detail: str


class File(_Part):
    """One file of evidence."""

    bytes: int
    sha256: str


class Experiment(_Part):
    """An experiment that belongs to a run: the seal of its own evidence (empty: it has none), and what was amiss."""

    seal: str = ""
    amiss: str = ""


class Manifest(_Part):
    """A run, without its ledgers.

    Attributes:
        versions: Of libraries, Python, the kernel, Kafka, Kubernetes and so on.
        settings: The few that decide loss and recovery, read live; all of them are in `settings.json`.
        feasibility: What the pre-flight said of the objectives of recovery.
        ended_after: After how many sends the load was ended on purpose, by its own count; None: it was not.
        dead_letters_from: By partition of the topic of dead letters, its end offset when the load began.
        other_runs: Runs whose records may stand in the topic.
        experiments: The experiments that belong to the run, by name.
        unobserved: What the recorders could not see, in clauses.
        stopped: Why the run ended before its end.
        phases: How long each took, in seconds.
        files: Every file of evidence, by name.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    created_at: str
    versions: dict[str, str] = Field(default_factory=dict)
    cluster: dict[str, str] = Field(default_factory=dict)
    settings: dict[str, str] = Field(default_factory=dict)
    plan: Plan
    objectives: Objectives = Objectives()
    partitions: tuple[Partition, ...] = ()
    ended_after: int | None = None
    dead_letters_from: dict[int, int] = Field(default_factory=dict)
    replicas: tuple[Replica, ...] = ()
    preflight: tuple[Check, ...] = ()
    feasibility: tuple[Feasibility, ...] = ()
    etl: EtlRun | None = None
    other_runs: tuple[str, ...] = ()
    drained: bool = False
    experiments: dict[str, Experiment] = Field(default_factory=dict)
    unobserved: tuple[str, ...] = ()
    stopped: str | None = None
    phases: dict[str, float] = Field(default_factory=dict)
    peak_memory_bytes: int | None = None
    files: dict[str, File] = Field(default_factory=dict)
    seal: str = ""

    def write(self, folder: Path) -> None:
        """Write the manifest into `folder`, whole or not at all."""
        target = folder / MANIFEST
        draft = target.with_suffix(".draft")
        draft.write_text(self.model_dump_json(indent=2) + "\n")
        draft.replace(target)


def seal_of(manifest: Manifest) -> str:
    """SHA-256 (hexadecimal) over everything that a manifest says but this: noted elsewhere, it vouches for the run.

    Fields that were never set do not count: a manifest of an earlier release does not say what that did not know.
    """
    said = manifest.model_dump(mode="json", exclude={"seal"}, exclude_unset=True)
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digest(path: Path) -> File:
    """Size and SHA-256 of a file."""
    with path.open("rb") as stream:
        return File(bytes=path.stat().st_size, sha256=hashlib.file_digest(stream, "sha256").hexdigest())


def digests(folder: Path) -> dict[str, File]:
    """The digests of all evidence in a run's folder, by file name, but of its experiments, which have their own.

    What is derived from evidence is none.
    """
    return {
        str(path.relative_to(folder)): digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in DERIVED | {EXPERIMENTS}
    }


def read(folder: Path) -> Manifest:
    """Read a run's manifest.

    Raises:
        AssayError: It is missing, damaged, or of a schema version that this release does not know.
    """
    path = folder / MANIFEST
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise AssayError(f"There is no {MANIFEST} in {folder}: that is not a run's evidence folder.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise AssayError(f"{path} can't be read ({error}).") from None
    try:
        version = _Version.model_validate_json(text).schema_version
        if version != SCHEMA_VERSION:
            raise AssayError(
                f"{path} has schema version {version}, and this release reads version {SCHEMA_VERSION}: "
                "judge it with the release that recorded it."
            )
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise AssayError(f"{path} is damaged: {where}: {first['msg']}.") from None


class _Version(BaseModel):
    schema_version: int
