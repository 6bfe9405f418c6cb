"""An existing cluster is found by kubeconfig and context, and said to be unreachable in one sentence."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import yaml

from assay.clusters import kubeconfig
from assay.clusters.existing import ExistingCluster
from assay.errors import UsageError


def config(*names: str, current: str = "", port: int = 1) -> dict[str, object]:
    """A kubeconfig with these contexts, each with a cluster and a user of the same name."""
    return {
        "current-context": current,
        "clusters": [{"name": n, "cluster": {"server": f"http://127.0.0.1:{port}"}} for n in names],
        "users": [{"name": n, "user": {"token": f"secret-{n}"}} for n in names],
        "contexts": [{"name": n, "context": {"cluster": n, "user": n}} for n in names],
    }


def written(path: Path, document: object) -> Path:
    """The document in a file."""
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_chosen_context_alone_is_written_into_a_private_file(tmp_path: Path) -> None:
    """Of several files' contexts only the chosen one, its cluster and its user get into one file of mode 0600."""
    paths = [
        written(tmp_path / "a", config("one")),
        tmp_path / "absent",
        written(tmp_path / "b", config("two", "three")),
    ]
    cluster = ExistingCluster(paths, "two", tmp_path / "contexts")
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    assert document["current-context"] == cluster.context == "two"
    assert [one["name"] for section in ("clusters", "users", "contexts") for one in document[section]] == ["two"] * 3
    assert cluster.kubeconfig.stat().st_mode & 0o777 == 0o600


def test_without_a_context_the_first_files_current_one_is_meant(tmp_path: Path) -> None:
    """As kubectl does it."""
    paths = [written(tmp_path / "a", config("one")), written(tmp_path / "b", config("two", current="two"))]
    assert ExistingCluster(paths, None, tmp_path / "contexts").context == "two"


def test_the_first_file_that_names_a_thing_wins(tmp_path: Path) -> None:
    """Two files with a context of one name are no mixture."""
    paths = [written(tmp_path / "a", config("x", port=1)), written(tmp_path / "b", config("x", port=2))]
    merged = kubeconfig.merge(paths)
    assert [one["cluster"]["server"] for one in merged["clusters"]] == ["http://127.0.0.1:1"]


def test_relative_paths_keep_their_meaning(tmp_path: Path) -> None:
    """A certificate named relative to its kubeconfig is found from the new file too."""
    document = config("x")
    document["clusters"] = [{"name": "x", "cluster": {"server": "https://x", "certificate-authority": "pki/ca.crt"}}]
    merged = kubeconfig.merge([written(tmp_path / "a", document)])
    assert merged["clusters"][0]["cluster"]["certificate-authority"] == str(tmp_path / "pki/ca.crt")


def test_an_unknown_context_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    """The known ones are listed, sorted; their secrets are not."""
    path = written(tmp_path / "a", config("prod", "dev"))
    with pytest.raises(UsageError, match="context 'nope' is not in the kubeconfig; it knows: dev, prod") as raised:
        ExistingCluster([path], "nope", tmp_path / "contexts")
    assert "secret" not in str(raised.value)
    assert not (tmp_path / "contexts").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "no kubeconfig found at"),
        ("{", "can't be read"),
        ("[1, 2]", "is not a kubeconfig"),
        ("contexts: [{}]", "is not a kubeconfig"),
        ("", "no current context; give --context one of: none"),
        ("{contexts: [{name: x, context: {cluster: c}}], current-context: x}", "refers to cluster 'c'"),
    ],
)
def test_a_bad_kubeconfig_is_one_sentence(tmp_path: Path, content: str | None, sentence: str) -> None:
    """Absent, unreadable, of another shape, empty, or referring to what is missing."""
    if content is not None:
        (tmp_path / "config").write_text(content)
    with pytest.raises(UsageError, match=sentence) as raised:
        ExistingCluster([tmp_path / "config"], None, tmp_path / "contexts")
    assert "\n" not in str(raised.value)


def test_kubeconfig_variable_may_name_several_files() -> None:
    """Empty parts are nothing; without the variable it is the home folder's."""
    assert kubeconfig.default_paths({"KUBECONFIG": "/a::/b"}) == (Path("/a"), Path("/b"))
    assert kubeconfig.default_paths({}) == (Path.home() / ".kube" / "config",)


def test_an_api_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """The sentence names context and server; creating is refused, and nothing is ever deleted."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    cluster = ExistingCluster([written(tmp_path / "a", config("x", current="x", port=port))], None, tmp_path / "c")
    with pytest.raises(
        UsageError, match=rf"context 'x' \(http://127.0.0.1:{port}\) does not answer within 5 s"
    ) as raised:
        cluster.create()
    assert "\n" not in str(raised.value)
    assert cluster.status().state == "partial"


def test_images_cannot_be_loaded_into_an_existing_cluster(tmp_path: Path) -> None:
    """It pulls from its registry; loading nothing is fine."""
    cluster = ExistingCluster([written(tmp_path / "a", config("x", current="x"))], None, tmp_path / "c")
    cluster.load_images([])
    with pytest.raises(UsageError, match="push them to a registry"):
        cluster.load_images([tmp_path / "image.tar"])
