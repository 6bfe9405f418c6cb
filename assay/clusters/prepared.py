"""What `playbooks/host.yml` prepared on this machine for embedded clusters: the binary, the images, the image store."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.clusters.cluster import ClusterError
from assay.clusters.commands import run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BINARY = "assay-cluster"
COPY_SECONDS = 300
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns")


@dataclass(frozen=True)
class Prepared:
    """The prepared parts.

    Attributes:
        bin: folder with the multi-call binary `assay-cluster` and a symlink for each component.
        store: a containerd root folder with all images imported and unpacked.
        images: the images' names in it.
        kubernetes: the version of the components, like `v1.36.3`.
        pause: the name of the image that holds a pod's namespaces.
    """

    bin: Path
    store: Path
    images: tuple[str, ...]
    kubernetes: str
    pause: str

    @property
    def mark(self) -> str:
        """Other for other contents: host.yml names both folders by what it built them from."""
        return f"{self.bin.name} {self.store.name}"

    def component(self, name: str) -> str:
        """The program of this name."""
        return str(self.bin / name)

    def has(self, name: str) -> bool:
        """Whether the binary has this component."""
        return (self.bin / name).exists()

    def incomplete(self) -> str | None:
        """What is missing of it, in words; None if nothing is."""
        missing = [str(self.bin / name) for name in (BINARY, *COMPONENTS) if not self.has(name)]
        if not self.store.is_dir():
            missing.append(str(self.store))
        return ", ".join(missing) or None

    def linked(self, folder: Path) -> Prepared:
        """The same with a binary of the cluster's own, so that preparing the machine anew does not pull it away.

        Args:
            folder: where the binary and the components' links come; made if it isn't there.
        """
        folder.mkdir(parents=True, exist_ok=True)
        own = folder / BINARY
        original = (self.bin / BINARY).resolve()
        try:
            own.hardlink_to(original)
        except OSError:  # another file system
            shutil.copy2(original, own)
        for link in self.bin.iterdir():
            if link.name != BINARY:
                (folder / link.name).symlink_to(BINARY)
        return replace(self, bin=folder)

    def copy_store(self, target: Path, token: str) -> None:
        """Give a node its own image store: files are shared with the template by hard links, databases are copied.

        A containerd never writes into a file of its store other than its databases: it renames new ones to it.

        Args:
            target: the node's containerd root, which must not be there yet.
            token: the cluster's mark.
        """
        same_disk = os.stat(self.store).st_dev == os.stat(target.parent).st_dev  # noqa: PTH116  # a pair reads better
        run(
            ["cp", "-a", "-l" if same_disk else "--reflink=auto", str(self.store), str(target)],
            token=token,
            timeout=300,
        )
        for database in target.glob("*/*.db") if same_disk else ():
            own = database.with_suffix(".own")
            run(["cp", "--preserve=all", "--reflink=auto", str(database), str(own)], token=token)
            own.rename(database)
        for database in target.glob("*.db") if same_disk else ():
            raise ClusterError(f"an unknown database {database} lies in the image store; run playbooks/host.yml again")


def cache(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of what is prepared: `$ASSAY_CACHE`, by default `$XDG_CACHE_HOME/assay` or `~/.cache/assay`."""
    if environment.get("ASSAY_CACHE"):
        return Path(environment["ASSAY_CACHE"]).absolute()
    home = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (home / "assay").absolute()


def find(folder: Path) -> Prepared | None:
    """What is prepared below this cache folder; None if nothing, or not all of it.

    Raises:
        ClusterError: its description can't be understood.
    """
    path = folder / "current.json"
    try:
        fields = json.loads(path.read_text())
        prepared = Prepared(
            bin=Path(fields["bin"]),
            store=Path(fields["store"]),
            images=tuple(fields["images"]),
            kubernetes=fields["kubernetes"],
            pause=fields["pause"],
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(
            f"{path} can't be understood ({error!r}); remove it and run playbooks/host.yml again"
        ) from error
    return None if prepared.incomplete() else prepared


def find_or_prepare(folder: Path, prepare: Callable[[], None] | None) -> Prepared:
    """What is prepared; if it isn't, prepare it.

    Args:
        folder: the cache folder.
        prepare: runs `playbooks/host.yml`; None if the caller can't.

    Raises:
        ClusterError: it isn't there, and preparing it did not help.
    """
    found = find(folder)
    if found is None and prepare is not None:
        prepare()
        found = find(folder)
    if found is None:
        raise ClusterError(
            f"the embedded cluster's binary and images are not in {folder}; run `ansible-playbook playbooks/host.yml`"
        )
    return found
