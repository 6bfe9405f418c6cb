"""Secrets: unreadable at rest, never in an environment, a setting or a log.

At rest, a canary decides: a Secret and a ConfigMap are written, and etcd's own files are searched for the text of each.
The ConfigMap's must be found, or the search shows nothing; the Secret's must not be. Elsewhere the platform's own
credentials are looked for, in whatever form (`assay.secret_values`); the report names where one was found, and never
which text.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from kubernetes import client

from assay import pods
from assay.errors import AssayError
from assay.platform import reason
from assay.posture.authorities import cis, nsa
from assay.posture.probe import Attempt, Finding, Probe, Result, denied, held, unverifiable
from assay.secret_values import needles, values

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from assay.posture.scene import Scene

#: How long etcd may take to write a ConfigMap to where it can be read, in seconds.
_FLUSH_SECONDS: Final = 30.0
#: More than the kubelet lets a log grow before it begins a new file.
_LOG_BYTES: Final = 16 * 2**20
_FILES: Final = cis("5.4.1", "Prefer using Secrets as files over Secrets as environment variables")

AT_REST: Final = Probe(
    name="secrets/at-rest",
    tried="write a Secret, and look for its text in etcd's own files",
    authorities=(
        cis("1.2.27", "Ensure that the --encryption-provider-config argument is set as appropriate"),
        cis("1.2.28", "Ensure that encryption providers are appropriately configured"),
        nsa("Secrets"),
    ),
    remedy="Give the API server an --encryption-provider-config for Secrets, and write them all anew.",
)
NOT_ASKED: Final = Probe(
    name="secrets/not-in-env",
    tried="look for environment variables that are taken from a Secret, in every pod and pod template",
    authorities=(_FILES, nsa("Secrets")),
    remedy="Mount the Secret as a file instead.",
)
NOT_THERE: Final = Probe(
    name="secrets/not-in-processes",
    tried="look for the platform's credentials in the environment of every container's first process",
    authorities=(_FILES, nsa("Secrets")),
    remedy="Mount the Secret as a file instead, and rotate the credential that was found.",
)
NOT_SET: Final = Probe(
    name="secrets/not-in-settings",
    tried="look for the platform's credentials in every ConfigMap and pod",
    authorities=(nsa("Secrets"),),
    remedy="Move it into the Secret, and rotate the credential that was found.",
)
NOT_LOGGED: Final = Probe(
    name="secrets/not-in-logs",
    tried="look for the platform's credentials in the logs of every container",
    authorities=(nsa("Secrets"), nsa("Worker node and container logging")),
    remedy="Take it out of what the program logs, and rotate the credential that was found.",
)
PROBES: Final = (AT_REST, NOT_ASKED, NOT_THERE, NOT_SET, NOT_LOGGED)


def judge_canary(secret: bool, setting: bool) -> Finding:
    """What it shows whether the text of the Secret, and of the ConfigMap beside it, is found at rest."""
    forbidden = Attempt(Result.ALLOWED, "its text can be read") if secret else Attempt(Result.REFUSED)
    control = Attempt(Result.ALLOWED) if setting else Attempt(Result.REFUSED, "a ConfigMap's text is not found either")
    return denied(AT_REST, forbidden, control, "the text of a ConfigMap that is written beside it is found")


def judge_asked(specs: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Hold pod specs (plain data), by the name of what they are of, against the rule that no variable is a secret's."""
    wrong = []
    for name, spec in specs.items():
        for container in (*spec["containers"], *(spec.get("initContainers") or ())):
            wrong += [
                f"{name} takes {variable['name']} from a Secret"
                for variable in container.get("env") or ()
                if "secretKeyRef" in (variable.get("valueFrom") or {})
            ]
            wrong += [
                f"{name} takes its environment from a Secret"
                for source in container.get("envFrom") or ()
                if "secretRef" in source
            ]
    return held(NOT_ASKED, len(specs), "pods and templates take none", wrong)


def judge_found(
    probe: Probe, what: str, places: Mapping[str, bytes | AssayError], credentials: Collection[bytes] | AssayError
) -> Finding:
    """Look for credentials.

    Args:
        probe: The probe.
        what: What is looked through, in the plural.
        places: What is there, by where it is from; or why it could not be read.
        credentials: Their values, to be looked for in every form; or why they are not known.
    """
    if isinstance(credentials, AssayError):
        return unverifiable(probe, str(credentials), "Run it as somebody who may read the platform's Secrets.")
    if not credentials:
        return unverifiable(probe, "the namespace has no credentials to look for: provision it with `assay deploy`")
    looked_for = needles(credentials)
    read = {name: content for name, content in places.items() if isinstance(content, bytes)}
    wrong = [f"a credential is in {name}" for name, there in read.items() if any(one in there for one in looked_for)]
    unseen = [f"{name}: {why}" for name, why in places.items() if isinstance(why, AssayError)]
    return held(probe, len(read), f"{what} without a credential", wrong, unseen)


def look(scene: Scene) -> Iterator[Finding]:
    """Write the canary; search."""
    running = scene.core.list_namespaced_pod(scene.namespace).items
    plain = {pod.metadata.name: scene.plain(pod) for pod in running if pod.metadata.deletion_timestamp is None}
    yield judge_asked({**{name: pod["spec"] for name, pod in plain.items()}, **_templates(scene)})
    credentials = _credentials(scene)
    settings = {
        f"the ConfigMap {one.metadata.name}": "\n".join((one.data or {}).values()).encode()
        for one in scene.core.list_namespaced_config_map(scene.namespace).items
    }
    settings |= {f"the pod {name}": json.dumps(pod["spec"]).encode() for name, pod in plain.items()}
    yield judge_found(NOT_SET, "ConfigMaps and pods", settings, credentials)
    inside = [
        (name, container["name"])
        for name, pod in plain.items()
        for container in pod["spec"]["containers"]
        if pod["status"].get("phase") == "Running"
    ]
    environments = {f"{pod}/{container}": _environment(scene, pod, container) for pod, container in inside}
    yield judge_found(NOT_THERE, "processes", environments, credentials)
    logs = {
        f"{name}/{container['name']}": _log(scene, name, container["name"])
        for name, pod in plain.items()
        for container in pod["spec"]["containers"]
        if pod["status"].get("phase") != "Pending"
    }
    yield judge_found(NOT_LOGGED, "logs", logs, credentials)
    yield _canary(scene)


def _canary(scene: Scene) -> Finding:
    """Write a Secret and a ConfigMap, look for both in etcd's files, and remove them."""
    if scene.etcd is None:
        return unverifiable(
            AT_REST,
            "etcd can't be read from here: it is not of an embedded cluster on this machine",
            "Ask whoever runs the control plane whether Secrets are encrypted at rest, and with whose key.",
        )
    name = f"assay-posture-{secrets.token_hex(4)}"
    hidden, shown = secrets.token_hex(16), secrets.token_hex(16)
    labels = {"app.kubernetes.io/managed-by": "assay"}
    metadata = {"name": name, "labels": labels}
    try:
        scene.core.create_namespaced_secret(scene.namespace, {"metadata": metadata, "stringData": {"canary": hidden}})
        scene.core.create_namespaced_config_map(scene.namespace, {"metadata": metadata, "data": {"canary": shown}})
        deadline = time.monotonic() + _FLUSH_SECONDS
        while not (setting := on_disk(scene.etcd, shown)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return judge_canary(on_disk(scene.etcd, hidden), setting)
    finally:
        for remove in (scene.core.delete_namespaced_secret, scene.core.delete_namespaced_config_map):
            try:
                remove(name, scene.namespace)
            except client.ApiException as error:
                if error.status != 404:  # noqa: PLR2004  # it was never made
                    raise


def on_disk(folder: Path, text: str) -> bool:
    """Whether a text is in a file of a folder, in whatever form: etcd's files are no text."""
    looked_for = needles([text.encode()])
    contents = (one.read_bytes() for one in folder.rglob("*") if one.is_file())
    return any(needle in content for content in contents for needle in looked_for)


def _credentials(scene: Scene) -> tuple[bytes, ...] | AssayError:
    try:
        found = scene.core.list_namespaced_secret(scene.namespace).items
    except client.ApiException as error:
        return AssayError(f"the platform's Secrets can't be read, so they can't be looked for: {reason(error)}")
    return values(scene.plain(one) for one in found)


def _templates(scene: Scene) -> dict[str, Mapping[str, Any]]:
    """The pod specs of everything in the namespace that makes pods."""
    apps, batch = scene.platform.apps, scene.platform.batch
    found = [
        *apps.list_namespaced_deployment(scene.namespace).items,
        *apps.list_namespaced_stateful_set(scene.namespace).items,
        *apps.list_namespaced_daemon_set(scene.namespace).items,
    ]
    made = {one.metadata.name: one.spec.template for one in found}
    made |= {
        one.metadata.name: one.spec.job_template.spec.template
        for one in batch.list_namespaced_cron_job(scene.namespace).items
    }
    return {f"the template of {name}": scene.plain(template.spec) for name, template in made.items()}


def _environment(scene: Scene, pod: str, container: str) -> bytes | AssayError:
    try:
        done = pods.execute(scene.platform, pod, ["cat", "/proc/1/environ"], container=container)
    except AssayError as error:
        return error
    if done.exit_code:
        return AssayError(done.stderr.strip() or f"cat ended with {done.exit_code}")
    return done.stdout.encode() if "=" in done.stdout else AssayError("its environment was read as empty")


def _log(scene: Scene, pod: str, container: str) -> bytes | AssayError:
    try:
        answer = scene.core.read_namespaced_pod_log(
            pod, scene.namespace, container=container, limit_bytes=_LOG_BYTES, _preload_content=False
        )
        return bytes(answer.data)
    except client.ApiException as error:
        return AssayError(reason(error))
