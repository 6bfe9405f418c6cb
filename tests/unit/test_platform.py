"""The platform through its Kubernetes API: what we may not do is a sentence, whoever meets it first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import answering
import pytest
from answering import Refusing
from kubernetes import client

from assay.errors import AssayError

if TYPE_CHECKING:
    from pathlib import Path


class Broken(Refusing):
    """An API server that is unwell."""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """It says so."""
        del method, path, body
        return 500, {"kind": "Status", "message": "etcd is away", "code": 500}


def test_what_we_may_not_do_is_a_sentence(tmp_path: Path) -> None:
    """In the API server's words, and with the command that says what is needed; also over a connection of its own."""
    with answering.platform(tmp_path, Refusing) as platform:
        for api in (platform.core, platform.connection()):
            with pytest.raises(AssayError, match=r"refuses it: forbidden: you may do nothing\. `assay rights`") as met:
                api.list_namespaced_pod(platform.namespace)
            assert isinstance(met.value, client.ApiException)  # whoever has a better sentence, catches it as before
            assert met.value.status == 403


def test_what_went_wrong_otherwise_is_none(tmp_path: Path) -> None:
    """It has another cause, and is not told as a lack of rights."""
    with answering.platform(tmp_path, Broken) as platform, pytest.raises(client.ApiException) as met:
        platform.pods("kafka")
    assert not isinstance(met.value, AssayError)
