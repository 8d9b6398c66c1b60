# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots that are whole, of members that are healthy, and what their keys say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup.common import BackupError
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup.etcd import (
    Etcd,
    count_kinds,
    kind_and_name,
    verify,
)
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._backup.conftest import (
    KEYS,
    STATUS,
    UID,
    Host,
)


@pytest.mark.parametrize(
    ("key", "kind", "name"),
    [
        ("/registry/pods/shop/web-1", "pods", "shop/web-1"),
        ("/registry/namespaces/shop", "namespaces", "shop"),
        ("/registry/services/specs/shop/web", "services", "shop/web"),
        ("/registry/services/endpoints/shop/web", "endpoints", "shop/web"),
        ("/registry/example.org/lamps/shop/desk", "lamps.example.org", "shop/desk"),
        ("/registry/apiregistration.k8s.io/apiservices/v1.apps", "apiservices.apiregistration.k8s.io", "v1.apps"),
    ],
)
def test_keys_say_what_an_object_is(key: str, kind: str, name: str) -> None:
    """As `kubectl` would name it."""
    assert kind_and_name(key) == (kind, name)


def test_a_snapshot_is_of_a_member_that_is_healthy(host: Host) -> None:
    """The next one is asked where one is dead."""
    path = host.folder / "etcd.db"
    assert Etcd(host.settings).save(path) == ("https://m1:2379", STATUS)
    host.breaks("dead")
    assert Etcd(host.settings).save(path) == ("https://m2:2379", STATUS)
    assert path.stat().st_mode & 0o777 == 0o600
    host.breaks("gone")
    with pytest.raises(BackupError, match=r"no member of etcd is healthy: https://m1:2379: .*unhealthy cluster"):
        Etcd(host.settings).save(path)


def cut(content: bytes) -> bytes:
    """By its last byte."""
    return content[:-1]


def flip(content: bytes) -> bytes:
    """One bit."""
    return content[:100] + bytes([content[100] ^ 1]) + content[101:]


@pytest.mark.parametrize(
    ("damage", "error"),
    [(cut, "is cut off: 1055 bytes"), (flip, "is damaged: its hash"), (lambda _content: b"", "is cut off: 0 bytes")],
)
def test_a_snapshot_that_is_not_whole_is_none(host: Host, damage: Callable[[bytes], bytes], error: str) -> None:
    """And nothing is left of it; what was there before stays."""
    path = host.folder / "etcd.db"
    path.write_text("before", encoding="ascii")
    database = host.folder / "database"
    database.write_bytes(damage(database.read_bytes()))
    with pytest.raises(BackupError, match=f"no member of etcd gave a snapshot that is whole: .*{error}"):
        Etcd(host.settings).save(path)
    assert path.read_text(encoding="ascii") == "before"
    assert [it.name for it in host.folder.glob(".etcd*")] == []
    with pytest.raises(BackupError, match=error):
        verify(host.settings, database)


def test_what_is_in_it(host: Host) -> None:
    """At the snapshot's own revision."""
    etcd = Etcd(host.settings)
    assert etcd.keys("https://m1:2379", 7) == KEYS
    assert etcd.uid("https://m1:2379") == UID
    assert count_kinds(KEYS)["lamps.example.org"] == 1
