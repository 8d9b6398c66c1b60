# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Binaries: compared by the digest that was recorded, fetched from the artifact store, verified before use."""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .host import ComponentError, Host

CHUNK = 1 << 20
PREVIOUS = "previous"


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def signature(host: Host, dest: str) -> list[int] | None:
    """What tells that a file was touched without reading it: size, time of change, inode."""
    try:
        status = host.path(dest).stat()
    except FileNotFoundError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def is_installed(host: Host, binary: dict[str, Any], recorded: dict[str, Any]) -> bool:
    """Whether dest already holds the wanted bytes; reads the file only when it was touched since it was recorded."""
    found = signature(host, binary["dest"])
    if found is None:
        return False
    known = recorded.get(binary["dest"], {})
    digest = known.get("sha256") if known.get("signature") == found else file_digest(host.path(binary["dest"]))
    return bool(digest == binary["sha256"] and host.path(binary["dest"]).stat().st_mode & 0o777 == 0o755)


def staged(dest: str, sha256: str) -> str:
    """Where a verified download waits, in the folder of its destination so that it can be renamed."""
    folder, name = os.path.split(dest)
    return f"{folder}/.{name}.{sha256[:16]}"


def tidy(host: Host, dest: str) -> None:
    """Remove what an interrupted run downloaded or was about to put back."""
    real = host.path(dest)
    for leftover in [host.path(staged(dest, PREVIOUS)), *real.parent.glob(f".{real.name}.{'[0-9a-f]' * 16}")]:
        leftover.unlink(missing_ok=True)


def fetch_all(host: Host, binaries: Sequence[dict[str, Any]], store: dict[str, Any]) -> None:
    """Download all binaries beside their destinations, before anything on the host is changed."""
    if not binaries:
        return
    if not store.get("urls"):
        raise ComponentError(
            "no artifact store is known, so nothing can be fetched; is there a host in group `outside`?"
        )
    context = ssl.create_default_context(cadata=store["ca"]) if store.get("ca") else ssl.create_default_context()
    unique = {(binary["dest"], binary["sha256"]): binary for binary in binaries}
    with ThreadPoolExecutor(max_workers=2) as pool:
        for future in [pool.submit(_fetch, host, binary, store["urls"], context) for binary in unique.values()]:
            future.result()


def _fetch(host: Host, binary: dict[str, Any], urls: Sequence[str], context: ssl.SSLContext) -> None:
    real = host.path(staged(binary["dest"], binary["sha256"]))
    if real.exists() and file_digest(real) == binary["sha256"]:
        real.chmod(0o755)
        return
    real.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for base in urls:
        url = f"{base}/sha256/{binary['sha256']}"
        try:
            _download(url, context, str(real), binary)
        except (OSError, http.client.HTTPException, ComponentError) as error:
            real.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno == 28:
                need = f"{binary['dest']} ({binary['size'] >> 20} MiB)"
                raise ComponentError(
                    f"no space left for {need}: free some space and run again; nothing was changed"
                ) from error
            status = f"{error.code} " if isinstance(error, urllib.error.HTTPError) else ""
            failures.append(f"{url}: {status}{getattr(error, 'reason', error)}")
        else:
            real.chmod(0o755)
            return
    raise ComponentError(
        f"cannot fetch {binary['name']}: {'; '.join(failures)}. Nothing was changed; "
        "`ansible-playbook selfhosted.kubernetes.site` fills the store on the outside host"
    )


def _download(url: str, context: ssl.SSLContext, part: str, binary: dict[str, Any]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    digest, size, buffer = hashlib.sha256(), 0, memoryview(bytearray(CHUNK))
    with opener.open(url, timeout=30) as answer, open(part, "wb", buffering=0) as stream:
        while count := answer.readinto(buffer):
            digest.update(buffer[:count])
            stream.write(buffer[:count])
            size += count
    if digest.hexdigest() != binary["sha256"]:
        raise ComponentError(
            f"wrong checksum: expected sha256 {binary['sha256']}, got {digest.hexdigest()} ({size} bytes); "
            "remove that file from artifact_store_root/sha256 on that host"
        )
