"""The logs of a component's pods, followed while they run: each line as it comes, and whatever was missed at the end.

A thread follows each instance of each container, over a connection of its own. Pods come and go meanwhile, containers
restart, nodes and the API server fail: a follower that ends too early starts again a little before where it was, and at
the end every log that still exists is read once more. So a line may be handed over more than once.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import urllib3
from kubernetes import client

from assay.errors import AssayError
from assay.platform import reason
from assay.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from assay.platform import Platform

#: Pods and restarted containers are looked for this often, in seconds.
LOOK_SECONDS: Final = 0.5
#: A follower whose log ended goes on after this, unless its container has ended: long enough for that to be known.
_AGAIN_SECONDS: Final = 1.2
#: Connecting, and silence after which a follower makes sure that its connection still lives, in seconds.
_CONNECT_SECONDS, _SILENCE_SECONDS = 3.0, 30.0
#: A follower that starts again reads this much more than it must have missed, in seconds.
_OVERLAP_SECONDS: Final = 5
#: How long the logs from before may take to be read at the start, and followers to end at the end, in seconds.
_BEFORE_SECONDS, _END_SECONDS = 15.0, 10.0
#: What a call of the API server fails with.
_FAULTS: Final = (client.ApiException, urllib3.exceptions.HTTPError, OSError)


@dataclass(frozen=True)
class Container:
    """One instance of a container of a pod; the id is the runtime's, and new after each restart."""

    pod: str
    name: str
    id: str


class _Follower(NamedTuple):
    """The thread that follows one instance, and what it sets once it has read what was there before."""

    thread: threading.Thread
    caught_up: threading.Event


class PodLogs:
    """A context manager that hands every line of the logs to `take`: the line, and when it came (monotonic, ns).

    The time is None for a line that was there before it could be waited for, or was read afterwards.

    Attributes:
        gaps: What could not be followed or read, in clauses.
    """

    def __init__(self, platform: Platform, component: str, take: Callable[[bytes, int | None], None]) -> None:
        """Nothing is read before the context is entered; `take` must be safe from any thread."""
        self.gaps: dict[str, None] = {}  # a set that keeps its order
        self._platform = platform
        self._component = component
        self._take = take
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._followers: dict[Container, _Follower] = {}
        self._running: frozenset[Container] = frozenset()
        self._streams: set[Any] = set()
        self._looked = False
        self._looking = Sampling("pod-logs", self._look, LOOK_SECONDS)

    def __enter__(self) -> Self:
        """Start following; returns when the logs from before were read, or that took too long."""
        with suppress(AssayError):  # the next look may find them
            self._look()
        deadline = time.monotonic() + _BEFORE_SECONDS
        for follower in self._followers.values():
            follower.caught_up.wait(max(0.0, deadline - time.monotonic()))
        self._looking.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop following, and read every log that there is once more."""
        self._looking.__exit__(kind, error, trace)
        self._stopping.set()
        with self._lock:
            for stream in self._streams:
                with suppress(Exception):  # one that has just ended has nothing to shut down
                    stream.shutdown()
        deadline = time.monotonic() + _END_SECONDS
        for container, follower in self._followers.items():
            follower.thread.join(max(0.0, deadline - time.monotonic()))
            if follower.thread.is_alive():
                self._miss(f"the follower of the log of {container.pod} did not end")
        if self._looking.missed:
            looks = self._looking.missed + self._looking.taken
            self._miss(f"the pods of {self._component} could not be listed at {self._looking.missed} of {looks} looks")
        self._sweep()

    # Looking for containers

    def _look(self) -> None:
        """Start a follower for each instance that has none yet.

        Raises:
            AssayError: The pods can't be listed.
        """
        try:
            pods = self._platform.pods(self._component, leaving=True)
        except _FAULTS as error:
            raise AssayError(f"The pods of {self._component} can't be listed: {reason(error)}.") from None
        self._running = frozenset(container for pod in pods for container in _instances(pod, running=True))
        # What is found first has logged for a while; what is found later has just come, so its first lines are news.
        late, self._looked = self._looked, True
        for pod in pods:
            for container in _instances(pod, running=False):
                if container not in self._followers:
                    caught_up = threading.Event()
                    arguments = (container, caught_up, late)
                    name = f"log-{container.pod}"
                    thread = threading.Thread(target=self._follow, args=arguments, name=name, daemon=True)
                    self._followers[container] = _Follower(thread, caught_up)
                    thread.start()

    # Following

    def _follow(self, container: Container, caught_up: threading.Event, late: bool) -> None:
        """Hand over lines as they come, until the instance has ended or nobody wants them any more."""
        api = self._platform.connection()
        alive: float | None = None  # when the log was last known to have been followed
        while not self._stopping.is_set():
            try:
                began = time.monotonic()
                news = late and alive is None
                if not news:
                    for line in self._read(api, container, since_seconds=_ago(alive)):
                        self._take(line, None)
                caught_up.set()
                behind = None if news else _ago(began)
                alive = began
                for line in self._read(api, container, since_seconds=behind, follow=True):
                    alive = time.monotonic()
                    self._take(line, time.monotonic_ns())
            except urllib3.exceptions.TimeoutError:
                pass  # silence: whether the connection lives is found out by the next one
            except _FAULTS as error:
                if not _gone(error) and not self._stopping.is_set():
                    self._miss(f"the log of {container.pod} could not be followed at times ({reason(error)})")
            except Exception as error:  # noqa: BLE001  # a follower never takes others with it
                self._miss(f"the follower of the log of {container.pod} failed ({type(error).__name__}: {error})")
            self._stopping.wait(_AGAIN_SECONDS)
            if container not in self._running:
                break
        caught_up.set()

    def _read(self, api: Any, container: Container, **how: Any) -> Iterator[bytes]:
        """Whole lines of a container's log; one that has no end yet is left out.

        Raises:
            ApiException, urllib3's errors: It can't be read, or not to its end.
        """
        stream = api.read_namespaced_pod_log(
            container.pod,
            self._platform.namespace,
            container=container.name,
            _preload_content=False,
            _request_timeout=(_CONNECT_SECONDS, _SILENCE_SECONDS),
            **how,
        )
        try:
            with self._lock:
                if self._stopping.is_set() and how.get("follow"):
                    return
                self._streams.add(stream)
            for line in stream:
                if line.endswith(b"\n"):
                    yield line
        finally:
            with self._lock:
                self._streams.discard(stream)
            stream.close()

    # At the end

    def _sweep(self) -> None:
        """Read the logs of all pods that are still there, of the instance before the present one too."""
        api = self._platform.connection()
        try:
            pods = self._platform.pods(self._component, leaving=True)
        except _FAULTS as error:
            self._miss(f"the logs of {self._component} could not be read at the end ({reason(error)})")
            return
        for pod in pods:
            for status in pod.status.container_statuses or ():
                container = Container(pod.metadata.name, status.name, "")
                for previous in (True, False) if status.restart_count else (False,):
                    try:
                        for line in self._read(api, container, previous=previous):
                            self._take(line, None)
                    except _FAULTS as error:
                        if not _gone(error) and not previous:
                            self._miss(f"the log of {container.pod} could not be read at the end ({reason(error)})")

    def _miss(self, clause: str) -> None:
        with self._lock:
            self.gaps[clause] = None


def _instances(pod: Any, *, running: bool) -> Iterator[Container]:
    """The instances of a pod's containers that have a log, or only those that run."""
    for status in pod.status.container_statuses or ():
        if status.container_id and (status.state.running is not None or not running):
            yield Container(pod.metadata.name, status.name, status.container_id)


def _ago(moment: float | None) -> int | None:
    """How many seconds to read back to a monotonic time, with an overlap; None: all."""
    return None if moment is None else int(time.monotonic() - moment) + _OVERLAP_SECONDS


def _gone(error: Exception) -> bool:
    """Whether the API server says that there is no such log (any more, or yet)."""
    return isinstance(error, client.ApiException) and error.status in (400, 404)
