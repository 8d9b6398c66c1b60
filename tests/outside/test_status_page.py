# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page says what is wrong while it is wrong: nothing, one master, all of them, Prometheus itself."""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Iterator

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    MACHINES,
    MASTERS,
    OPERATOR,
    PKI,
    Lab,
    address,
    docker,
    start_masters,
    wait_until,
)

URL = f"https://{address(OPERATOR)}:8443"
# Prometheus asks every 15 s and the page is made every minute.
SECONDS = 150


def get(path: str = "") -> str:
    """What a browser gets that trusts the outside CA."""
    command = ["curl", "--silent", "--show-error", "--fail", "--cacert", str(PKI / "ca/outside.crt"), f"{URL}/{path}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def shown() -> str:
    """The page's words, without its style and script."""
    text = re.sub(r"<(style|script)>.*?</\1>", "", get(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def unwell() -> list[str]:
    """States that are not ok."""
    hosts = shown().partition("Hosts and components")[2].partition("silent :")[0]
    return re.findall(r" (?:down|silent|unknown|no answer)\b", hosts)


def says(*words: str) -> None:
    """It comes to say all of it."""
    wait_until(lambda: all(word in shown() for word in words), SECONDS, f"the page says {words}")


@pytest.fixture
def masters_come_back(lab: Lab) -> Iterator[None]:
    """Whatever was stopped."""
    yield
    start_masters(lab)


def test_every_host_is_there(lab: Lab) -> None:
    """With what runs on it as its units say, versions, certificates and the last backup."""
    lab.run(OPERATOR, "/usr/local/sbin/backup run && /usr/local/sbin/backup drill")
    says("Drills with backups ok", "last good one")
    # Alerts there may be: a busy machine has slow disks.
    wait_until(lambda: not unwell(), SECONDS, "every component is well")
    text = shown()
    for name in MACHINES:
        assert f"{name} {address(name)} up" in text
    assert re.search(r"The next one ends in \d+ days", text)
    assert f"kubelet v1.37.2 {', '.join(name for name in MACHINES if name != OPERATOR)}" in text


def test_runbooks_are_on_the_same_host() -> None:
    """By the link of an alert."""
    assert 'id="kubeapidown"' in get("docs/runbooks/api.html")


def test_it_reads_nothing_else_of_backups(lab: Lab) -> None:
    """Neither the repository nor its password; the program has no rights but its own."""
    unit = lab.run(OPERATOR, "systemctl cat status-page-build.service").splitlines()
    kinds = ("User=", "ProtectSystem=", "TemporaryFileSystem=", "BindReadOnlyPaths=")
    own = " ".join(f"--property='{line}'" for line in unit if line.startswith(kinds))
    listed = lab.run(OPERATOR, f"systemd-run --quiet --wait --pipe {own} /bin/ls -A /var/lib/backup")
    assert listed.split() == ["drills.jsonl", "runs.jsonl"]
    for path in ("/etc/backup/password", "/etc/monitoring/client.key", "/etc/status-page/server.key"):
        readable = lab[OPERATOR].run(f"runuser -u status-page -- cat {path}").rc == 0
        assert readable == (path == "/etc/status-page/server.key"), path


def test_it_tells_of_masters_that_are_gone(masters_come_back: None) -> None:
    """First of one, if there are others, then of the API."""
    assert masters_come_back is None
    if len(MASTERS) > 1:
        docker("kill", MASTERS[0])
        says(f"{MASTERS[0]} does not answer.", f"{MASTERS[0]} {address(MASTERS[0])} no answer")
        assert "kube-apiserver down" in shown()
        assert "kube-apiserver ok" in shown()
    for master in MASTERS[1:] or MASTERS:
        docker("kill", master)
    says("No API server answers.", "KubeAPIDown critical")
    assert "kube-apiserver ok" not in shown()
    assert 'href="docs/runbooks/api.html#kubeapidown"' in get()


def test_it_says_when_nobody_watches(lab: Lab) -> None:
    """Without Prometheus, since when, and what was known before."""
    lab.run(OPERATOR, "systemctl stop prometheus")
    try:
        says("Prometheus has not answered since", "As of ")
        assert "kube-apiserver unknown" in shown()
        assert "kubelet v1.37.2" in shown()
    finally:
        lab.run(OPERATOR, "systemctl start prometheus")
    wait_until(lambda: "has not answered" not in shown(), SECONDS, "Prometheus answers")
