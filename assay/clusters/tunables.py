"""The settings of the embedded cluster that decide how fast it notices and recovers, in one place.

Kubernetes' defaults need 40 to 50 s to notice a dead node; a test of recovery would mostly measure that. Those here are
what a production cluster that cares about recovery can run with too.
"""

from __future__ import annotations

NODE_STATUS_SECONDS = 5
"""How often a kubelet posts its node's status when it changed (kubelet `nodeStatusUpdateFrequency`, default 10)."""

NODE_LEASE_SECONDS = 20
"""Length of a node's lease; it is renewed every quarter of it (kubelet `nodeLeaseDurationSeconds`, default 40)."""

RESTART_SECONDS = 1
"""The longest pause before a container that ended is started again (kubelet `crashLoopBackOff`, default 300).

Kubernetes doubles it from 10 s with each end within 10 minutes: of many runs in a row each would find another, and
a broker that stays away for minutes. With it the first and the twentieth run are alike."""

NODE_MONITOR_SECONDS = 2
"""How often the controller manager looks at nodes (`--node-monitor-period`, default 5)."""

NODE_GRACE_SECONDS = 20
"""Silence after which a node is NotReady (`--node-monitor-grace-period`, default 50): four renewals of its lease.

Less would take a node for lost whose API server was merely busy."""

DEFAULT_TOLERATION_SECONDS = 300
"""How long pods stay bound to a NotReady node unless they say otherwise (API server, Kubernetes' default)."""

MAX_PODS = 110
"""Pods on a node (kubelet `maxPods`, Kubernetes' default)."""

BOOT_SECONDS = 120
"""How long the cluster may take to boot before `create` gives up. It is a limit, not an expectation: 12 to 30."""
