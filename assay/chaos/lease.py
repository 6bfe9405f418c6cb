"""One experiment at a time in a cluster: a Lease that its holder renews, and that runs out when the holder is dead.

Two faults at once explain nothing, and the second run's steady state is the first one's fault. A Lease is what
Kubernetes elects its own leaders with (coordination.k8s.io/v1). Its times come from the holder's clock, so nobody is
robbed of one that merely looks old: it must also stand still while it is watched (as client-go does it).
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

import urllib3
from kubernetes import client

from assay.errors import AssayError, UsageError
from assay.platform import reason

if TYPE_CHECKING:
    from types import TracebackType

NAME: Final = "experiment"
#: It is renewed so often, and runs out so long after the last time, in seconds.
RENEW_SECONDS: Final = 5.0
HELD_SECONDS: Final = 30
#: One that ran out is watched for so long before it is taken over.
WATCH_SECONDS: Final = 2 * RENEW_SECONDS
_ABSENT, _TAKEN = 404, 409


class Lease:
    """The cluster's one Lease, once it is acquired: renewed by a thread until `release`."""

    def __init__(self, api: Any, namespace: str, watch_seconds: float = WATCH_SECONDS) -> None:
        """Nothing is asked yet.

        Args:
            api: A `CoordinationV1Api`.
            namespace: The Lease's, which exists by the time it is acquired.
            watch_seconds: How long a Lease that seems to have run out is watched.
        """
        self.holder = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(3)}"
        self._api = api
        self._namespace = namespace
        self._watch_seconds = watch_seconds
        self._lock = threading.Lock()
        self._seconds = HELD_SECONDS
        self._lost: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_on, name="lease", daemon=True)

    def refuse_if_held(self) -> None:
        """Look, and touch nothing: also where the namespace is not there.

        Raises:
            UsageError: Somebody holds it.
            AssayError: It can't be asked for.
        """
        found = self._read()
        if found is not None:
            self._refuse_if_active(found)

    def acquire(self) -> Self:
        """Become the holder.

        Raises:
            UsageError: Somebody else is.
            AssayError: It can't be written.
        """
        found = self._read()
        if found is not None:
            self._refuse_if_active(found)
            self._refuse_if_alive(found)
        try:
            if found is None:
                metadata = client.V1ObjectMeta(name=NAME, namespace=self._namespace)
                self._api.create_namespaced_lease(self._namespace, client.V1Lease(metadata=metadata, spec=self._spec()))
            else:
                found.spec = self._spec()
                self._api.replace_namespaced_lease(NAME, self._namespace, found)  # refused if it changed meanwhile
        except (client.ApiException, urllib3.exceptions.HTTPError) as error:
            if getattr(error, "status", None) == _TAKEN:
                raise UsageError("Another experiment began on this cluster at this moment: wait for its end.") from None
            raise AssayError(f"The lease of this cluster's experiments can't be taken: {reason(error)}.") from None
        self._thread.start()
        return self

    def cover(self, seconds: float) -> None:
        """Let it run out no sooner than so many seconds after this process dies: a fault may last that long.

        Raises:
            AssayError: It is lost.
        """
        self._seconds = max(HELD_SECONDS, round(seconds))
        self._renew()
        self.check()

    def check(self) -> None:
        """Make sure that it is still ours.

        Raises:
            AssayError: It is not.
        """
        if self._lost:
            raise AssayError(f"The lease of this cluster's experiments is lost: {self._lost}.")

    def release(self) -> None:
        """Give it up, if it is ours; once more is fine."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        # What can't be deleted now runs out by itself.
        with suppress(AssayError, client.ApiException, urllib3.exceptions.HTTPError):
            found = self._read()
            if found is not None and found.spec.holder_identity == self.holder:
                preconditions = client.V1Preconditions(resource_version=found.metadata.resource_version)
                body = client.V1DeleteOptions(preconditions=preconditions)
                self._api.delete_namespaced_lease(NAME, self._namespace, body=body)

    def __enter__(self) -> Self:
        """Become the holder."""
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it up."""
        self.release()

    def _read(self) -> Any:
        try:
            return self._api.read_namespaced_lease(NAME, self._namespace)
        except client.ApiException as error:
            if error.status == _ABSENT:
                return None
            raise AssayError(f"The lease of this cluster's experiments can't be read: {reason(error)}.") from None
        except urllib3.exceptions.HTTPError as error:
            raise AssayError(f"The lease of this cluster's experiments can't be read: {reason(error)}.") from None

    def _refuse_if_active(self, found: Any) -> None:
        ends = runs_out(found)
        if ends is not None and ends > datetime.now(UTC):
            raise UsageError(
                f"Another experiment runs on this cluster ({found.spec.holder_identity}, since "
                f"{found.spec.acquire_time:%H:%M:%S} UTC): wait for its end; if it was killed, its place is free "
                f"at {ends:%H:%M:%S} UTC."
            )

    def _refuse_if_alive(self, found: Any) -> None:
        """It seems to have run out, by our clock: see that nobody renews it."""
        if runs_out(found) is None:
            return
        time.sleep(self._watch_seconds)
        now = self._read()
        if now is not None and now.spec.renew_time != found.spec.renew_time:
            raise UsageError(f"Another experiment runs on this cluster ({now.spec.holder_identity}): wait for its end.")

    def _spec(self) -> client.V1LeaseSpec:
        now = datetime.now(UTC)
        return client.V1LeaseSpec(
            holder_identity=self.holder, acquire_time=now, renew_time=now, lease_duration_seconds=self._seconds
        )

    def _renew_on(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            self._renew()

    def _renew(self) -> None:
        """Renew it; where that fails, it may do so again until it runs out."""
        with self._lock, suppress(AssayError, client.ApiException, urllib3.exceptions.HTTPError):
            found = self._read()
            if found is None or found.spec.holder_identity != self.holder:
                self._lost = "somebody removed it" if found is None else f"{found.spec.holder_identity} took it"
                return
            found.spec.renew_time = datetime.now(UTC)
            found.spec.lease_duration_seconds = self._seconds
            self._api.replace_namespaced_lease(NAME, self._namespace, found)


def runs_out(found: Any) -> datetime | None:
    """When a Lease runs out if nobody renews it, by its holder's clock; None: nobody holds it (pure)."""
    spec = found.spec
    if not spec.holder_identity or spec.renew_time is None:
        return None
    ends: datetime = spec.renew_time + timedelta(seconds=spec.lease_duration_seconds or 0)
    return ends
