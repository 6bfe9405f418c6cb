"""Which volumes may be filled: only such as are a disk of their own."""

from __future__ import annotations

import pytest

from assay.chaos.disk import NO_DISKS, because, why_not
from assay.clusters import addons

GIB = 1 << 30


@pytest.mark.parametrize("total", [GIB // 2, GIB, int(1.05 * GIB)])
def test_a_file_system_of_the_claims_size_may_be_filled(total: int) -> None:
    """It is a little smaller or larger, by how sizes are rounded."""
    assert why_not({"root": "/", "total": total}, GIB) is None


@pytest.mark.parametrize(
    ("root", "total", "sentence"),
    [
        ("/var/lib/kubelet/pods/x", GIB, "a folder of a disk that others use too"),
        ("/", 250 * GIB, "larger than its claim"),
    ],
)
def test_a_disk_of_others_must_not_be_filled(root: str, total: int, sentence: str) -> None:
    """A folder of it, or all of it by a claim that is smaller."""
    assert sentence in str(why_not({"root": root, "total": total}, GIB))


def test_a_class_without_disks_says_why() -> None:
    """As embedded clusters note it on a machine that can't have them; others note nothing."""
    assert NO_DISKS == addons.NO_DISKS
    assert because("standard", {NO_DISKS: "mkfs.ext4 not found"}) == " (StorageClass standard: mkfs.ext4 not found)"
    assert because("standard", {}) == ""
