"""The Kafka image's entry script refuses what it can't use, in one sentence, before it touches anything."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ENTRY = Path(__file__).resolve().parents[2] / "workloads" / "images" / "kafka" / "kafka-entry"
POD = {"PATH": "/usr/bin:/bin", "POD_NAME": "kafka-1", "NODE_IP": "192.0.2.1"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"POD_NAME": "kafka"}, "POD_NAME 'kafka' does not end in -<ordinal>; run this image in a StatefulSet"),
        ({"REPLICAS": "0"}, "REPLICAS '0' is not a whole number above 0"),
        ({"EXTERNAL_PORT_BASE": "http"}, "EXTERNAL_PORT_BASE 'http' is not a port number"),
        ({"QUORUM_FETCH_STEP_MS": "150ms"}, "QUORUM_FETCH_STEP_MS '150ms' is not a whole number of milliseconds"),
        ({"KAFKA_LISTENER_PROTOCOL": "TLS"}, "KAFKA_LISTENER_PROTOCOL 'TLS' is neither PLAINTEXT nor SSL"),
        ({"NODE_IP": ""}, "NODE_IP is not set; set it from the field status.hostIP"),
        ({}, "/etc/kafka/server.properties is missing; mount the ConfigMap with server.properties at /etc/kafka"),
    ],
)
def test_what_the_pod_gives_wrongly_is_said(given: dict[str, str], said: str) -> None:
    """What is wrong and what to do, and the exit code of wrong usage."""
    done = subprocess.run(["sh", ENTRY], env=POD | given, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (254, f"kafka-entry: {said}\n")
