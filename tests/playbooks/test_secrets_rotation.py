"""Passwords and tokens are rotated by the real playbook, against a made-up API server: in what order, and what stays.

At every moment the feed must accept the token that the Secret gives to its readers, and the Secret says what is in use.
"""

from __future__ import annotations

import base64
import copy
import re
import tempfile
from typing import TYPE_CHECKING, Any, Final

import apiserver
import pytest

from assay.deploy import deploy, rotate
from assay.errors import AssayError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Each run of the playbook takes most of a minute. The refusal that needs no platform is in each build.
PLATFORM: Final = pytest.mark.endurance
pytestmark = pytest.mark.timeout(600)

KEYS: Final = ("feed-token", "feed-admin-token", "iceberg-catalog-password")
TOKENS: Final = KEYS[:2]
OLD: Final = {key: f"the old {key}" for key in KEYS}
SECRET: Final = "/api/v1/namespaces/production/secrets/production-credentials"  # noqa: S105  # a path
PARTS: Final = ("namespace", "access", "feed", "analytics")
CHANGED: Final = (
    "Deployment commodity-analytics-consumer",
    "Deployment commodity-feed",
    "Role iceberg",
    "Secret production-credentials",
)


class Scene:
    """A platform on a made-up API server."""

    def __init__(self, file: Path, store: apiserver.Store) -> None:
        """Provision it, with the old credentials in the vault."""
        self.file, self.store = file, store
        self.deploy()
        self.first = copy.deepcopy(store.objects)

    def again(self, secret: dict[str, Any] | None = None) -> Scene:
        """As it was provisioned; or with another Secret than then."""
        self.store.objects = copy.deepcopy(self.first) | ({} if secret is None else {SECRET: secret})
        for record in (self.store.written, self.store.versions, self.store.told):
            record.clear()
        return self

    def deploy(self, vault: dict[str, str] = OLD, *, check: bool = False) -> tuple[str, ...]:
        """Provision it with what the vault holds; the objects that this changes."""
        return deploy(self.file, apiserver.CONTEXT, self.given(vault), check=check, parts=PARTS).objects

    def rotate(self, vault: dict[str, str] = OLD, *, check: bool = False, **more: Any) -> tuple[str, ...]:
        """Rotate it; the objects that this changes."""
        given = self.given(vault) | more
        return rotate(self.file, apiserver.CONTEXT, given, check=check, parts=["secrets"]).objects

    def given(self, vault: dict[str, str]) -> dict[str, Any]:
        """The variables."""
        return {
            "platform_credentials": vault,
            "platform_unenforced": "accepted",
            "platform_kafka_security": "plaintext",
        }

    def secrets(self) -> list[dict[str, Any]]:
        """The Secret, version by version."""
        return [one for one in self.store.versions if one["metadata"]["name"] == "production-credentials"]

    def secret(self) -> dict[str, str]:
        """What it holds now."""
        return plain(self.store.objects[SECRET])

    def password(self) -> str:
        """The one password that the database was told."""
        ((asked, script),) = self.store.told
        (found,) = re.findall("""ALTER ROLE "iceberg" PASSWORD '(.*)';""", script)
        assert "iceberg-catalog-0/exec?" in asked
        assert found not in asked
        return str(found)


def plain(secret: dict[str, Any]) -> dict[str, str]:
    """A Secret's data."""
    return {key: base64.b64decode(text).decode() for key, text in secret["data"].items()}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The platform."""
    folder = tmp_path_factory.mktemp("rotated")
    with pytest.MonkeyPatch.context() as patch:
        # Where the Kubernetes client keeps what an API server knows
        patch.setattr(tempfile, "tempdir", str(folder))
        with apiserver.serving(folder, "judges") as (file, store):
            yield Scene(file, store)


@pytest.fixture
def scene(platform: Scene) -> Scene:
    """The platform, not yet rotated."""
    return platform.again()


@pytest.fixture(scope="module")
def steps(platform: Scene) -> list[dict[str, Any]]:
    """The Secret after each step of a whole rotation, which is seen to go as check mode told."""
    platform.again()
    told = platform.rotate(check=True)
    assert told == CHANGED
    assert (platform.store.written, platform.store.told) == ([], [])
    assert platform.rotate() == told
    secrets = platform.secrets()
    assert platform.password() == plain(secrets[-1])["iceberg-catalog-password"]
    order = [path.rpartition("/")[2] for path in platform.store.written]
    assert order == [
        *("production-credentials", "commodity-feed"),
        *("production-credentials", "commodity-analytics-consumer"),
        *("production-credentials", "commodity-feed"),
    ]
    assert platform.deploy() == ()
    return secrets


@PLATFORM
def test_all_are_made_anew_and_taken_into_use_in_three_steps(steps: list[dict[str, Any]]) -> None:
    """Accepted before it is used, used before the old is refused; nothing of the old is kept."""
    accept, use, drop = map(plain, steps)
    new = {key: drop[key] for key in KEYS}
    assert len({*new.values(), *OLD.values()}) == 2 * len(KEYS)
    assert all(re.fullmatch("[A-Za-z0-9]{43}", value) for value in new.values())
    for key in KEYS:
        assert [step[key] for step in (accept, use, drop)] == [OLD[key], new[key], new[key]]
    for token in TOKENS:
        accepted = [step[f"accepted.{token}"].split("\n") for step in (accept, use, drop)]
        assert accepted == [[OLD[token], new[token]], [OLD[token], new[token]], [new[token]]]
    assert not [key for step in (use, drop) for key in step if key.startswith("next.")]
    assert not [value for value in drop.values() if value in OLD.values()]
    assert steps[-1]["metadata"]["annotations"].keys() == {"assay.dev/rotated"}


@PLATFORM
def test_what_was_changed_in_the_vault_is_taken_from_there_and_nothing_else(scene: Scene) -> None:
    """`site.yml` refuses it in a sentence that says what to do, and takes it once it was rotated in.

    A password goes to the database as an SQL literal.
    """
    vault = OLD | {"feed-token": "chosen", "iceberg-catalog-password": r"it's \quoted :'x'"}
    with pytest.raises(UsageError, match=r"gives feed-token, iceberg-.* another value .*assay rotate --what secrets"):
        scene.deploy(vault)
    assert scene.store.written == []
    scene.rotate(vault)
    assert scene.secret().items() >= vault.items()
    assert scene.password() == r"it''s \quoted :''x''"
    assert scene.deploy(vault) == ()


@PLATFORM
@pytest.mark.parametrize("step", [0, 1])
def test_one_that_was_cut_off_goes_on_with_the_same_values(
    scene: Scene, steps: list[dict[str, Any]], step: int
) -> None:
    """Even before anybody but the Secret knew of the step; a deployment in between leaves the Secret as it is."""
    scene.again(steps[step])
    scene.deploy()
    assert scene.secret() == plain(steps[step])
    scene.rotate()
    assert scene.secret() == plain(steps[-1])
    assert len(scene.store.told) == (1 if step == 0 else 0)


@PLATFORM
def test_a_database_that_refuses_stops_it_before_anything_else_is_used(scene: Scene) -> None:
    """In a sentence with the database's reason; the feed accepts both tokens, so that nobody is shut out meanwhile."""
    scene.store.failure = 'ERROR:  role "iceberg" does not exist'
    try:
        with pytest.raises(AssayError, match=r"iceberg-catalog-0 .*\(ERROR: role .* exist\): see that .* run it again"):
            scene.rotate()
    finally:
        scene.store.failure = ""
    held = scene.secret()
    assert held.items() >= OLD.items()
    assert [held[f"accepted.{token}"].splitlines() for token in TOKENS] == [
        [OLD[token], held[f"next.{token}"]] for token in TOKENS
    ]


@PLATFORM
def test_the_token_of_somebody_elses_api_is_not_made_here(scene: Scene) -> None:
    """It stays, until the vault has another."""
    scene.rotate(platform_etl_feed_url="https://prices.example")
    assert [key for key in KEYS if scene.secret()[key] == OLD[key]] == ["feed-token"]


def test_where_there_is_no_platform_nothing_is_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one sentence."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with apiserver.serving(tmp_path, "judges") as (file, store):
        with pytest.raises(AssayError, match=r"no Secret production-credentials in production: provision .* first"):
            rotate(file, apiserver.CONTEXT)
        assert store.written == []


@PLATFORM
def test_where_there_are_no_certificates_none_are_rotated(scene: Scene) -> None:
    """Whoever asks for them by name is told; else the rest is done, as above."""
    with pytest.raises(AssayError, match=r"made with platform_kafka_security plaintext: it has no certificates"):
        rotate(scene.file, apiserver.CONTEXT, parts=["certificates"])
    assert scene.store.written == []


@PLATFORM
def test_without_the_last_step_the_others_keep_their_order(scene: Scene) -> None:
    """A new authority is trusted before it signs, and the old one beside it at the end."""
    given = scene.given(OLD) | {"platform_certificates_external_addresses": ["192.0.2.1"]}
    deploy(scene.file, apiserver.CONTEXT, given | {"platform_kafka_security": "mtls"}, parts=PARTS)
    scene.store.versions.clear()
    rotate(scene.file, apiserver.CONTEXT, given | {"platform_certificates_drop": False}, parts=["certificates"])
    versions = [one for one in scene.store.versions if one["metadata"]["name"] == "production-kafka-authority"]
    assert [sorted(one["data"]) for one in versions] == [
        ["next.crt", "next.key", "tls.crt", "tls.key"],
        ["previous.crt", "tls.crt", "tls.key"],
    ]


@PLATFORM
def test_check_mode_goes_through_both_kinds_where_there_are_certificates(scene: Scene) -> None:
    """As the platform itself says; nothing is written."""
    given = scene.given(OLD) | {"platform_certificates_external_addresses": ["192.0.2.1"]}
    deploy(scene.file, apiserver.CONTEXT, given | {"platform_kafka_security": "mtls"}, parts=["namespace"])
    scene.store.written.clear()
    told = rotate(scene.file, apiserver.CONTEXT, given, check=True, parts=["certificates", "secrets"]).objects
    leaves = ("authority", "broker", "admin", "producer", "consumer", "etl")
    assert {*CHANGED, "StatefulSet kafka", *(f"Secret production-kafka-{leaf}" for leaf in leaves)} <= set(told)
    assert scene.store.written == []
