"""Disks that are files: what a machine needs for them, and that none stays behind."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from assay.clusters import disks, machine
from assay.clusters.cluster import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_a_missing_tool_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to do, in one sentence; nothing is left."""
    monkeypatch.setattr(machine, "_path", lambda: str(tmp_path))
    assert disks.lacking(tmp_path) == (
        "mkfs.ext4, losetup, blkid not found on this machine; install packages e2fsprogs, mount, util-linux, "
        "and make the cluster anew"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_kernel_that_refuses_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By trying it."""
    monkeypatch.setattr(disks, "TOOLS", {})
    monkeypatch.setattr(machine, "works", lambda _namespaces, command: command[0] != "mount")
    assert "needs loop devices and ext4" in str(disks.lacking(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_detach_needs_no_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster without disks, or that was hardly begun, is removed anywhere."""
    monkeypatch.setenv("PATH", "")
    disks.detach(tmp_path / "volumes")
    (tmp_path / "volumes" / "production_x_pvc-1").mkdir(parents=True)
    disks.detach(tmp_path / "volumes")


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    """The file of a disk that is attached, as the provisioner leaves it."""
    refusal = disks.lacking(tmp_path) if machine.is_root() else "this needs root"
    if refusal:
        pytest.skip(refusal)
    image = tmp_path / "volumes" / "production_data-kafka-0_pvc-1" / "disk.ext4"
    image.parent.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(1 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    subprocess.run(["losetup", "--find", str(image)], check=True)
    yield image
    disks.detach(tmp_path / "volumes")


def attached(image: Path) -> list[str]:
    """The devices of a file."""
    listed = ["losetup", "--associated", str(image), "--noheadings", "--output", "NAME"]
    return subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()


def test_a_disk_is_detached(image: Path) -> None:
    """Its file stays: that is removed with the cluster's others."""
    assert len(attached(image)) == 1
    disks.detach(image.parents[1])
    assert attached(image) == []
    assert image.exists()


def test_a_disk_in_use_is_told_and_goes_when_it_is_not(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody thinks it gone."""
    monkeypatch.setattr(disks, "DETACH_SECONDS", 0.2)
    (device,) = attached(image)
    with open(device, "rb"), pytest.raises(ClusterError, match=f"^{device} is still in use"):  # noqa: PTH123  # a device
        disks.detach(image.parents[1])
    disks.detach(image.parents[1])
    assert attached(image) == []
