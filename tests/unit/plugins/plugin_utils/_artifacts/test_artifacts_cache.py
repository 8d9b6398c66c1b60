# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files by content, and what happens when someone or something was at them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts import cache as cache_module
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.cache import Cache, digest_of

Digest = Callable[[bytes], str]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """With one entry of two programs."""
    made = Cache(str(tmp_path / "cache"))
    put(made, "etcd", "recipe", {"etcd": b"server", "etcdctl": b"client"})
    return made


def put(cache: Cache, name: str, recipe: str, content: dict[str, bytes]) -> None:
    """What a source would have made."""
    with cache.locked(print):
        for program, data in content.items():
            (cache.work / program).write_bytes(data)
        cache.put(name, recipe, {program: cache.work / program for program in content})


def test_what_was_put_is_there(cache: Cache, sha256: Digest) -> None:
    """By content, executable, with its size."""
    files = cache.get("etcd", "recipe")
    assert files is not None
    assert {name: (file["sha256"], file["size"]) for name, file in files.items()} == {
        "etcd": (sha256(b"server"), 6),
        "etcdctl": (sha256(b"client"), 6),
    }
    path = cache.content / sha256(b"server")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"server", 0o755)
    assert Cache(str(cache.folder)).get("etcd", "recipe") == files


def test_never_made_or_by_another_recipe(cache: Cache) -> None:
    """Nothing is to be had."""
    assert cache.get("runc", "recipe") is None
    assert cache.get("etcd", "another recipe") is None


def test_an_unchanged_file_is_not_read(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """This is what an unchanged run costs."""
    monkeypatch.setattr(cache_module, "digest_of", lambda _: pytest.fail("it was read"))
    assert cache.get("etcd", "recipe") is not None


def test_a_touched_file_is_read(cache: Cache, sha256: Digest) -> None:
    """It may be the same; then only once."""
    path = cache.content / sha256(b"server")
    os.utime(path, (1, 1))
    assert cache.get("etcd", "recipe") is not None
    assert path.stat().st_mtime == cache_module.MTIME


@pytest.mark.parametrize("content", [b"SERVER", b"serv", b"", b"server and more"])
def test_a_file_that_differs_is_removed(cache: Cache, sha256: Digest, content: bytes) -> None:
    """The next run makes it again."""
    path = cache.content / sha256(b"server")
    path.write_bytes(content)
    os.utime(path, (1, 1))
    assert cache.get("etcd", "recipe") is None
    assert not path.exists()


def test_a_missing_file(cache: Cache, sha256: Digest) -> None:
    """An entry has all of its files or is none."""
    (cache.content / sha256(b"client")).unlink()
    assert cache.get("etcd", "recipe") is None


def test_an_index_that_a_full_disk_cut(cache: Cache) -> None:
    """Never an error."""
    index = cache.folder / "index" / "etcd.json"
    index.write_bytes(index.read_bytes()[:20])
    assert cache.get("etcd", "recipe") is None


def test_two_entries_may_have_the_same_content(cache: Cache, sha256: Digest) -> None:
    """One file serves both."""
    put(cache, "other", "recipe", {"copy": b"server"})
    for name in ("etcd", "other"):
        assert cache.get(name, "recipe") is not None
    assert sorted(path.name for path in cache.content.iterdir()) == sorted([sha256(b"server"), sha256(b"client")])


def test_a_file_killed_between_content_and_index_is_no_entry(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry is written last."""

    def killed(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(json, "dumps", killed)
        with pytest.raises(KeyboardInterrupt):
            put(cache, "runc", "recipe", {"runc": b"runc"})
    assert cache.get("runc", "recipe") is None
    put(cache, "runc", "recipe", {"runc": b"runc"})
    assert cache.get("runc", "recipe") is not None


def test_what_a_killed_run_left_is_removed(cache: Cache) -> None:
    """Half a build is nobody's."""
    cache.work.mkdir()
    (cache.work / "half").write_bytes(b"half")
    with cache.locked(print):
        assert not list(cache.work.iterdir())
    assert not cache.work.exists()


def test_the_second_run_waits(cache: Cache) -> None:
    """It says so, and finds all done."""
    order: list[str] = []

    def second() -> None:
        with Cache(str(cache.folder)).locked(order.append):
            order.append("second")

    with cache.locked(print):
        thread = threading.Thread(target=second)
        thread.start()
        while not order:
            time.sleep(0.01)
        order.append("first")
    thread.join(60)
    assert order == [f"artifacts: waiting for another run that fills {cache.folder}", "first", "second"]


def test_digest_of_a_large_file(tmp_path: Path, sha256: Digest) -> None:
    """More than one buffer."""
    content = bytes(range(256)) * 10_000
    (tmp_path / "large").write_bytes(content)
    assert digest_of(tmp_path / "large") == sha256(content)
