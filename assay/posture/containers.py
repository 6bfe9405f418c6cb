"""Every running container: what its manifest asks for, and what the kernel says that it got.

The kernel's word is `/proc/1/status` and `/proc/self/mounts`, read in the container; where an image has no `cat`, that
part is unverifiable.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay import pods
from assay.errors import AssayError
from assay.posture.authorities import cis, nsa, pss
from assay.posture.probe import Finding, Probe, held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from assay.posture.scene import Scene

#: Pods that may have a token of the API server's, by their component. None of the platform's calls it.
TOKENS: Final[frozenset[str]] = frozenset()
#: The capability sets of a process that matter: what it has, may have, and could ever get (capabilities(7)).
_CAPABILITIES: Final = ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd")
#: Seccomp's mode in /proc/PID/status: 0 off, 1 strict, 2 filter (proc_pid_status(5)).
_FILTERED: Final = "2"
_COMPONENT: Final = "app.kubernetes.io/component"
_CONTEXTS: Final = cis("5.6.3", "Apply SecurityContext to your Pods and Containers")
_AGAIN: Final = "Set it in the workload's manifest and provision again with `assay deploy`."


def _probe(name: str, tried: str, *authorities: str, remedy: str = _AGAIN) -> Probe:
    return Probe(f"containers/{name}", f"look at every running container: {tried}", authorities, remedy)


NON_ROOT: Final = _probe(
    "non-root",
    "runAsNonRoot, and the user ids of its first process",
    pss("Running as Non-root"),
    cis("5.2.7", "Minimize the admission of root containers"),
    nsa("“Non-root” containers and “rootless” container engines"),
)
READ_ONLY: Final = _probe(
    "read-only-root",
    "readOnlyRootFilesystem, and how its root is mounted",
    _CONTEXTS,
    nsa("Immutable container file systems"),
)
NO_CAPABILITIES: Final = _probe(
    "no-capabilities",
    "all capabilities dropped, and the sets of its first process empty",
    pss("Capabilities (v1.22+)"),
    cis("5.2.9", "Minimize the admission of containers with capabilities assigned"),
)
NO_ESCALATION: Final = _probe(
    "no-escalation",
    "allowPrivilegeEscalation false, and no_new_privs set",
    pss("Privilege Escalation (v1.8+)"),
    cis("5.2.6", "Minimize the admission of containers with allowPrivilegeEscalation"),
)
SECCOMP: Final = _probe(
    "seccomp",
    "a seccomp profile asked for, and a filter in force",
    pss("Seccomp (v1.19+)"),
    cis("5.6.2", "Ensure that the seccomp profile is set to docker/default in your Pod definitions"),
)
TOKEN: Final = _probe(
    "no-token",
    "no service account token mounted",
    cis("5.1.6", "Ensure that Service Account Tokens are only mounted where necessary"),
    nsa("Protecting Pod service account tokens"),
)
RESOURCES: Final = _probe("resources", "requests and limits for CPU and memory", nsa("Resource policies"))
IMAGE: Final = _probe(
    "image",
    "an image named by digest or a fixed tag, and the same content wherever it has the same name",
    cis("5.5.1", "Configure Image Provenance using ImagePolicyWebhook admission controller"),
    nsa("Building secure container images"),
    remedy="Name a digest or a fixed tag, and load the same image on every node.",
)
PROBES: Final = (NON_ROOT, READ_ONLY, NO_CAPABILITIES, NO_ESCALATION, SECCOMP, TOKEN, RESOURCES, IMAGE)


@dataclass(frozen=True)
class Container:
    """A running container.

    Attributes:
        name: `pod/container`.
        pod: Its pod, as plain data.
        spec: What is asked for it, as plain data.
        image_id: What the runtime says it runs; empty: it does not say.
        kernel: `/proc/1/status` and then `/proc/self/mounts`, as read in it; or why not.
    """

    name: str
    pod: Mapping[str, Any]
    spec: Mapping[str, Any]
    image_id: str
    kernel: str | AssayError

    def asked(self, field: str) -> Any:
        """A field of the security context: the container's own, or else its pod's."""
        own = self.spec.get("securityContext") or {}
        return own.get(field, (self.pod["spec"].get("securityContext") or {}).get(field))

    def status(self) -> Mapping[str, str]:
        """The lines of `/proc/1/status` by name; empty if it could not be read."""
        if isinstance(self.kernel, AssayError):
            return {}
        lines = (line.partition(":\t") for line in self.kernel.splitlines())
        return {name: value.strip() for name, colon, value in lines if colon and " " not in name}

    def root(self) -> str | None:
        """The mount options of the root; None: unknown."""
        if isinstance(self.kernel, AssayError):
            return None
        words = [line.split(" ") for line in self.kernel.splitlines()]
        return next((line[3] for line in reversed(words) if len(line) == 6 and line[1] == "/"), None)  # noqa: PLR2004  # fstab(5)


def judge(containers: Sequence[Container]) -> Iterator[Finding]:
    """Hold running containers against what each must be."""
    yield _both(NON_ROOT, containers, _asks_non_root, _is_non_root)
    yield _both(READ_ONLY, containers, _asks_read_only, _is_read_only)
    yield _both(NO_CAPABILITIES, containers, _asks_no_capabilities, _has_no_capabilities)
    yield _both(NO_ESCALATION, containers, _asks_no_escalation, _can_not_escalate)
    yield _both(SECCOMP, containers, _asks_seccomp, _is_filtered)
    tokens = [wrong for one in containers if (wrong := _token(one))]
    yield held(TOKEN, len(containers), "containers have none", tokens)
    lacking = [
        f"{one.name} has no {group}.{resource}"
        for one in containers
        for group in ("requests", "limits")
        for resource in ("cpu", "memory")
        if resource not in ((one.spec.get("resources") or {}).get(group) or {})
    ]
    yield held(RESOURCES, len(containers), "containers have them", lacking)
    yield _images(containers)


def look(scene: Scene) -> Iterator[Finding]:
    """Read every running pod, and what the kernel says in each container."""
    containers = []
    for pod in scene.core.list_namespaced_pod(scene.namespace, field_selector="status.phase=Running").items:
        if pod.metadata.deletion_timestamp is not None:
            continue
        plain = scene.plain(pod)
        statuses = {one["name"]: one for one in plain["status"].get("containerStatuses") or ()}
        for spec in plain["spec"]["containers"]:
            image_id = statuses.get(spec["name"], {}).get("imageID", "")
            kernel = _kernel(scene, plain["metadata"]["name"], spec["name"])
            containers.append(Container(f"{plain['metadata']['name']}/{spec['name']}", plain, spec, image_id, kernel))
    yield from judge(containers)


def _kernel(scene: Scene, pod: str, container: str) -> str | AssayError:
    try:
        done = pods.execute(scene.platform, pod, ["cat", "/proc/1/status", "/proc/self/mounts"], container=container)
    except AssayError as error:
        return error
    if done.exit_code:
        return AssayError(done.stderr.strip() or f"cat ended with {done.exit_code}")
    return done.stdout


def _both(
    probe: Probe,
    containers: Sequence[Container],
    asks: Callable[[Container], str],
    has: Callable[[Container], str | None],
) -> Finding:
    """A probe of what is asked and of what is so; each gives what is wrong, or nothing, and `has` None if unknown."""
    wrong, unseen = [], []
    for one in containers:
        amiss = asks(one) or has(one)
        if amiss is None:
            why = one.kernel if isinstance(one.kernel, AssayError) else "the kernel does not say"
            unseen.append(f"{one.name}: {why}")
        elif amiss:
            wrong.append(f"{one.name} {amiss}")
    return held(probe, len(containers), "containers, as asked and in the kernel", wrong, unseen)


def _asks_non_root(one: Container) -> str:
    return "" if one.asked("runAsNonRoot") is True else "does not ask for runAsNonRoot"


def _is_non_root(one: Container) -> str | None:
    ids = one.status().get("Uid")
    if ids is None:
        return None
    return "runs as root" if "0" in ids.split() else ""


def _asks_read_only(one: Container) -> str:
    return "" if one.asked("readOnlyRootFilesystem") is True else "does not ask for readOnlyRootFilesystem"


def _is_read_only(one: Container) -> str | None:
    options = one.root()
    if options is None:
        return None
    return "" if "ro" in options.split(",") else "can write to its root file system"


def _asks_no_capabilities(one: Container) -> str:
    capabilities = one.asked("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        return "does not drop all capabilities"
    return f"adds {', '.join(capabilities['add'])}" if capabilities.get("add") else ""


def _has_no_capabilities(one: Container) -> str | None:
    status = one.status()
    if not status.keys() >= set(_CAPABILITIES):
        return None
    held_sets = [f"{name} {status[name]}" for name in _CAPABILITIES if int(status[name], 16)]
    return f"has capabilities: {', '.join(held_sets)}" if held_sets else ""


def _asks_no_escalation(one: Container) -> str:
    return "" if one.asked("allowPrivilegeEscalation") is False else "does not forbid allowPrivilegeEscalation"


def _can_not_escalate(one: Container) -> str | None:
    found = one.status().get("NoNewPrivs")
    if found is None:
        return None
    return "" if found == "1" else "may gain privileges: no_new_privs is not set"


def _asks_seccomp(one: Container) -> str:
    kind = (one.asked("seccompProfile") or {}).get("type")
    return "" if kind in {"RuntimeDefault", "Localhost"} else f"asks for the seccomp profile {kind or 'of nobody'}"


def _is_filtered(one: Container) -> str | None:
    mode = one.status().get("Seccomp")
    if mode is None:
        return None
    return "" if mode == _FILTERED else f"is not filtered: seccomp's mode is {mode}"


def _token(one: Container) -> str:
    """How a container comes to a token of the API server's; empty: it does not, or may."""
    if (one.pod["metadata"].get("labels") or {}).get(_COMPONENT) in TOKENS:
        return ""
    projected = {
        volume["name"]
        for volume in one.pod["spec"].get("volumes") or ()
        if any("serviceAccountToken" in source for source in (volume.get("projected") or {}).get("sources") or ())
    }
    mounted = sorted(mount["name"] for mount in one.spec.get("volumeMounts") or () if mount["name"] in projected)
    if mounted:
        return f"{one.name} mounts a token: {', '.join(mounted)}"
    if one.pod["spec"].get("automountServiceAccountToken") is not False:
        return f"{one.name} leaves it to its account whether a token is mounted"
    return ""


def _images(containers: Sequence[Container]) -> Finding:
    wrong, unseen = [], []
    contents: defaultdict[str, set[str]] = defaultdict(set)
    for one in containers:
        image = one.spec["image"]
        tag = image.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in image and tag in {"", "latest"}:
            wrong.append(f"{one.name} runs {image}, which is another one tomorrow")
        if one.image_id:
            contents[image].add(one.image_id.rpartition("@")[2])
        else:
            unseen.append(f"{one.name}: the runtime does not say what it runs")
    wrong += [f"{image} is {len(ids)} different images" for image, ids in contents.items() if len(ids) > 1]
    return held(IMAGE, len(containers), "containers run fixed images", wrong, unseen)
