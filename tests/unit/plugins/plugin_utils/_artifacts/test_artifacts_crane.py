# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What crane is told; a shell script stands for it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.cache import ArtifactError
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.crane import Crane

PASSWORD = "not-on-a-command-line"


@pytest.fixture
def crane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crane:
    """One that writes down what it was asked and what it could see, on a control node behind a proxy."""
    program = tmp_path / "crane"
    seen = 'echo "$@" "$SSL_CERT_FILE" "$HTTPS_PROXY" "$NO_PROXY"'
    program.write_text(f'#!/bin/sh\n{seen} > {tmp_path}/asked\ncp "$DOCKER_CONFIG/config.json" {tmp_path}\n', "ascii")
    program.chmod(0o755)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.org")
    return Crane(str(program), "192.0.2.1:5000", "/ca.crt", PASSWORD)


def test_push_trusts_our_ca_and_asks_no_proxy(crane: Crane, tmp_path: Path) -> None:
    """The password is in a file that is gone afterwards."""
    crane.push("/cache/layout", "registry.k8s.io/pause:3.10.2")
    expected = "push --index /cache/layout 192.0.2.1:5000/registry.k8s.io/pause:3.10.2 /ca.crt  *"
    assert (tmp_path / "asked").read_text().strip() == expected
    (auth,) = json.loads((tmp_path / "config.json").read_text())["auths"].items()
    assert auth == ("192.0.2.1:5000", {"auth": base64.b64encode(f"push:{PASSWORD}".encode()).decode()})


def test_copy_asks_upstream_by_the_proxy(crane: Crane, tmp_path: Path) -> None:
    """But not the registry itself."""
    crane.copy("docker.io/library/nginx@sha256:1", "docker.io/library/nginx:1")
    copied = "docker.io/library/nginx@sha256:1 192.0.2.1:5000/docker.io/library/nginx:1"
    assert (tmp_path / "asked").read_text().strip() == f"copy {copied} /ca.crt http://proxy.example.org 192.0.2.1"


def test_what_fails_is_told_with_cranes_words(crane: Crane) -> None:
    """And without the password."""
    Path(crane.program).write_text("#!/bin/sh\necho 'x509: unknown authority' >&2; exit 1\n", encoding="ascii")
    with pytest.raises(ArtifactError, match=r"^pushing 192\.0\.2\.1:5000/pause:1 failed: x509: unknown authority$"):
        crane.push("/layout", "pause:1")
