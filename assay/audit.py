"""Who touched what: an API server's audit log, read, cut to a run's time, and summed up into a table.

The log is Kubernetes' own (audit.k8s.io/v1, one event a line, rotated files beside it, as `--audit-log-path` makes it).
Of an event only what is named here is kept, so that the evidence holds no secret whatever the cluster's policy writes:
neither bodies nor messages, and no URL of a request for a resource, since an exec's command stands in it.
"""

from __future__ import annotations

import glob
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from os import fstat
from typing import TYPE_CHECKING, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from assay.errors import AssayError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

#: The files of evidence: the run's events, and the table.
EVENTS: Final = "audit.jsonl"
FILE: Final = "audit.json"
#: Verbs that change nothing. A `get` of these subresources is the beginning of a conversation with a process.
READS: Final = frozenset({"get", "list", "watch", "head", "options"})
CONVERSATIONS: Final = frozenset({"exec", "attach", "portforward", "proxy"})
ALLOW, FORBID, UNAUTHENTICATED, UNKNOWN = "allow", "forbid", "unauthenticated", "unknown"
_STARTED: Final = "ResponseStarted"
_DECISION, _REASON = "authorization.k8s.io/decision", "authorization.k8s.io/reason"
_UNAUTHORIZED, _FAILED = 401, 400
#: A log that is rotated while its files are opened is opened again, so often, after so many seconds.
_ATTEMPTS, _PAUSE_SECONDS = 10, 0.1
#: A file's time of change is of the kernel's last tick (Linux: 1 to 10 ms ago), or as coarse as its file system.
_COARSE_SECONDS = 2.0


class _Kept(BaseModel):
    """A part of an event; what is not named is dropped."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)


class User(_Kept):
    """Who asked; the name is empty where nobody could be made out."""

    username: str = ""
    groups: tuple[str, ...] = ()


class Object(_Kept):
    """What was asked for; without a name it is all of the kind, without a namespace the whole cluster's."""

    api_group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class Status(_Kept):
    """The HTTP status of the answer; 0: there was none."""

    code: int = 0


class Event(_Kept):
    """One request, at one stage of its handling, as far as it is kept.

    Attributes:
        audit_id: The request's; whoever asks may choose it.
        stage: `ResponseComplete`, or of one that takes long also `ResponseStarted`; `Panic`.
        verb: As in RBAC, or the HTTP method in small letters where no resource was asked for.
        user: Who asked, as authenticated.
        impersonated_user: As whom, if as somebody else.
        source_ips: The last is the connection's; others before it are what the request says of itself.
        user_agent: What the client says that it is.
        object_ref: What was asked for; None: a path that is no resource.
        request_uri: That path, without its query; empty where a resource was asked for.
        received: When the request was received.
        annotations: The authorizer's decision and its reason.
    """

    kind: str = "Event"
    api_version: str = "audit.k8s.io/v1"
    level: str
    audit_id: str = Field(alias="auditID")
    stage: str
    verb: str
    user: User = User()
    impersonated_user: User | None = None
    source_ips: tuple[str, ...] = Field(default=(), alias="sourceIPs")
    user_agent: str = ""
    object_ref: Object | None = None
    request_uri: str = Field(default="", alias="requestURI")
    response_status: Status = Status()
    received: AwareDatetime = Field(alias="requestReceivedTimestamp")
    annotations: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _cut(cls, document: Any) -> Any:
        """Leave out of URL and annotations what can hold anything."""
        if not isinstance(document, dict):
            return document
        path = "" if document.get("objectRef") else str(document.get("requestURI", "")).partition("?")[0]
        given = document.get("annotations") or {}
        return {
            **document,
            "requestURI": path,
            "annotations": {n: given[n] for n in (_DECISION, _REASON) if n in given},
        }

    @property
    def actor(self) -> str:
        """Whose rights counted: the impersonated user's, or else the user's own."""
        return (self.impersonated_user or self.user).username

    @property
    def source(self) -> str:
        """The address that the connection came from; empty if unknown."""
        return self.source_ips[-1] if self.source_ips else ""

    @property
    def resource(self) -> str:
        """The resource with its subresource, as RBAC names it (`pods/exec`); empty for a path that is none."""
        if self.object_ref is None:
            return ""
        return "/".join(filter(None, (self.object_ref.resource, self.object_ref.subresource)))

    @property
    def decision(self) -> str:
        """The authorizer's: `allow`, `forbid`; `unauthenticated`: it was not asked; `unknown`: the log does not say."""
        unsaid = UNAUTHENTICATED if self.response_status.code == _UNAUTHORIZED else UNKNOWN
        return self.annotations.get(_DECISION, unsaid)

    @property
    def reason(self) -> str:
        """Why, in the authorizer's words: which binding of which role to whom; empty if it did not say."""
        return self.annotations.get(_REASON, "")


class Touch(BaseModel):
    """Requests alike: who did what, how often, and when.

    Attributes:
        user: Who asked, as authenticated; empty: nobody could be made out.
        impersonated: As whom; empty: as themselves.
        source: From which address.
        verb: What was done.
        group: The resource's API group; empty: the core group.
        resource: To what, with the subresource; empty: `name` is a path that is no resource.
        namespace: Where; empty: in the whole cluster.
        name: To which; empty: to all of the kind.
        decision: What the authorizer said; see `Event.decision`.
        count: How many requests.
        failed: How many of them were answered with a HTTP status of 400 or more, whatever the authorizer said.
        first: When the first was received.
        last: When the last was.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    user: str
    impersonated: str
    source: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    decision: str
    count: int
    failed: int
    first: AwareDatetime
    last: AwareDatetime

    @property
    def changes(self) -> bool:
        """Whether such a request can change something, or talk to a process."""
        return self.verb not in READS or self.resource.partition("/")[2] in CONVERSATIONS


class Audit(BaseModel):
    """What a run's evidence says of who touched what.

    Attributes:
        since: From when on: the run's beginning.
        until: Until when: its read-back.
        unavailable: Why nothing is known, in a sentence; empty: the log was read. Then there are no touches, which says
            nothing.
        begins: When the log's first event is from; None: it has none.
        unreadable: Lines of the log that are no events.
        touched: The table.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    since: AwareDatetime
    until: AwareDatetime
    unavailable: str = ""
    begins: AwareDatetime | None = None
    unreadable: int = 0
    touched: tuple[Touch, ...] = ()

    @property
    def requests(self) -> int:
        """How many requests the table is made of."""
        return sum(one.count for one in self.touched)

    @property
    def gaps(self) -> tuple[str, ...]:
        """What may be missing of a log that was read, in clauses."""
        found = []
        if self.begins is None:
            found.append("the log has no event at all")
        elif self.begins > self.since:
            found.append(f"the log begins only at {self.begins:%Y-%m-%d %H:%M:%S} UTC: older files of it are gone")
        if self.unreadable:
            found.append(f"{self.unreadable} of its lines can't be read")
        return tuple(found)


@dataclass(frozen=True)
class Log:
    """What was read of a log: the events asked for, in its order; when it begins; how many lines are no events."""

    events: tuple[Event, ...]
    begins: datetime | None
    unreadable: int


def read_events(path: Path, since: datetime | None = None, until: datetime | None = None) -> tuple[Event, ...]:
    """The events of requests that were received in [since, until]; arguments and errors as of `read_log`."""
    return read_log(path, since, until).events


def read_log(path: Path, since: datetime | None = None, until: datetime | None = None) -> Log:
    """Read a log, the files that were rotated away from it included, also while it is written.

    Args:
        path: The file that is written into; rotated ones lie beside it as `<stem>-<time>.<suffix>` (lumberjack's way).
        since: Requests received earlier are left out, and files that were last written well before it are not read
            through.
        until: Requests received later are left out.

    Raises:
        AssayError: It can't be read.
    """
    events: list[Event] = []
    begins, unreadable = None, 0
    try:
        with ExitStack() as stack:
            for stream in _opened(path, stack):
                passed = since is not None and _changed(stream) < since.timestamp()
                if passed and begins is not None:
                    continue
                for event in parse(stream):
                    if event is None:
                        unreadable += 1
                        continue
                    begins = event.received if begins is None else begins
                    if passed:
                        break
                    if (since is None or event.received >= since) and (until is None or event.received <= until):
                        events.append(event)
    except OSError as error:
        raise AssayError(f"The audit log {path} can't be read ({error.strerror}).") from None
    return Log(tuple(events), begins, unreadable)


def parse(lines: Iterable[bytes]) -> Iterator[Event | None]:
    """The event of each line; None for a line that is none. A last line that is still being written is no line yet."""
    for line in lines:
        try:
            yield Event.model_validate_json(line)
        except ValidationError:
            if line.endswith(b"\n"):
                yield None


def touched(events: Iterable[Event]) -> tuple[Touch, ...]:
    """Sum events up: requests alike in everything but their time, in the order of the columns (pure).

    A request that takes long has two events and counts once. Its end is known by all that it has in common with its
    beginning, not by the id alone, which whoever asks may choose: nobody hides a request behind the id of another one.
    """
    events = tuple(events)
    ended = Counter(_request(event) for event in events if event.stage != _STARTED)
    table: dict[tuple[str, ...], list[Event]] = {}
    for event in events:
        if event.stage == _STARTED and ended[_request(event)]:
            ended[_request(event)] -= 1
        else:
            table.setdefault(_columns(event), []).append(event)
    return tuple(
        Touch(
            **dict(zip(_COLUMNS, columns, strict=True)),
            count=len(alike),
            failed=sum(one.response_status.code >= _FAILED for one in alike),
            first=min(one.received for one in alike),
            last=max(one.received for one in alike),
        )
        for columns, alike in sorted(table.items())
    )


def record(log: Path | None, folder: Path, since: datetime) -> Audit:
    """Write into a run's folder who touched what from `since` until now: the events, and the table of them.

    Where there is no log, or it can't be read, the table says why, and there are no events.

    Args:
        log: The cluster's audit log; None: it gives none.
        folder: The run's.
        since: When the run began.
    """
    until = datetime.now(UTC)
    (folder / EVENTS).unlink(missing_ok=True)
    found = Audit(since=since, until=until, unavailable="The cluster gives no audit log that can be read from here.")
    if log is not None:
        try:
            read = read_log(log, since, until)
        except AssayError as error:
            found = found.model_copy(update={"unavailable": str(error)})
        else:
            with (folder / EVENTS).open("w", encoding="utf-8") as stream:
                stream.writelines(
                    event.model_dump_json(by_alias=True, exclude_none=True) + "\n" for event in read.events
                )
            found = Audit(
                since=since,
                until=until,
                begins=read.begins,
                unreadable=read.unreadable,
                touched=touched(read.events),
            )
    (folder / FILE).write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return found


def read(folder: Path) -> Audit:
    """Who touched what, by a run's folder.

    Raises:
        AssayError: The file is damaged, or not there.
    """
    try:
        return Audit.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        raise AssayError(f"{folder / FILE} is no table of who touched what: the evidence is damaged.") from None


_COLUMNS: Final = ("user", "impersonated", "source", "verb", "group", "resource", "namespace", "name", "decision")


def _columns(event: Event) -> tuple[str, ...]:
    """What makes requests alike, in the order of `_COLUMNS`."""
    asked = event.object_ref or Object(name=event.request_uri)
    return (
        event.user.username,
        event.impersonated_user.username if event.impersonated_user else "",
        event.source,
        event.verb,
        asked.api_group,
        event.resource,
        asked.namespace,
        asked.name,
        event.decision,
    )


def _request(event: Event) -> tuple[Any, ...]:
    """What the events of one request have in common."""
    return event.audit_id, event.received, _columns(event)


def _changed(stream: BinaryIO) -> float:
    """When the file was last written into, at the latest, in seconds since the epoch."""
    return fstat(stream.fileno()).st_mtime + _COARSE_SECONDS


def _opened(path: Path, stack: ExitStack) -> list[BinaryIO]:
    """The log's files, the oldest first, opened while none was rotated away: a file that is open may be renamed."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        names = _files(path)
        with ExitStack() as trial:
            try:
                streams: list[BinaryIO] = [trial.enter_context(name.open("rb")) for name in names]
            except FileNotFoundError:
                continue
            if _files(path) == names:
                stack.push(trial.pop_all())
                return streams
    raise AssayError(f"The audit log {path} is not there.")


def _files(path: Path) -> list[Path]:
    """The files of a log: those rotated away, by the times in their names, and the one that is written into."""
    return [*sorted(path.parent.glob(f"{glob.escape(path.stem)}-*{path.suffix}")), path]
