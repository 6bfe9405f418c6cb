"""The objects that every embedded cluster has: its StorageClasses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from assay.clusters import addons
from assay.clusters.addresses import Addresses
from assay.clusters.prepared import Prepared

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT = "storageclass.kubernetes.io/is-default-class"


def classes(folder: Path, no_disks: str | None, *components: str) -> dict[str, Any]:
    """The StorageClasses by name, where the binary has these components."""
    for one in components:
        (folder / one).touch()
    prepared = Prepared(bin=folder, store=folder, images=(), kubernetes="v1", pause="pause:1")
    documents = addons.documents(Addresses(201), prepared, (), no_disks)
    return {one["metadata"]["name"]: one for one in documents if one["kind"] == "StorageClass"}


def test_a_claim_gets_a_disk_unless_it_asks_for_a_folder(tmp_path: Path) -> None:
    """The default class makes disks; the other one does not, so that both can be measured."""
    found = classes(tmp_path, None, "volume-provisioner")
    assert {name: one["parameters"] for name, one in found.items()} == {"standard": addons.DISKS, "folder": {}}
    assert found["standard"]["metadata"]["annotations"] == {DEFAULT: "true"}
    assert found["folder"]["metadata"]["annotations"] == {}


def test_a_machine_without_disks_has_folders_and_says_why(tmp_path: Path) -> None:
    """The default class is there all the same."""
    found = classes(tmp_path, "mkfs.ext4 not found", "volume-provisioner")["standard"]
    assert found["parameters"] == {}
    assert found["metadata"]["annotations"] == {DEFAULT: "true", addons.NO_DISKS: "mkfs.ext4 not found"}


@pytest.mark.parametrize("no_disks", [None, "mkfs.ext4 not found"])
def test_without_a_provisioner_there_is_no_class(tmp_path: Path, no_disks: str | None) -> None:
    """A claim would wait for ever."""
    assert classes(tmp_path, no_disks) == {}
