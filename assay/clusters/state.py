"""The state folder of a cluster: where each thing of it lies, and the record that says what it is."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.clusters import processes
from assay.clusters.addresses import Addresses
from assay.clusters.cluster import ClusterError
from assay.clusters.journal import Journal
from assay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_ROOT = Path("/var/lib/assay/clusters")
DEFAULT_NAME = "assay"
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class Record:
    """What a cluster is, written before anything of it is made.

    Attributes:
        name: its name.
        kind: its provider.
        nodes: how many nodes it has.
        octet: the B of its 10.B.0.0/16; 0 for kinds that choose their own addresses.
        token: a random mark that all its processes carry.
        boot: the boot of the machine it was made in.
        complete: whether `create` got to its end.
        parts: the mark of what was prepared then; empty for kinds that need nothing prepared.
    """

    name: str
    kind: str
    nodes: int
    octet: int = 0
    token: str = ""
    boot: str = ""
    complete: bool = False
    parts: str = ""

    @property
    def addresses(self) -> Addresses:
        """Its addresses."""
        return Addresses(self.octet)

    @property
    def context(self) -> str:
        """The name of its context in its kubeconfig."""
        return f"assay-{self.name}"

    @property
    def cgroup_tree(self) -> str:
        """Its cgroup, from the hierarchies' roots."""
        return f"assay-{self.name}-{self.token[:8]}"


def new_record(name: str, kind: str, nodes: int, octet: int = 0) -> Record:
    """The record of a cluster that is about to be made on this machine now."""
    return Record(name, kind, nodes, octet, secrets.token_hex(16), processes.boot_id())


def root(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of all clusters: `$ASSAY_STATE`, by default /var/lib/assay/clusters."""
    return Path(environment.get("ASSAY_STATE") or DEFAULT_ROOT).absolute()


def checked_name(name: str) -> str:
    """The name, if a cluster, its nodes and its cgroups can be called so.

    Raises:
        UsageError: they can't.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"cluster name {name!r} won't do: it is at most 32 lower-case letters, digits and dashes, begins with a "
            "letter and doesn't end with a dash"
        )
    return name


def existing(folder: Path) -> tuple[Record, ...]:
    """The records of all clusters below this root."""
    found = []
    with suppress(FileNotFoundError):
        for one in sorted(folder.iterdir()):
            record = State(one).record()
            if record is not None:
                found.append(record)
    return tuple(found)


class State:
    """One cluster's state folder. Making the object touches nothing."""

    def __init__(self, folder: Path) -> None:
        """The cluster at this folder, whether it is there or not."""
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self.logs = folder / "logs"
        self.pki = folder / "pki"
        self.audit = folder / "audit"
        self.volumes = folder / "volumes"
        self.etcd = folder / "etcd"
        self.journal = Journal(folder / "journal.jsonl")

    def node(self, name: str) -> Path:
        """The folder of a node's own files."""
        return self.folder / "nodes" / name

    def record(self) -> Record | None:
        """What the cluster is; None if there is none."""
        try:
            return Record(**json.loads((self.folder / "cluster.json").read_text()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError) as error:
            raise ClusterError(f"{self.folder / 'cluster.json'} can't be understood: {error}") from error

    def save(self, record: Record) -> Record:
        """Write the record, all or nothing."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self.folder / "cluster.json.new"
        new.write_text(json.dumps(asdict(record), indent=1))
        new.rename(self.folder / "cluster.json")
        return record

    def completed(self, record: Record) -> Record:
        """Write down that `create` got to its end."""
        return self.save(replace(record, complete=True))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process makes or removes this cluster at a time; the lock goes with the process.

        Raises:
            UsageError: another process has it.
        """
        with lock(self.folder, wait=False):
            yield


@contextmanager
def lock(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold a folder, which is made if it isn't there; the lock ends with the block or with the process.

    Raises:
        UsageError: another process holds it and we don't wait.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            os.close(descriptor)
            raise UsageError(
                f"another assay is making or removing cluster {folder.name!r} right now; wait until it is done"
            ) from error
        with suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == folder.stat().st_ino:
                break
        os.close(descriptor)  # it was removed meanwhile
    try:
        yield
    finally:
        os.close(descriptor)
