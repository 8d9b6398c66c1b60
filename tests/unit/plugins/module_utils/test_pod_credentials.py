# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pods still need an old CA or key, from files laid out as a kubelet does."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._pod_credentials import complaints, key_id
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.certificate import new_key, public_pem
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.keys import key_id as id_of_public


def pem(name: str) -> str:
    """Something that looks like a certificate."""
    return f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n"


def token(kid: object) -> str:
    """A token's first two parts are enough to see who signed it."""
    head = base64.urlsafe_b64encode(json.dumps({"alg": "ES256", "kid": kid}).encode()).decode().rstrip("=")
    return f"{head}.e30.c2lnbmF0dXJl"


def pod(root: Path, uid: str, volume: str, files: dict[str, str], name: str = "") -> None:
    """A pod with one projected volume."""
    folder = root / "var/lib/kubelet/pods" / uid / "volumes/kubernetes.io~projected" / volume
    content = folder / "..2026_11_25_03_00_00.1"
    for path, text in files.items():
        (content / path).parent.mkdir(parents=True, exist_ok=True)
        (content / path).write_text(text)
        if "/" not in path:
            (folder / path).symlink_to(f"..data/{path}")
    (folder / "..data").symlink_to(content.name)
    if name:
        (root / "var/log/pods" / f"{name}_{uid}").mkdir(parents=True)


def test_a_node_without_pods(tmp_path: Path) -> None:
    """Or with none that talks to the API."""
    assert complaints(tmp_path, pem("new"), "old") == []


def test_pods_that_do_not_have_all_cas(tmp_path: Path) -> None:
    """By name; what else is called ca.crt is not looked at."""
    pod(tmp_path, "1", "kube-api-access-abcde", {"ca.crt": pem("old") + pem("new")}, "default_good")
    pod(tmp_path, "2", "kube-api-access-fghij", {"ca.crt": pem("old")}, "kube-system_late")
    pod(tmp_path, "3", "own", {"ca.crt": pem("other")}, "default_own")
    pod(tmp_path, "4", "kube-api-access-klmno", {"ca.crt": pem("old")})
    assert complaints(tmp_path, pem("new") + pem("old"), "") == [
        "4 does not have all CAs yet",
        "kube-system/late does not have all CAs yet",
    ]
    assert complaints(tmp_path, pem("old"), "") == []


def test_pods_with_tokens_of_the_old_key(tmp_path: Path) -> None:
    """Whatever the volume and the path in it."""
    pod(tmp_path, "1", "kube-api-access-abcde", {"token": token("old"), "ca.crt": pem("old")}, "default_one")
    pod(tmp_path, "2", "vault", {"deep/er": token("old"), "token": token("new")}, "default_two")
    pod(tmp_path, "3", "kube-api-access-fghij", {"token": token("new"), "namespace": "default"}, "default_three")
    assert complaints(tmp_path, "", "old") == [
        "default/one has a token that the old key signed",
        "default/two has a token that the old key signed",
    ]


def test_a_pod_that_ends_meanwhile(tmp_path: Path) -> None:
    """Its files are gone: nothing to complain about."""
    pod(tmp_path, "1", "kube-api-access-abcde", {"token": token("old"), "ca.crt": pem("old")}, "default_one")
    volume = tmp_path / "var/lib/kubelet/pods/1/volumes/kubernetes.io~projected/kube-api-access-abcde"
    (volume / "..data").unlink()
    (volume / "..data").symlink_to("gone")
    assert complaints(tmp_path, "", "old") == []


@pytest.mark.parametrize("text", ["", "eyJ", "eyJ.x", "ey!.x.y", "hello.world", token(None)[:5] + ".x", "e30.x.y"])
def test_what_is_no_token(text: str) -> None:
    """Any file may be in a volume."""
    assert key_id(text) in (None, "None")


def test_the_name_of_a_key() -> None:
    """As kube-apiserver makes it: base64 without padding of the SHA-256 of the public key."""
    name = id_of_public(public_pem(new_key()))
    assert len(name) == 43
    assert key_id(token(name)) == name
