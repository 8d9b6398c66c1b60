# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from a server with the layout of upstream's release hosts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.cache import ArtifactError
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.sources import (
    Release,
    UnreachableError,
    Wanted,
)

KUBELET = "/dl.k8s.io/release/v1.37.2/bin/linux/amd64/kubelet"
Digest = Callable[[bytes], str]
Archive = Callable[[dict[str, bytes]], bytes]
Get = Callable[..., dict[str, bytes]]


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    """The user's file of digests; not there yet."""
    return tmp_path / "inventory" / "artifacts.pins.json"


@pytest.fixture
def get(upstream: Any, pins: Path, tmp_path: Path, said: list[str]) -> Get:
    """One run in an empty work folder: content by program."""

    def once(wanted: Wanted, mirror: str | None = None) -> dict[str, bytes]:
        work = tmp_path / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        made = Release(pins, upstream.base if mirror is None else mirror).get(wanted, work, said.append)
        return {name: path.read_bytes() for name, path in made.items()}

    return once


def single(url: str, member: str = "", checksum: str = "") -> Wanted:
    """One program with a release of one's own."""
    release = {"url": url, **({"member": member} if member else {}), **({"checksum": checksum} if checksum else {})}
    return Wanted("tool", "1.0", "amd64", {"release": release}, {"tool": {}})


def test_programs_are_those_of_upstream_and_pinned(
    get: Get, wanted: Wanted, kubernetes: dict[str, bytes], pins: Path, upstream: Any, sha256: Digest, said: list[str]
) -> None:
    """Each beside its checksum file; the digests go beside the inventory."""
    assert get(wanted) == kubernetes
    host = upstream.base.split("://")[1]
    assert json.loads(pins.read_text()) == {
        f"{host}/dl.k8s.io/release/v1.37.2/bin/linux/amd64/{name}": sha256(content)
        for name, content in kubernetes.items()
    }
    before = pins.stat().st_mtime_ns
    assert get(wanted) == kubernetes
    assert pins.stat().st_mtime_ns == before
    assert [path.name for path in pins.parent.iterdir()] == [pins.name]
    assert said == []


def test_a_mirror_has_a_host_as_a_folder(get: Get, wanted: Wanted, kubernetes: dict[str, bytes], upstream: Any) -> None:
    """Below any base URL, with or without a slash at its end."""
    upstream.files = {f"/mirrors/of/all{path}": file for path, file in upstream.files.items()}
    assert get(wanted, f"{upstream.base}/mirrors/of/all/") == kubernetes
    assert f"/mirrors/of/all{KUBELET}.sha256" in upstream.asked


def test_without_a_mirror_the_lock_says_where(get: Get, upstream: Any) -> None:
    """Its URLs are used as they are."""
    upstream.put("/tool-amd64-x86_64", b"tool")
    assert get(single(f"{upstream.base}/{{program}}-{{arch}}-{{uname}}"), "") == {"tool": b"tool"}


def test_wrong_checksum(get: Get, wanted: Wanted, kubernetes: dict[str, bytes], upstream: Any, pins: Path) -> None:
    """Both digests are named, and nothing is pinned."""
    assert kubernetes
    upstream.put(f"{KUBELET}.sha256", b"0" * 64)
    with pytest.raises(ArtifactError, match=rf"kubelet: wrong checksum: .*\.sha256 says {'0' * 64}, the file has"):
        get(wanted)
    assert not pins.exists()


def test_truncated(get: Get, wanted: Wanted, kubernetes: dict[str, bytes], upstream: Any, pins: Path) -> None:
    """The server promised more than it sent; the next run, with all of it, goes on."""
    body = kubernetes["kubelet"]
    upstream.put(KUBELET, body[:1000], Content_Length=str(len(body)))
    with pytest.raises(ArtifactError, match=r"kubelet: the download was cut off after 1000 of 1900 bytes; run again"):
        get(wanted)
    assert not pins.exists()
    upstream.put(KUBELET, body)
    assert get(wanted) == kubernetes


def test_truncated_without_a_length(get: Get, upstream: Any) -> None:
    """A chunk that ends in the middle."""
    upstream.put("/tool", b"ff\r\nonly this", Transfer_Encoding="chunked")
    with pytest.raises(ArtifactError, match="tool: the download was cut off"):
        get(single(f"{upstream.base}/tool"), "")


@pytest.mark.parametrize("missing", [KUBELET, f"{KUBELET}.sha256"])
def test_missing(get: Get, wanted: Wanted, kubernetes: dict[str, bytes], upstream: Any, missing: str) -> None:
    """Program or checksum file: no release of that version."""
    assert kubernetes
    del upstream.files[missing]
    with pytest.raises(ArtifactError, match=rf"{missing} answered 404 Not Found: does this version exist") as e:
        get(wanted)
    assert not isinstance(e.value, UnreachableError), "another source must not hide it"


def test_pinned_digest_differs(
    get: Get, wanted: Wanted, kubernetes: dict[str, bytes], upstream: Any, pins: Path, sha256: Digest
) -> None:
    """Upstream replaced file and checksum together: the user decides."""
    get(wanted)
    upstream.put(KUBELET, b"another kubelet")
    upstream.put(f"{KUBELET}.sha256", sha256(b"another kubelet").encode())
    before = pins.read_bytes()
    old, new = sha256(kubernetes["kubelet"]), sha256(b"another kubelet")
    with pytest.raises(ArtifactError, match=rf"is not what it was: pinned {old} in {pins}, now {new}"):
        get(wanted)
    assert pins.read_bytes() == before
    # What the error advises.
    kept = {name: digest for name, digest in json.loads(before).items() if not name.endswith("/kubelet")}
    pins.write_text(json.dumps(kept), encoding="utf-8")
    assert get(wanted)["kubelet"] == b"another kubelet"


def test_pins_that_a_hand_damaged(get: Get, wanted: Wanted, kubernetes: dict[str, bytes], pins: Path) -> None:
    """A comma too many after a line was removed."""
    assert kubernetes
    pins.parent.mkdir()
    pins.write_text('{"a": "b",}', encoding="utf-8")
    with pytest.raises(ArtifactError, match=f"{pins} is no JSON .*: correct it by hand"):
        get(wanted)
    assert pins.read_text(encoding="utf-8") == '{"a": "b",}'


@pytest.mark.parametrize("base", ["http://127.0.0.1:9", "http://127.0.0.1:9/mirror"])
def test_unreachable(get: Get, wanted: Wanted, base: str) -> None:
    """Another source may do."""
    with pytest.raises(UnreachableError, match=r"http://127.0.0.1:9\S*/kubelet cannot be reached: .*refused"):
        get(wanted, base)


def test_no_release(get: Get, wanted: Wanted) -> None:
    """Of a program that is only built."""
    with pytest.raises(UnreachableError, match=r"tool 1.0 \(amd64\) has no release"):
        get(Wanted("tool", "1.0", "amd64", {}, wanted.programs))


def test_a_full_disk(
    get: Get,
    wanted: Wanted,
    kubernetes: dict[str, bytes],
    pins: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is left of the download, and the next run goes on."""

    def full(_source: object, target: Any, _length: int) -> None:
        target.write(b"as much as there was room for")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", full)
        with pytest.raises(
            ArtifactError, match=r"work cannot be written: no space left on device; free some space"
        ) as e:
            get(wanted)
    assert not isinstance(e.value, UnreachableError)
    assert not list((tmp_path / "work").iterdir())
    assert not pins.exists()
    assert get(wanted) == kubernetes


def test_without_a_checksum_file_the_first_download_is_trusted_aloud(
    get: Get, upstream: Any, sha256: Digest, said: list[str]
) -> None:
    """Once; from then on the pin says what it has to be."""
    upstream.put("/example.org/tool", b"tool")
    wanted = single("https://example.org/tool")
    for _ in range(2):
        assert get(wanted) == {"tool": b"tool"}
    url = f"{upstream.base}/example.org/tool"
    assert said == [f"warning: upstream has no checksum of {url}: trusted as first seen, sha256 {sha256(b'tool')}"]


# ---- archives
def test_members_of_an_archive(get: Get, upstream: Any, archive: Archive) -> None:
    """It is fetched once for all programs."""
    lock = {"release": {"url": "https://example.org/etcd-{arch}.tar.gz", "member": "etcd-{arch}/{program}"}}
    content = {"etcd-amd64/": b"", "etcd-amd64/etcd": b"server", "etcd-amd64/etcdctl": b"client"}
    upstream.put("/example.org/etcd-amd64.tar.gz", archive(content))
    made = get(Wanted("etcd", "3.7.3", "amd64", lock, {"etcd": {}, "etcdctl": {}}))
    assert made == {"etcd": b"server", "etcdctl": b"client"}
    assert upstream.asked == ["/example.org/etcd-amd64.tar.gz"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"other": b"x"}, "filename 'tool' not found"),
        ({"tool/": b""}, "tool"),
        (None, "not a gzip file|could not be opened"),
    ],
    ids=["absent", "a folder", "no archive"],
)
def test_an_archive_without_the_member(
    get: Get, upstream: Any, archive: Archive, content: dict[str, bytes] | None, reason: str
) -> None:
    """Says which, and of what."""
    body = archive(content) if content else b"<html>an error page</html>"
    upstream.put("/example.org/tool.tar.gz", body)
    with pytest.raises(ArtifactError, match=rf"of tool 1.0 \(amd64\) has no readable tool: .*({reason})"):
        get(single("https://example.org/tool.tar.gz", "tool"))


def test_an_archive_that_ends_early(get: Get, upstream: Any, archive: Archive) -> None:
    """Without a checksum file nothing else would notice."""
    upstream.put("/example.org/tool.tar.gz", archive({"tool": bytes(range(256)) * 1000})[:-400])
    with pytest.raises(ArtifactError, match="has no readable tool"):
        get(single("https://example.org/tool.tar.gz", "tool"))


# ---- checksum files, as upstreams write them
@pytest.mark.parametrize(
    "listing",
    [
        "{digest}",
        "{digest}\n",
        "{upper}\n",
        "{digest}  tool.tar.gz\n",
        "{digest} *tool.tar.gz\n",
        "{digest}  ./tool.tar.gz\n",
        "{digest}  bin/tool.tar.gz\n",
        "{other}  tool.tar.gz.asc\n{other}  other-tool.tar.gz\n\n{digest}  tool.tar.gz\n",
        "# sums\n{other}  nothing\n{digest}\ttool.tar.gz\n",
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{digest}  tool.tar.gz\n-----BEGIN PGP SIGNATURE-----\n",
    ],
)
def test_checksum_files(get: Get, upstream: Any, sha256: Digest, archive: Archive, listing: str) -> None:
    """A bare digest, or lines of digest and name."""
    body = archive({"tool": b"tool"})
    digest = sha256(body)
    text = listing.format(digest=digest, upper=digest.upper(), other="0" * 64)
    upstream.put("/example.org/tool.tar.gz", body)
    upstream.put("/example.org/SHA256SUMS", text.encode())
    wanted = single("https://example.org/tool.tar.gz", "tool", "https://example.org/SHA256SUMS")
    assert get(wanted) == {"tool": b"tool"}


@pytest.mark.parametrize("listing", [b"", b"0000  other.tar.gz\n", b"\xff\xfe binary\n"])
def test_checksum_files_without_our_line(get: Get, upstream: Any, listing: bytes) -> None:
    """Never taken for a match."""
    upstream.put("/example.org/tool", b"tool")
    upstream.put("/example.org/SHA256SUMS", listing)
    with pytest.raises(ArtifactError, match="upstream's checksum file has no line for tool"):
        get(single("https://example.org/tool", checksum="https://example.org/SHA256SUMS"))


def test_a_single_file_is_pinned_as_it_was_first_seen(
    upstream: Any, pins: Path, tmp_path: Path, said: list[str], sha256: Digest
) -> None:
    """It is downloaded once; another one is refused and does not replace it, and a missing one names where to look."""
    path, dest = "/raw.example.org/v1/crds.yaml", tmp_path / "crds.yaml"
    url, release = f"https:/{path}", Release(pins, upstream.base, "`rook_version`")
    upstream.put(path, b"one")
    assert (release.has(url, dest), release.file(url, dest, said.append), release.has(url, dest)) == (False, True, True)
    assert said == [
        f"warning: upstream has no checksum of {upstream.base}{path}: trusted as first seen, sha256 {sha256(b'one')}"
    ]
    upstream.put(path, b"another one")
    assert release.file(url, dest, said.append) is False
    assert upstream.asked == [path]
    dest.write_bytes(b"what a hand wrote")
    with pytest.raises(ArtifactError, match=rf"is not what it was: pinned {sha256(b'one')} in {pins}, now"):
        release.file(url, dest, said.append)
    assert dest.read_bytes() == b"what a hand wrote"
    del upstream.files[path]
    with pytest.raises(ArtifactError, match=r"answered 404 .* does this version exist there\? See `rook_version`"):
        release.file(url, dest, said.append)
    assert sorted(it.name for it in tmp_path.iterdir() if it.name.endswith("yaml")) == ["crds.yaml"]


def test_the_recipe_depends_on_what_is_downloaded(wanted: Wanted, pins: Path) -> None:
    """And neither on the mirror, which has the same bytes, nor on anything else."""
    recipe = Release(pins).recipe(wanted)
    assert recipe == Release(pins, "https://mirror.example.org").recipe(wanted)
    other = Wanted("kubernetes", "1.37.2", "amd64", {"release": {"url": "https://example.org"}}, wanted.programs)
    assert recipe != Release(pins).recipe(other)
