"""What is applied to a cluster: every object of the platform, valid, labelled, hardened, rendered by Ansible itself."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import rendered
import yaml
from kubernetes.utils.quantity import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
KUBERNETES = "1.36"
LABELS = {
    "app.kubernetes.io/managed-by": "assay",
    "app.kubernetes.io/part-of": "commodity-platform",
    "app.kubernetes.io/instance": "production",
}
Document = dict[str, Any]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    """Every document, rendered with the sample inventory by playbooks/render.yml."""
    given = {"platform_certificates_external_addresses": ["10.1.0.2"]}
    return rendered.documents(tmp_path_factory.mktemp("rendered"), given)


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    """The same for a platform whose Kafka is in plain text."""
    return rendered.documents(tmp_path_factory.mktemp("unguarded"), {"platform_kafka_security": "plaintext"})


def name(document: Document) -> str:
    """`Kind name`."""
    return f"{document['kind']} {document['metadata']['name']}"


def named(documents: list[Document], wanted: str) -> Document:
    """The one document of this `Kind name`."""
    (found,) = (document for document in documents if name(document) == wanted)
    return found


def pods(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    """Every pod template, by the name of what makes the pods."""
    for document in documents:
        match document["kind"]:
            case "Deployment" | "StatefulSet":
                yield name(document), document["spec"]["template"]
            case "CronJob":
                yield name(document), document["spec"]["jobTemplate"]["spec"]["template"]
            case _:
                pass


def test_every_document_is_valid_for_kubernetes(documents: list[Document]) -> None:
    """Against the API's own schema, unknown fields refused."""
    for document in documents:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_platform_is_complete(documents: list[Document]) -> None:
    """Each kind as often as it should be, 30 and more in all, and no name twice."""
    assert max(Counter(map(name, documents)).values()) == 1
    assert Counter(document["kind"] for document in documents) == {
        "Namespace": 1,
        "ResourceQuota": 1,
        "LimitRange": 1,
        "PriorityClass": 2,
        "ServiceAccount": 6,
        "Role": 1,
        "RoleBinding": 1,
        "Secret": 7,
        "ConfigMap": 5,
        "NetworkPolicy": 11,
        "Service": 8,
        "PersistentVolumeClaim": 1,
        "StatefulSet": 2,
        "Deployment": 3,
        "CronJob": 1,
        "PodDisruptionBudget": 2,
    }
    assert len(documents) >= 30


def test_everything_bears_the_labels_that_teardown_finds_it_by(documents: list[Document]) -> None:
    """Objects, the pods they make and the volumes they claim."""
    labelled = [(name(document), document["metadata"]) for document in documents]
    labelled += [(f"a pod of {made_by}", pod["metadata"]) for made_by, pod in pods(documents)]
    for document in documents:
        for claim in document.get("spec", {}).get("volumeClaimTemplates", ()):
            labelled.append((f"a claim of {name(document)}", claim["metadata"]))
    for what, metadata in labelled:
        labels = metadata["labels"]
        assert labels.items() >= LABELS.items(), what
        assert {"app.kubernetes.io/name", "app.kubernetes.io/component"} <= labels.keys(), what


def test_pods_comply_with_restricted(documents: list[Document]) -> None:
    """Pod Security `restricted`, and stricter: a fixed user, a read-only root file system, no token, no host path."""
    for made_by, pod in pods(documents):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, made_by
        assert spec["securityContext"]["runAsNonRoot"] is True, made_by
        assert spec["securityContext"]["runAsUser"] == 10001, made_by
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, made_by
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), made_by
        for volume in spec["volumes"]:
            assert volume.keys() - {"name"} <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}, made_by
        for container in [*spec["containers"], *spec.get("initContainers", ())]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, made_by


def test_every_container_has_requests_and_limits(documents: list[Document], unguarded: list[Document]) -> None:
    """Of both, and no request beyond its limit; the quota refuses pods without, and nothing else sets them here."""
    seen = 0
    for made_by, pod in [*pods(documents), *pods(unguarded)]:
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]:
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            assert requests.keys() == limits.keys() == {"cpu", "memory"}, made_by
            for resource, asked in requests.items():
                assert 0 < parse_quantity(asked) <= parse_quantity(limits[resource]), (made_by, resource)
            seen += 1
    assert seen == 12


def test_the_namespace_enforces_restricted_and_the_quota(documents: list[Document]) -> None:
    """Enforced, audited and warned of; 200 CPUs, 400Gi, 200 pods."""
    labels = named(documents, "Namespace production")["metadata"]["labels"]
    assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {"restricted"}
    hard = named(documents, "ResourceQuota production-quota")["spec"]["hard"]
    assert (hard["requests.cpu"], hard["requests.memory"], hard["pods"]) == ("200", "400Gi", "200")


def test_the_namespace_and_every_pod_consent_to_be_broken(documents: list[Document]) -> None:
    """By a label that the inventory sets: experiments touch nothing that does not bear it."""
    consent = {"assay.dev/chaos": "allowed"}
    assert named(documents, "Namespace production")["metadata"]["labels"].items() >= consent.items()
    lacking = [made_by for made_by, pod in pods(documents) if not pod["metadata"]["labels"].items() >= consent.items()]
    assert lacking == []
    bearing = [one for one in documents if consent.keys() & one["metadata"]["labels"].keys()]
    assert [name(one) for one in bearing] == ["Namespace production"]


def test_the_pipeline_runs_as_required(documents: list[Document]) -> None:
    """At two in the morning UTC, never two at once, two retries, one hour."""
    spec = named(documents, "CronJob commodity-price-pipeline")["spec"]
    job = spec["jobTemplate"]["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("0 2 * * *", "UTC", "Forbid")
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (2, 3600)


@pytest.mark.parametrize("workload", ["StatefulSet kafka", "Deployment commodity-analytics-consumer"])
def test_replicas_never_share_a_node(documents: list[Document], workload: str) -> None:
    """Three of each, one a node, and a budget that lets one of them go at a time."""
    found = named(documents, workload)
    assert found["spec"]["replicas"] == 3
    (rule,) = found["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert rule["labelSelector"] == found["spec"]["selector"]
    budget = named(documents, f"PodDisruptionBudget {workload.split()[1]}")["spec"]
    assert budget["selector"] == found["spec"]["selector"]
    assert budget.get("maxUnavailable") == 1 or budget.get("minAvailable") == 2


def test_secrets_reach_pods_as_files_only(documents: list[Document]) -> None:
    """No environment variable comes from a Secret, and a pod mounts the keys that it names, no others."""
    for made_by, pod in pods(documents):
        for container in pod["spec"]["containers"]:
            for variable in container.get("env", ()):
                assert "secretKeyRef" not in variable.get("valueFrom", {}), made_by
            assert not any("secretRef" in source for source in container.get("envFrom", ())), made_by
        for volume in pod["spec"]["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["items"], made_by


def test_no_secret_stands_outside_the_secret(documents: list[Document]) -> None:
    """None of its values occurs in any other document."""
    values = [
        text
        for encoded in named(documents, "Secret production-credentials")["data"].values()
        for text in (encoded, base64.b64decode(encoded).decode())
    ]
    others = yaml.safe_dump([document for document in documents if document["kind"] != "Secret"])
    assert not [value for value in values if value in others]


def test_both_directions_are_denied_unless_a_policy_allows(documents: list[Document]) -> None:
    """And no policy allows every peer or every port."""
    deny = named(documents, "NetworkPolicy default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for document in documents:
        if document["kind"] != "NetworkPolicy":
            continue
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in document["spec"].get(direction, ()):
                assert rule[peers], name(document)
                assert rule["ports"], name(document)


def test_nothing_acknowledged_hangs_on_one_broker(documents: list[Document]) -> None:
    """Brokers and every declared topic: three replicas, two in sync, no unclean election, no topic by accident."""
    settings = named(documents, "ConfigMap kafka-config")["data"]["server.properties"].splitlines()
    assert {
        "auto.create.topics.enable=false",
        "unclean.leader.election.enable=false",
        "min.insync.replicas=2",
        "offsets.topic.replication.factor=3",
        "broker.session.timeout.ms=2000",
    } <= set(settings)
    declared = json.loads(named(documents, "ConfigMap kafka-topics")["data"]["topics.json"])["topics"]
    assert {topic["name"] for topic in declared} == {
        "commodity-prices",
        "commodity-prices-dlq",
        "commodity-price-rejects",
    }
    for topic in declared:
        assert (topic["partitions"], topic["replication_factor"]) == (3, 3)
        assert topic["settings"] == {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}


def test_every_recovery_setting_reaches_something(documents: list[Document]) -> None:
    """A setting in recovery.yml that no template uses would be a claim without effect."""
    recovery = yaml.safe_load((ROOT / "playbooks/inventory/group_vars/all/recovery.yml").read_text())
    templates = "".join(file.read_text() for file in (ROOT / "workloads/manifests").glob("*.j2"))
    assert documents
    assert [setting for setting in recovery if setting not in templates] == []


def test_every_setting_reaches_something() -> None:
    """A variable that is declared, but that no template, task or other variable uses, claims what has no effect."""
    playbooks = ROOT / "playbooks"
    declared = {
        variable
        for file in [*playbooks.glob("roles/*/defaults/*.yml"), *playbooks.glob("inventory/group_vars/all/[pr]*.yml")]
        for variable in yaml.safe_load(file.read_text())
    }
    users = [
        *(ROOT / "workloads/manifests").glob("*.j2"),
        *playbooks.glob("*.yml"),
        *(file for part in ("tasks", "templates", "defaults") for file in playbooks.glob(f"roles/*/{part}/*")),
        *playbooks.glob("inventory/group_vars/all/*.yml"),
    ]
    uses = Counter(word for file in users for word in re.findall(r"\w+", _without_declarations(file.read_text())))
    assert len(declared) > 50
    assert sorted(variable for variable in declared if not uses[variable]) == []


def _without_declarations(text: str) -> str:
    return re.sub(r"^(?:#.*|\w+:)", "", text, flags=re.MULTILINE)


#: Who shows which certificate to Kafka.
SHOWN = {
    "StatefulSet kafka": "production-kafka-broker",
    "Deployment kafka-topics": "production-kafka-admin",
    "Deployment commodity-analytics-consumer": "production-kafka-consumer",
    "CronJob commodity-price-pipeline": "production-kafka-etl",
}


def test_kafka_is_open_if_it_is_said(unguarded: list[Document]) -> None:
    """In plain text nothing of certificates or rights is rendered."""
    assert [
        name(one) for one in unguarded if "production-kafka-" in yaml.safe_dump(one) and one["kind"] == "Secret"
    ] == []
    # But for what Java may optimize, whether it is in use or not
    text = yaml.safe_dump(unguarded).replace("sun/security/ssl", "")
    assert [word for word in ("ssl", "SSL", "authorizer", "certificates-hash", "access") if word in text] == ["access"]
    assert "access" not in json.loads(named(unguarded, "ConfigMap kafka-topics")["data"]["topics.json"])


def test_with_certificates_all_objects_are_valid_and_ours(documents: list[Document]) -> None:
    """Against the API's own schema; teardown finds the further ones, which are Secrets and nothing else."""
    for document in documents:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
        assert document["metadata"]["labels"].items() >= LABELS.items(), name(document)
    assert Counter(one["kind"] for one in documents)["Secret"] == 7
    assert named(documents, "Namespace production")["metadata"]["annotations"] == {"assay.dev/kafka-security": "mtls"}


def test_with_certificates_every_listener_wants_one_and_nothing_is_allowed_by_itself(documents: list[Document]) -> None:
    """The controllers' too; only brokers and the admin may do what no right grants."""
    settings = named(documents, "ConfigMap kafka-config")["data"]["server.properties"].splitlines()
    assert {
        "ssl.client.auth=required",
        "ssl.keystore.type=PEM",
        "ssl.truststore.type=PEM",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found=false",
        "super.users=User:broker;User:admin",
    } <= set(settings)
    (broker,) = named(documents, "StatefulSet kafka")["spec"]["template"]["spec"]["containers"]
    assert {"name": "KAFKA_LISTENER_PROTOCOL", "value": "SSL"} in broker["env"]


def test_java_optimizes_tls_alone(documents: list[Document]) -> None:
    """Its options name files that are mounted, and nothing but TLS is the optimizing compiler's."""
    files = named(documents, "ConfigMap kafka-config")["data"]
    (broker,) = named(documents, "StatefulSet kafka")["spec"]["template"]["spec"]["containers"]
    (options,) = (one["value"] for one in broker["env"] if one["name"] == "KAFKA_JVM_OPTS")
    assert {Path(one).name for one in re.findall(r"=/etc/kafka/(\S+)", options)} == {"java.security", "compilers.json"}
    assert {"java.security", "compilers.json"} <= files.keys()
    rules = json.loads(files["compilers.json"])  # strictly: JDK 17 takes no comment in it
    assert {rule["c2"]["Exclude"]: rule["match"] for rule in rules} == {
        False: ["com/sun/crypto/provider/*.*", "sun/security/ssl/*.*"],
        True: ["*.*"],
    }
    settings = files["server.properties"].splitlines()
    (suites,) = (line.partition("=")[2].split(",") for line in settings if line.startswith("ssl.cipher.suites="))
    assert suites[0] == "TLS_AES_256_GCM_SHA384"
    assert len(set(suites)) == 3


def test_each_program_mounts_its_own_certificate_alone(documents: list[Document]) -> None:
    """As files for its own group, where its settings say; and nobody the authority's key."""
    found = {}
    for made_by, pod in pods(documents):
        secrets = [volume["secret"] for volume in pod["spec"]["volumes"] if "secret" in volume]
        mounted = [one for one in secrets if one["secretName"].startswith("production-kafka-")]
        for secret in mounted:
            assert secret["defaultMode"] == 0o440, made_by
            found[made_by] = secret["secretName"]
            keys = {item["key"] for item in secret["items"]}
            assert keys == (
                {"ca.crt", "keystore.pem"} if "broker" in secret["secretName"] else {"ca.crt", "tls.crt", "tls.key"}
            )
            (mount,) = (
                one for one in pod["spec"]["containers"][0]["volumeMounts"] if one["mountPath"] == "/run/secrets/kafka"
            )
            assert mount["readOnly"] is True
        assert len(mounted) <= 1, made_by
    assert found == SHOWN


def test_whoever_shows_a_certificate_is_restarted_with_it(documents: list[Document]) -> None:
    """Clients and brokers read theirs when they start; a run of the ETL starts anew anyway."""
    hashes = {
        made_by: pod["metadata"].get("annotations", {}).get("assay.dev/certificates-hash")
        for made_by, pod in pods(documents)
        if made_by in SHOWN and not made_by.startswith("CronJob")
    }
    assert len(hashes) == len(set(hashes.values())) == 3
    assert None not in hashes.values()


def test_clients_are_told_where_their_certificates_are(documents: list[Document]) -> None:
    """By environment variables that hold file names, and no secret."""
    names = {f"KAFKA_CLIENT_SSL_{part}_LOCATION" for part in ("CA", "CERTIFICATE", "KEY")}
    for settings in ("commodity-analytics-config", "commodity-price-pipeline-config"):
        data = named(documents, f"ConfigMap {settings}")["data"]
        assert {data[one].rpartition("/")[0] for one in names} == {"/run/secrets/kafka"}
    (topics,) = named(documents, "Deployment kafka-topics")["spec"]["template"]["spec"]["containers"]
    assert names <= {variable["name"] for variable in topics["env"]}


def test_no_key_stands_outside_its_secret(documents: list[Document]) -> None:
    """Neither as it is nor encoded, and the authority's in no other Secret either."""
    private = {
        (name(one), value)
        for one in documents
        if one["kind"] == "Secret" and "ca.crt" in one["data"] | {"ca.crt": ""}
        for key, encoded in one["data"].items()
        if key.endswith(("key", ".pem"))
        for value in (encoded, base64.b64decode(encoded).decode())
    }
    assert len(private) == 2 * 7
    for owner, value in private:
        assert [
            name(one) for one in documents if name(one) != owner and value in yaml.safe_dump(one, width=10**6)
        ] == []


def test_rights_are_the_least(documents: list[Document]) -> None:
    """What each principal is for, and no word more: nobody but the admin changes, makes or deletes anything."""
    access = json.loads(named(documents, "ConfigMap kafka-topics")["data"]["topics.json"])["access"]
    granted = {
        (one["principal"], operation, one.get("topic") or f"group {one['group']}")
        for one in access
        for operation in one["operations"]
    }
    assert granted == {
        ("producer", "write", "commodity-prices"),
        ("producer", "describe_configs", "commodity-prices"),
        ("consumer", "read", "commodity-prices"),
        ("consumer", "read", "group commodity-analytics"),
        ("consumer", "write", "commodity-prices-dlq"),
        ("etl", "write", "commodity-prices"),
        ("etl", "write", "commodity-price-rejects"),
    }
