# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching from a store over real TLS: what arrives is verified, and a failure leaves nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component import binaries
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import ComponentError, Host
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._component.tls import (
    certificate,
    serve,
)

CONTENT = b"a program\n" * 200_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
DEST = "/usr/local/bin/toy"
BINARY = {"name": "toy", "dest": DEST, "sha256": DIGEST, "size": len(CONTENT)}


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store's key and certificate."""
    return certificate(tmp_path_factory.mktemp("tls"))


def answer(path: str) -> tuple[int, bytes, int]:
    """A store as it should be."""
    return (200, CONTENT, len(CONTENT)) if path == f"/sha256/{DIGEST}" else (404, b"", 0)


def store(pem: Path, *urls: str) -> dict[str, Any]:
    """The module's argument."""
    return {"urls": list(urls), "ca": pem.read_text()}


def left(root: Path) -> list[Path]:
    """Files on the host."""
    return [path for path in root.rglob("*") if path.is_file()]


def test_verified_program_waits_beside_its_destination(root: Path, pem: Path) -> None:
    """Executable, not yet in place; and it is not fetched again."""
    with serve(pem, answer) as url:
        binaries.fetch_all(Host(str(root)), [BINARY], store(pem, url))
    waiting = root / binaries.staged(DEST, DIGEST).lstrip("/")
    assert left(root) == [waiting]
    assert waiting.stat().st_mode & 0o777 == 0o755
    binaries.fetch_all(Host(str(root)), [BINARY], store(pem, "https://127.0.0.1:1"))


def test_stores_are_tried_in_turn(root: Path, pem: Path) -> None:
    """One that is down does not matter."""
    with serve(pem, answer) as url:
        binaries.fetch_all(Host(str(root)), [BINARY], store(pem, "https://127.0.0.1:1", url))
    assert len(left(root)) == 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            (200, CONTENT[:-1] + b"x", len(CONTENT)),
            rf"wrong checksum: expected sha256 {DIGEST}, got [0-9a-f]{{64}}.*; remove that",
        ),
        ((200, CONTENT[:1000], len(CONTENT)), r"1000 bytes|IncompleteRead"),
        ((404, b"", 0), "404 Not Found"),
        ((503, b"", 0), "503 Service Unavailable"),
    ],
    ids=["wrong", "truncated", "absent", "broken"],
)
def test_bad_answer_leaves_nothing(root: Path, pem: Path, bad: tuple[int, bytes, int], message: str) -> None:
    """The error names the program, the address and what was wrong."""
    with serve(pem, lambda _path: bad) as url:
        with pytest.raises(ComponentError, match=message) as caught:
            binaries.fetch_all(Host(str(root)), [BINARY], store(pem, url))
        assert f"cannot fetch toy: {url}/sha256/{DIGEST}" in str(caught.value)
    assert left(root) == []


def test_unreachable_store_is_named(root: Path, pem: Path) -> None:
    """Connection refused, as the system says it."""
    with pytest.raises(ComponentError, match=r"https://127\.0\.0\.1:1/sha256/.*refused"):
        binaries.fetch_all(Host(str(root)), [BINARY], store(pem, "https://127.0.0.1:1"))


def test_store_of_another_ca_is_refused(root: Path, pem: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without our CA there is no download."""
    other = certificate(tmp_path_factory.mktemp("other"))
    with serve(other, answer) as url, pytest.raises(ComponentError, match="certificate verify failed"):
        binaries.fetch_all(Host(str(root)), [BINARY], store(pem, url))
    assert left(root) == []


def test_full_disk_is_said_and_leaves_nothing(root: Path, pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other stores are not tried: they would not fit either."""

    def full(_url: str, _context: object, part: str, _binary: object) -> None:
        Path(part).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(binaries, "_download", full)
    with pytest.raises(ComponentError, match=r"no space left for /usr/local/bin/toy \(1 MiB\)"):
        binaries.fetch_all(Host(str(root)), [BINARY], store(pem, "https://a", "https://b"))
    assert left(root) == []


def test_no_store_is_said(root: Path) -> None:
    """What is missing is a host in the inventory."""
    with pytest.raises(ComponentError, match="is there a host in group `outside`"):
        binaries.fetch_all(Host(str(root)), [BINARY], {})


def test_half_a_download_of_a_killed_run_is_replaced(root: Path, pem: Path) -> None:
    """It is verified like everything else."""
    waiting = root / binaries.staged(DEST, DIGEST).lstrip("/")
    waiting.parent.mkdir(parents=True)
    waiting.write_bytes(CONTENT[:5])
    with serve(pem, answer) as url:
        binaries.fetch_all(Host(str(root)), [BINARY], store(pem, url))
    assert binaries.file_digest(waiting) == DIGEST
