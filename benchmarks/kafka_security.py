"""What TLS, rights and network policies cost: a producer's throughput with them, as a ratio to that without.

    python benchmarks/kafka_security.py KUBECONFIG CONTEXT [--messages 200000] [--rounds 5] [--warmup 2] [-e NAME=VALUE]

Deploys two platforms side by side into a cluster that has none, one in plain text, whose network policies are taken
away, and one with certificates, and removes both at the end. Each round sends the same messages, unpaced and with the
full ledger on, to one and then to the other, the order changing from round to round: what a busy machine takes from
one, it takes from both. They go to a topic that nobody consumes. The first rounds only warm up. Since both platforms
still get faster from round to round, the figure is the median of the rounds' own ratios. `-e` sets a variable of the
playbooks for both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kubernetes import client

from assay import credentials
from assay.deploy import deploy, teardown
from assay.kafka.producer import VerifiableProducer
from assay.platform import PARTITIONS, REJECTS, Platform
from assay.prices import PriceMessages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.kafka.identity import Identity

#: The two platforms: the variables in which they differ, by namespace.
PLATFORMS: Final[Mapping[str, dict[str, Any]]] = {
    "cost-plaintext": {"platform_kafka_security": "plaintext", "platform_kafka_external_port_base": 30190},
    "cost-mtls": {"platform_kafka_security": "mtls", "platform_kafka_external_port_base": 30290},
}
BATCH: Final = 1000
#: How long one round may take to be acknowledged, in seconds.
ROUND_SECONDS: Final = 120.0


def send(bootstrap: str, who: Identity | None, messages: int) -> float:
    """Send so many messages as fast as it goes; how many were acknowledged a second."""
    with tempfile.TemporaryDirectory() as folder:
        producer = VerifiableProducer(
            bootstrap,
            REJECTS,
            run_id="benchmark",
            producer="load-0",
            partitions=PARTITIONS,
            folder=Path(folder),
            overrides={} if who is None else who.client(),
        )
        producer.connect()
        batches = [PriceMessages(1, "load-0", datetime.now(UTC)).take(BATCH)] * max(1, messages // BATCH)
        began = time.perf_counter()
        for batch in batches:
            producer.send_batch(batch, time.monotonic_ns())
        counts = producer.close(ROUND_SECONDS)
        seconds = time.perf_counter() - began
    if counts.ok != counts.attempted:
        sys.exit(f"Only {counts.ok} of {counts.attempted} messages were acknowledged: nothing was measured.")
    return counts.ok / seconds


def measure(platforms: Mapping[str, Platform], messages: int, rounds: int, warmup: int) -> dict[str, list[float]]:
    """Messages a second, by platform and round, without the rounds that only warm up."""
    brokers = {name: one.bootstrap() for name, one in platforms.items()}
    who = {
        name: credentials.fetch(one, "admin") if credentials.wanted(one) else None for name, one in platforms.items()
    }
    found: dict[str, list[float]] = {name: [] for name in platforms}
    for number in range(warmup + rounds):
        for name in list(platforms) if number % 2 else reversed(list(platforms)):
            rate = send(brokers[name], who[name], messages)
            sys.stdout.write(f"round {number} {name}: {rate:,.0f}/s{' (warming up)' if number < warmup else ''}\n")
            sys.stdout.flush()
            if number >= warmup:
                found[name].append(rate)
    return found


def main() -> None:
    """Print a line a round, the medians, and the median of the rounds' ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kubeconfig", type=Path)
    parser.add_argument("context")
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("-e", "--extra", action="append", default=[], metavar="NAME=VALUE")
    asked = parser.parse_args()
    extra = dict(pair.split("=", 1) for pair in asked.extra)
    for name in [one for one in os.environ if one.startswith("ASSAY_KAFKA_")]:
        del os.environ[name]  # who we are differs from platform to platform
    platforms = {}
    try:
        for name, variables in PLATFORMS.items():
            own = {"platform_namespace": name, "platform_instance": name}
            deploy(asked.kubeconfig, asked.context, {**own, **variables, **extra})
            platforms[name] = Platform(asked.kubeconfig, asked.context, name)
            if variables["platform_kafka_security"] == "plaintext":
                policies = client.NetworkingV1Api(platforms[name].core.api_client)
                policies.delete_collection_namespaced_network_policy(name)
        plain, guarded = measure(platforms, asked.messages, asked.rounds, asked.warmup).values()
    finally:
        for name in PLATFORMS:
            teardown(asked.kubeconfig, asked.context, {"platform_namespace": name, "platform_instance": name})
            credentials.forget(asked.kubeconfig, name)
    ratios = sorted(with_it / without for with_it, without in zip(guarded, plain, strict=True))
    sys.stdout.write(
        f"plain text {statistics.median(plain):,.0f}/s, certificates {statistics.median(guarded):,.0f}/s; "
        f"by round x{statistics.median(ratios):.2f} (x{ratios[0]:.2f} to x{ratios[-1]:.2f})\n"
    )


if __name__ == "__main__":
    main()
