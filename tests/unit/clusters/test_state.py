"""What is known of a cluster between commands, and what is borrowed from the machine and given back."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from assay.clusters import borrowed, prepared, state
from assay.clusters.cluster import ClusterError
from assay.clusters.embedded import EmbeddedCluster
from assay.clusters.state import Record, State
from assay.errors import UsageError

RECORD = Record("x", "embedded", 3, 201, "12ab34cd", "boot")


@pytest.mark.parametrize("name", ["assay", "a", "two-words", "x1", "a" * 32])
def test_a_good_name_is_kept(name: str) -> None:
    """Letters, digits and dashes, up to 32."""
    assert state.checked_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a-", "a_b", "a.b", "../a", "a" * 33, "a\n"])
def test_a_name_that_nodes_or_folders_cannot_have_is_refused(name: str) -> None:
    """It becomes part of host names, cgroups and paths."""
    with pytest.raises(UsageError, match="won't do"):
        state.checked_name(name)


def test_a_record_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    """Complete only once it was said to be."""
    cluster = State(tmp_path / "x")
    assert cluster.record() is None
    cluster.save(RECORD)
    assert State(tmp_path / "x").record() == RECORD
    assert cluster.completed(RECORD).complete
    assert state.existing(tmp_path) == (cluster.record(),)


def test_a_record_that_cannot_be_understood_is_one_sentence(tmp_path: Path) -> None:
    """Damaged, or of another version: never a traceback, and nothing is removed on its word."""
    (tmp_path / "cluster.json").write_text('{"name": "x", "wings": 2}')
    with pytest.raises(ClusterError, match="can't be understood"):
        State(tmp_path).record()


def _hold(folder: Path, held: object, done: object) -> None:
    with state.lock(folder, wait=False):
        held.set()  # type: ignore[attr-defined]  # an Event
        done.wait()  # type: ignore[attr-defined]


def test_two_processes_do_not_make_one_cluster_at_once(tmp_path: Path) -> None:
    """The second is refused in one sentence; when the first has ended, even by a kill, the lock is free."""
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "x", held, done))
    other.start()
    assert held.wait(30)
    with (
        pytest.raises(UsageError, match="another assay is making or removing cluster 'x'"),
        State(tmp_path / "x").locked(),
    ):
        pass
    other.kill()
    other.join()
    with State(tmp_path / "x").locked():
        pass


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose settings and folders are files in a temporary folder."""
    (tmp_path / "sys").mkdir()
    (tmp_path / "sys" / "watches").write_text("100\n")
    monkeypatch.setattr(borrowed, "FOLDER", tmp_path / "run")
    monkeypatch.setattr(borrowed, "SYSCTLS", tmp_path / "sys")
    for user in ("one", "two"):
        (tmp_path / user).mkdir()
    return tmp_path


def test_the_last_cluster_gives_back_what_the_first_one_borrowed(machine: Path) -> None:
    """The setting stays raised, and the folder there, as long as one cluster needs them."""
    watches, folder = machine / "sys" / "watches", machine / "var" / "kubelet"
    borrowed.borrow(machine / "one", {"watches": 500}, [folder])
    borrowed.borrow(machine / "two", {"watches": 500}, [folder])
    assert watches.read_text() == "500"
    borrowed.give_back(machine / "one")
    assert watches.read_text() == "500"
    assert folder.is_dir()
    borrowed.give_back(machine / "two")
    borrowed.give_back(machine / "two")
    assert watches.read_text() == "100"
    assert not (machine / "var").exists()
    assert not (machine / "run").exists()


def test_a_cluster_that_vanished_does_not_hold_anything(machine: Path) -> None:
    """Its state folder is gone, so it counts no more."""
    borrowed.borrow(machine / "one", {"watches": 500}, [])
    borrowed.borrow(machine / "two", {"watches": 500}, [])
    (machine / "one").rmdir()
    borrowed.give_back(machine / "two")
    assert (machine / "sys" / "watches").read_text() == "100"


def test_what_is_enough_already_is_left_alone(machine: Path) -> None:
    """Nothing is lowered; a folder of somebody else, or with something in it, is not removed."""
    ours, theirs = machine / "ours", machine / "theirs"
    theirs.mkdir()
    borrowed.borrow(machine / "one", {"watches": 50, "absent": 1}, [ours, theirs])
    (ours / "file").write_text("put there by somebody")
    borrowed.give_back(machine / "one")
    assert (machine / "sys" / "watches").read_text() == "100\n"
    assert (ours / "file").exists()
    assert theirs.exists()


def test_what_is_prepared_is_found_only_when_all_of_it_is_there(tmp_path: Path) -> None:
    """A description whose binary or store was removed meanwhile counts as nothing prepared."""
    assert prepared.find(tmp_path) is None
    fields = {
        "bin": f"{tmp_path}/bin", "store": f"{tmp_path}/store", "images": ["a"], "kubernetes": "v1", "pause": "p",
    }  # fmt: skip
    (tmp_path / "current.json").write_text(json.dumps(fields))
    assert prepared.find(tmp_path) is None
    for folder in ("bin", "store"):
        (tmp_path / folder).mkdir()
    for name in ("assay-cluster", *prepared.COMPONENTS):
        (tmp_path / "bin" / name).touch()
    found = prepared.find(tmp_path)
    assert found is not None
    assert not found.has("volume-provisioner")


def test_a_cluster_is_outdated_once_something_else_is_prepared(tmp_path: Path) -> None:
    """It notes what it was made from; one that an earlier release made does not, and nothing is said of it."""
    cache, root = tmp_path / "cache", tmp_path / "clusters"
    for mark in ("old", "new"):
        (cache / "bin" / mark).mkdir(parents=True)
        (cache / "store" / mark).mkdir(parents=True)
        for name in ("assay-cluster", *prepared.COMPONENTS):
            (cache / "bin" / mark / name).touch()
    cluster = EmbeddedCluster("mine", root=root, cache=cache)
    record = state.new_record("mine", "embedded", 3)
    seen = {}
    for made_from in ("old old", ""):
        state.State(root / "mine").save(replace(record, parts=made_from))
        for now in ("old", "new"):
            folders = {"bin": f"{cache}/bin/{now}", "store": f"{cache}/store/{now}"}
            fields = {**folders, "images": [], "kubernetes": "v1", "pause": "p"}
            (cache / "current.json").write_text(json.dumps(fields))
            seen[made_from, now] = cluster.outdated()
    assert [key for key, outdated in seen.items() if outdated] == [("old old", "new")]


def test_the_machine_is_prepared_when_it_is_not_and_only_then(tmp_path: Path) -> None:
    """What prepares it is called once; if that did not help, one sentence says what to run."""
    called: list[str] = []
    with pytest.raises(ClusterError, match=r"not in .*; run `ansible-playbook playbooks/host.yml`"):
        prepared.find_or_prepare(tmp_path, lambda: called.append("host.yml"))
    assert called == ["host.yml"]


def test_a_description_that_cannot_be_understood_is_one_sentence(tmp_path: Path) -> None:
    """It names the file and what to do."""
    (tmp_path / "current.json").write_text('{"bin": 1}')
    with pytest.raises(ClusterError, match=r"current.json can't be understood .* run playbooks/host.yml again"):
        prepared.find(tmp_path)


def test_a_node_gets_its_own_databases_and_shares_the_rest(tmp_path: Path) -> None:
    """What containerd writes into is copied; what it only reads is the same file as the template's."""
    store = tmp_path / "store"
    (store / "meta").mkdir(parents=True)
    (store / "meta" / "meta.db").write_text("database")
    (store / "meta" / "blob").write_text("blob")
    parts = prepared.Prepared(tmp_path, store, (), "v1", "pause")
    parts.copy_store(tmp_path / "node", "token")
    copied = tmp_path / "node" / "meta"
    assert copied.joinpath("blob").samefile(store / "meta" / "blob")
    assert not copied.joinpath("meta.db").samefile(store / "meta" / "meta.db")
    assert copied.joinpath("meta.db").read_text() == "database"


def test_folders_follow_the_environment() -> None:
    """ASSAY_STATE and ASSAY_CACHE, then XDG_CACHE_HOME, then the defaults."""
    assert state.root({}) == Path("/var/lib/assay/clusters")
    assert state.root({"ASSAY_STATE": "/x"}) == Path("/x")
    assert prepared.cache({"ASSAY_CACHE": "/c", "XDG_CACHE_HOME": "/x"}) == Path("/c")
    assert prepared.cache({"XDG_CACHE_HOME": "/x"}) == Path("/x/assay")
    assert prepared.cache({}) == Path.home() / ".cache" / "assay"
