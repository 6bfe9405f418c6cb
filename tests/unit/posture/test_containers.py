"""Running containers: what their manifests ask for and what the kernel says; each line that is dropped is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from assay.errors import AssayError
from assay.posture.containers import PROBES, Container, judge
from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KERNEL = """\
Name:\tpython3
Uid:\t10001\t10001\t10001\t10001
Gid:\t10001\t10001\t10001\t10001
CapInh:\t0000000000000000
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t0000000000000000
CapAmb:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
Seccomp_filters:\t1
overlay / overlay ro,relatime,lowerdir=/one,upperdir=/two,workdir=/three 0 0
proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0
tmpfs /tmp tmpfs rw,relatime 0 0
"""


def templates(documents: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod template, by what makes pods of it."""
    for document in documents:
        match document["kind"]:
            case "Deployment" | "StatefulSet":
                yield document["metadata"]["name"], document["spec"]["template"]
            case "CronJob":
                yield document["metadata"]["name"], document["spec"]["jobTemplate"]["spec"]["template"]
            case _:
                pass


def running(documents: list[dict[str, Any]], kernel: str | AssayError = KERNEL) -> list[Container]:
    """A container of each template, as if it ran."""
    return [
        Container(f"{name}/{spec['name']}", pod, spec, f"sha256:{spec['image']}", kernel)
        for name, pod in templates(documents)
        for spec in pod["spec"]["containers"]
    ]


def verdicts(containers: list[Container]) -> dict[str, str]:
    """What is not a pass, by name."""
    return {
        one.probe.name.partition("/")[2]: str(one.verdict)
        for one in judge(containers)
        if one.verdict is not Verdict.PASS
    }


def test_the_platform_as_shipped_passes(documents: list[dict[str, Any]]) -> None:
    """Six workloads, every probe."""
    assert len(running(documents)) == 6
    assert verdicts(running(documents)) == {}
    assert [one.probe for one in judge(running(documents))] == list(PROBES)


def drop(path: str) -> Callable[[dict[str, Any]], None]:
    """Take a line away from a pod's spec, by its path; `container` is its first one."""

    def change(spec: dict[str, Any]) -> None:
        *way, last = path.split(".")
        place = spec
        for step in way:
            place = place["containers"][0] if step == "container" else place[step]
        del place[last]

    return change


@pytest.mark.parametrize("workload", ["kafka", "commodity-feed", "commodity-price-pipeline"])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("securityContext.runAsNonRoot", "non-root"),
        ("securityContext.seccompProfile", "seccomp"),
        ("container.securityContext.readOnlyRootFilesystem", "read-only-root"),
        ("container.securityContext.capabilities", "no-capabilities"),
        ("container.securityContext.allowPrivilegeEscalation", "no-escalation"),
        ("automountServiceAccountToken", "no-token"),
        ("container.resources.requests.cpu", "resources"),
        ("container.resources.requests.memory", "resources"),
        ("container.resources.limits.cpu", "resources"),
        ("container.resources.limits.memory", "resources"),
    ],
)
def test_each_line_that_is_dropped_turns_its_probe_red_and_no_other(
    documents: list[dict[str, Any]], workload: str, path: str, name: str
) -> None:
    """Whichever workload loses it."""
    drop(path)(dict(templates(documents))[workload]["spec"])
    assert verdicts(running(documents)) == {name: "fail"}
    (broken,) = (one for one in judge(running(documents)) if one.verdict is Verdict.FAIL)
    assert [offender.partition("/")[0] for offender in broken.offenders] == [workload]


@pytest.mark.parametrize(
    ("line", "other", "name"),
    [
        ("Uid:\t10001\t10001\t10001\t10001", "Uid:\t0\t0\t0\t0", "non-root"),
        ("Uid:\t10001\t10001\t10001\t10001", "Uid:\t10001\t10001\t0\t10001", "non-root"),
        ("overlay / overlay ro,", "overlay / overlay rw,", "read-only-root"),
        ("CapEff:\t0000000000000000", "CapEff:\t0000000000002000", "no-capabilities"),
        ("CapBnd:\t0000000000000000", "CapBnd:\t00000000a80425fb", "no-capabilities"),
        ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "no-escalation"),
        ("Seccomp:\t2", "Seccomp:\t0", "seccomp"),
    ],
)
def test_the_kernel_has_the_last_word(documents: list[dict[str, Any]], line: str, other: str, name: str) -> None:
    """What is asked for and not so is red, and that alone."""
    assert line in KERNEL
    assert verdicts(running(documents, KERNEL.replace(line, other))) == {name: "fail"}


def test_a_container_that_can_not_be_looked_into_is_unknown(documents: list[dict[str, Any]]) -> None:
    """Where an image has no `cat`, what the kernel says is unknown, and what the manifest says is not."""
    found = verdicts(running(documents, AssayError("cat: not found")))
    assert found == dict.fromkeys(
        ["non-root", "read-only-root", "no-capabilities", "no-escalation", "seccomp"], "unknown"
    )


def test_a_kernel_that_does_not_say_is_unknown(documents: list[dict[str, Any]]) -> None:
    """One without seccomp has no line for it."""
    assert verdicts(running(documents, KERNEL.replace("Seccomp:\t2\n", ""))) == {"seccomp": "unknown"}


def test_the_last_mount_on_the_root_counts(documents: list[dict[str, Any]]) -> None:
    """A file system over a read-only one can be written to."""
    assert verdicts(running(documents, f"{KERNEL}tmpfs / tmpfs rw,relatime 0 0\n")) == {"read-only-root": "fail"}


def test_a_token_that_is_mounted_is_red(documents: list[dict[str, Any]]) -> None:
    """As the API server injects it: a projected volume, and its mount."""
    spec = dict(templates(documents))["commodity-feed"]["spec"]
    spec["volumes"].append({"name": "kube-api-access", "projected": {"sources": [{"serviceAccountToken": {}}]}})
    assert verdicts(running(documents)) == {}
    spec["containers"][0]["volumeMounts"].append({"name": "kube-api-access", "mountPath": "/var/run/secrets"})
    assert verdicts(running(documents)) == {"no-token": "fail"}


@pytest.mark.parametrize("image", ["assay.dev/feed", "assay.dev/feed:latest", "registry:5000/feed"])
def test_an_image_that_is_another_one_tomorrow_is_red(documents: list[dict[str, Any]], image: str) -> None:
    """No tag, or `latest`; a registry's port is no tag."""
    dict(templates(documents))["commodity-feed"]["spec"]["containers"][0]["image"] = image
    assert verdicts(running(documents)) == {"image": "fail"}


def test_a_digest_is_as_fixed_as_can_be(documents: list[dict[str, Any]]) -> None:
    """Whatever its tag."""
    dict(templates(documents))["commodity-feed"]["spec"]["containers"][0]["image"] = f"feed@sha256:{'0' * 64}"
    assert verdicts(running(documents)) == {}


def test_one_name_and_two_contents_are_red(documents: list[dict[str, Any]]) -> None:
    """A node that has another image under the same tag runs something else."""
    first, *others = running(documents)
    other = Container("other/kafka", first.pod, first.spec, "sha256:other", KERNEL)
    assert verdicts([first, *others, other]) == {"image": "fail"}


def test_no_containers_show_nothing() -> None:
    """Every probe is unknown."""
    assert set(verdicts([]).values()) == {"unknown"}
    assert len(verdicts([])) == len(PROBES)
