# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where programs come from: upstream's releases (or a mirror of them), an offline bundle, or their source."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import registry
from .cache import ArtifactError, digest_of

UNAME = {"amd64": "x86_64", "arm64": "arm64"}
CONNECT_SECONDS = 10
Progress = Callable[[str], None]


class UnreachableError(ArtifactError):
    """The source itself cannot be reached; another one may do."""


class MissingError(ArtifactError):
    """The source answers, but does not have it."""


@dataclass(frozen=True)
class Wanted:
    """One family of programs for one architecture."""

    name: str
    version: str
    arch: str
    lock: dict[str, Any]
    programs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.name} {self.version} ({self.arch})"


class Release:
    """Upstream's own downloads, or the same paths below a mirror's base URL.

    The digest comes from upstream's checksum file and is pinned at first sight.
    """

    name = "release"

    def __init__(
        self, pins: Path, mirror: str = "", variables: str = "`cluster_kubernetes_version` and `artifacts_mirror`"
    ) -> None:
        self.pins = pins
        self.variables = variables
        self.mirror = mirror.rstrip("/")

    def has(self, url: str, dest: Path) -> bool:
        """Whether a single file is there as it was pinned."""
        return dest.is_file() and self._pinned().get(_pin(self._mirrored(url))) == digest_of(dest)

    def file(self, url: str, dest: Path, progress: Progress) -> bool:
        """A single file, which upstream has no checksum of; whether it had to be downloaded."""
        if self.has(url, dest):
            return False
        source, temporary = self._mirrored(url), dest.with_name(f".{dest.name}.download")
        try:
            self._download(source, temporary)
            self._verify(source, None, temporary, progress)
            temporary.replace(dest)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def recipe(self, wanted: Wanted) -> str:
        """What an entry of the cache depends on."""
        return hashlib.sha256(
            json.dumps(
                [
                    *(self.name, wanted.version, wanted.lock.get("release"), sorted(wanted.programs)),
                    *([wanted.lock["ref"]] if "ref" in wanted.lock else []),
                ]
            ).encode()
        ).hexdigest()

    def get(self, wanted: Wanted, work: Path, progress: Progress) -> dict[str, Path]:
        """Download and verify; nothing unverified leaves the work folder."""
        if "ref" in wanted.lock:
            return self._image(wanted, work, progress)
        release = wanted.lock.get("release")
        if not release:
            raise UnreachableError(f"{wanted.title} has no release")
        made: dict[str, Path] = {}
        for program in wanted.programs:
            url = self._url(release["url"], wanted, program)
            file = work / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}.download"
            if not file.exists():
                self._download(url, file)
                checksum = self._url(release["checksum"], wanted, program) if release.get("checksum") else None
                self._verify(url, checksum, file, progress)
            made[program] = self._extract(file, release, wanted, program, work)
        return made

    def _image(self, wanted: Wanted, work: Path, progress: Progress) -> dict[str, Path]:
        """Copy from the registry that the image's name begins with."""

        def fetch(url: str) -> Path:
            file = work / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}.download"
            if not file.exists():
                self._download(self._mirrored(url), file, registry.ACCEPT)
            return file

        try:
            return registry.pull(
                wanted.lock["ref"],
                wanted.arch,
                fetch,
                lambda url, file: self._verify(self._mirrored(url), None, file, progress),
                work,
            )
        except MissingError as error:
            # A mirror may hold programs alone.
            raise UnreachableError(f"{wanted.title} has no release: {error}") from error

    def _mirrored(self, url: str) -> str:
        return url.replace("https://", f"{self.mirror}/") if self.mirror else url

    def _url(self, template: str, wanted: Wanted, program: str) -> str:
        return self._mirrored(template.format(arch=wanted.arch, uname=UNAME[wanted.arch], program=program))

    def _download(self, url: str, file: Path, accept: str = "*/*") -> None:
        request = urllib.request.Request(url, headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as answer, open(file, "wb") as stream:
                shutil.copyfileobj(answer, stream, 1 << 20)
                expected = answer.headers.get("Content-Length")
        except urllib.error.HTTPError as error:
            error.close()
            # What a proxy says when it cannot reach the host.
            if error.code in (502, 503, 504):
                raise UnreachableError(f"{url} cannot be reached: {error.code} {error.reason}") from error
            raise MissingError(
                f"{url} answered {error.code} {error.reason}: does this version exist there? See {self.variables}"
            ) from error
        except (urllib.error.URLError, ConnectionError, TimeoutError, ssl.SSLError) as error:
            file.unlink(missing_ok=True)
            raise UnreachableError(f"{url} cannot be reached: {getattr(error, 'reason', error)}") from error
        except OSError as error:
            file.unlink(missing_ok=True)
            raise ArtifactError(
                f"{file.parent} cannot be written: {(error.strerror or str(error)).lower()}; free some space, or set "
                "`artifacts_cache_dir`; the next run goes on"
            ) from error
        except http.client.HTTPException as error:
            raise ArtifactError(f"{url}: the download was cut off ({error}); run again") from error
        if expected and file.stat().st_size != int(expected):
            raise ArtifactError(
                f"{url}: the download was cut off after {file.stat().st_size} of {expected} bytes; run again"
            )

    def _pinned(self) -> dict[str, str]:
        try:
            return dict(json.loads(self.pins.read_text(encoding="utf-8"))) if self.pins.exists() else {}
        except ValueError as error:
            raise ArtifactError(
                f"{self.pins} is no JSON ({error}): correct it by hand, it has digests to keep"
            ) from error

    def _verify(self, url: str, checksum_url: str | None, file: Path, progress: Progress) -> None:
        found = digest_of(file)
        pins, key = self._pinned(), _pin(url)
        if checksum_url:
            listing = file.with_suffix(".sums")
            self._download(checksum_url, listing)
            expected = _checksum(listing.read_text(encoding="utf-8", errors="replace"), url)
            if found != expected:
                raise ArtifactError(
                    f"{url}: wrong checksum: {checksum_url} says {expected}, the file has {found}. "
                    "Nothing was installed; try again, and if it stays so, do not use that source"
                )
        if pins.get(key, found) != found:
            raise ArtifactError(
                f"{url} is not what it was: pinned {pins[key]} in {self.pins}, now {found}. "
                "If upstream really replaced the file, remove that line"
            )
        if key not in pins:
            if not checksum_url:
                progress(f"warning: upstream has no checksum of {url}: trusted as first seen, sha256 {found}")
            self.pins.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.pins.with_suffix(".new")
            temporary.write_text(json.dumps({**pins, key: found}, indent=1, sort_keys=True), encoding="utf-8")
            temporary.replace(self.pins)

    def _extract(self, file: Path, release: dict[str, Any], wanted: Wanted, program: str, work: Path) -> Path:
        target = work / program
        if not release.get("member"):
            os.replace(file, target)
            return target
        member = release["member"].format(arch=wanted.arch, program=program)
        try:
            with tarfile.open(file) as archive:
                stream = archive.extractfile(member)
                if stream is None:
                    raise KeyError(member)
                target.write_bytes(stream.read())
        except (tarfile.TarError, EOFError, KeyError) as error:
            raise ArtifactError(f"{file.name} of {wanted.title} has no readable {member}: {error}") from error
        return target


def _pin(url: str) -> str:
    """The name under which a file's digest is kept."""
    return url.split("://", 1)[1]


def _checksum(listing: str, url: str) -> str:
    """The digest of a file in upstream's checksum file: a bare digest, or lines of digest and name."""
    name = url.rsplit("/", 1)[1]
    for line in listing.splitlines():
        words = line.split()
        if not words or not re.fullmatch("[0-9a-fA-F]{64}", words[0]):
            continue
        if len(words) == 1 or words[-1].lstrip("*./").rsplit("/", 1)[-1] == name:
            return words[0].lower()
    raise ArtifactError(f"upstream's checksum file has no line for {name}")


class Bundle:
    """An offline bundle made by playbooks/bundle.yml: an unpacked folder with manifest.json and sha256/DIGEST."""

    name = "bundle"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError(
                f"artifacts_mirror: {folder} is no bundle made by playbooks/bundle.yml: manifest.json: {error}"
            ) from error

    def recipe(self, wanted: Wanted) -> str:
        """What an entry of the cache depends on."""
        return hashlib.sha256(json.dumps([self.name, self.manifest["files"].get(_key(wanted))]).encode()).hexdigest()

    def get(self, wanted: Wanted, work: Path, _progress: Progress) -> dict[str, Path]:
        """Copy out of the bundle and verify."""
        entry = self.manifest["files"].get(_key(wanted))
        if entry is None:
            raise ArtifactError(
                f"the bundle {self.folder} has no {wanted.title}; it has {', '.join(sorted(self.manifest['files']))}"
            )
        made = {}
        for program, sha256 in entry.items():
            made[program] = work / program.replace("/", "_")
            try:
                shutil.copyfile(self.folder / "sha256" / sha256, made[program])
            except FileNotFoundError as error:
                raise ArtifactError(
                    f"the bundle {self.folder} lacks sha256/{sha256} ({program}); copy it again"
                ) from error
            if digest_of(made[program]) != sha256:
                raise ArtifactError(
                    f"the bundle {self.folder} is damaged: sha256/{sha256} ({program}) has digest "
                    f"{digest_of(made[program])}; copy it again"
                )
        return made


def _key(wanted: Wanted) -> str:
    return f"{wanted.name}-{wanted.version}-{wanted.arch}"


class Source:
    """Compiled here from Go modules whose sums are committed; versions are stamped.

    Reproducible: no paths and no version control in it.
    """

    name = "source"

    def __init__(self, families: Path) -> None:
        self.families = families

    def recipe(self, wanted: Wanted) -> str:
        """What an entry of the cache depends on: sources, flags and compiler."""
        family = self.families / wanted.lock["family"]
        digest = hashlib.sha256(
            json.dumps(
                [self.name, wanted.arch, self._flags(wanted), wanted.programs, self._compiler()], sort_keys=True
            ).encode()
        )
        for file in sorted(family.iterdir()):
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def get(self, wanted: Wanted, work: Path, progress: Progress) -> dict[str, Path]:
        """Build all programs of the family that share flags in one go."""
        cgo = bool(wanted.lock.get("cgo"))
        native = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        if cgo and wanted.arch != native:
            raise ArtifactError(
                f"{wanted.title} needs a C compiler for {wanted.arch}, which a {native} control node has not; "
                f"set `artifacts_source: release` or build a bundle on {wanted.arch}"
            )
        environment = {
            **os.environ,
            "CGO_ENABLED": str(int(cgo)),
            "GOOS": "linux",
            "GOARCH": wanted.arch,
            # What the user has for own builds would give other bytes, or a program that older processors cannot run.
            **dict.fromkeys(("GOFLAGS", "GOAMD64", "GOARM64", "GOEXPERIMENT"), ""),
            "GOWORK": "off",
        }
        family, flags = self.families / wanted.lock["family"], self._flags(wanted)
        packages = [program["package"] for program in wanted.programs.values() if not program.get("test")]
        output = work / "bin"
        output.mkdir()
        _run(["go", "build", "-o", f"{output}/", *flags, *packages], family, environment, wanted, progress)
        made = {}
        for name, program in wanted.programs.items():
            made[name] = output / program.get("output", name if program.get("test") else _last(program["package"]))
            if program.get("test"):
                # A package's tests as a program; vet would take longer than the compiler.
                argv = ["go", "test", "-c", "-vet=off", "-o", str(made[name]), *flags, program["package"]]
                _run(argv, family, environment, wanted, progress)
        return made

    def _flags(self, wanted: Wanted) -> list[str]:
        flags = [
            "-mod=readonly",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags",
            f"-s -w {wanted.lock.get('ldflags', '')}".strip(),
        ]
        return [*flags, "-tags", wanted.lock["tags"]] if wanted.lock.get("tags") else flags

    def _compiler(self) -> str:
        if not hasattr(self, "_version"):
            try:
                self._version = subprocess.run(
                    ["go", "env", "GOVERSION"], capture_output=True, text=True, check=True
                ).stdout.strip()
            except (OSError, subprocess.CalledProcessError) as error:
                raise UnreachableError(
                    f"building from source needs Go on the control node (https://go.dev/dl): {error}"
                ) from error
        return self._version


def _last(package: str) -> str:
    """The name that `go build` gives a program: the last part of its path that is not a major version."""
    parts = package.split("/")
    return parts[-2] if parts[-1][0] == "v" and parts[-1][1:].isdigit() else parts[-1]


def _run(argv: list[str], folder: Path, environment: dict[str, str], wanted: Wanted, progress: Progress) -> None:
    """Run the compiler and say now and then that it still runs."""
    started = time.monotonic()
    log = folder  # for the error's text only
    with subprocess.Popen(
        argv, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=15)
                break
            except subprocess.TimeoutExpired:
                progress(f"still building, {time.monotonic() - started:.0f} s")
    if process.returncode != 0:
        tail = "\n".join(line for line in output.splitlines() if not line.startswith("go: downloading"))[-3000:]
        hint = (
            "the C library of libseccomp is missing (Debian: libseccomp-dev)"
            if "seccomp" in tail
            else f"`cd {log} && {shlex.join(argv)}` shows it again"
        )
        if "no space left" in tail:
            hint = "free some space, or set `artifacts_cache_dir`, GOCACHE or TMPDIR"
        raise ArtifactError(f"building {wanted.title} failed ({hint}):\n{tail}\nThe next run goes on from here.")
