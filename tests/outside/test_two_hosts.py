# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second outside host: it sees, keeps and tells all by itself, and nothing is told twice."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.selfhosted.kubernetes.tests.lab.monitoring import (
    ALERT_SECONDS,
    TARGETS_SECONDS,
    down,
    listen,
    messages,
    no_longer_listen,
    query,
    quiet,
)
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    MACHINES,
    MASTERS,
    OPERATOR,
    WORKERS,
    Lab,
    address,
    docker,
    start_masters,
    stop_masters,
    wait_until,
)
from ansible_collections.selfhosted.kubernetes.tests.scale.machines import lab_of, make_machines, site_run

SECOND = "o2"
BOTH = (OPERATOR, SECOND)
# An Alertmanager waits that long for each other before it that may have told (--cluster.peer-timeout).
PEER_SECONDS = 15
SERVICES = (
    *("artifact-store", "registry", "registry-front", "git-ssh", "prometheus", "prometheus-alertmanager"),
    *("victoria-logs", "logging-front", "status-page"),
)
ARRIVES_SECONDS = 30
MARK = f"lab{secrets.token_hex(6)}"


@pytest.fixture(scope="module")
def larger(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The lab's inventory with a second outside host, which a site run has set up."""
    larger = lab_of(tmp_path_factory.mktemp("larger") / "inventory", outside=[OPERATOR, SECOND])
    make_machines(inventory=larger)
    began = time.monotonic()
    site_run(tmp_path_factory.mktemp("site"), inventory=larger)
    print(f"\na site run that adds an outside host: {time.monotonic() - began:.1f} s")  # noqa: T201
    hosts = yaml.safe_load((larger / "hosts.yml").read_text(encoding="utf-8"))["all"]["children"]["outside"]["hosts"]
    lab.add(SECOND, hosts[SECOND]["ansible_host"])
    for host in BOTH:
        listen(lab, host)
    yield larger
    for host in BOTH:
        no_longer_listen(lab, host)


def seen(lab: Lab, host: str) -> set[tuple[str, str]]:
    """Every target of a Prometheus that answers."""
    return {(it["metric"]["job"], it["metric"]["instance"]) for it in query(lab, "up == 1", host=host)}


def lines(lab: Lab, host: str, words: str) -> int:
    """How many lines a host's store has."""
    return len(lab.run(host, "logs -j -n 1000 %s", words).splitlines())


def told(lab: Lab, host: str, since: float) -> list[float]:
    """Seconds from a moment to each message about the API that this host sent."""
    return [it - since for it in messages(lab, "/ops", "KubeAPIDown", host) if it > since]


def test_nothing_changes_again(larger: Path, tmp_path: Path) -> None:
    """With two as with one."""
    assert not any(site_run(tmp_path, inventory=larger).changed.values())


def test_both_see_everything(lab: Lab, larger: Path) -> None:
    """Each the whole cluster, the other one, and itself."""
    assert larger.is_dir()
    for host in BOTH:
        wait_until(lambda it=host: down(lab, it) == [], TARGETS_SECONDS, f"all targets of {host} are up")  # type: ignore[misc]
        assert {instance for job, instance in seen(lab, host) if job == "node"} == {*MACHINES, SECOND}
    # Certificates are asked every two minutes.
    wait_until(lambda: seen(lab, OPERATOR) == seen(lab, SECOND), TARGETS_SECONDS, "both see the same")


def test_an_alert_is_told_once(lab: Lab, larger: Path) -> None:
    """Both Prometheis tell both Alertmanagers; one of these tells people."""
    assert larger.is_dir()
    for host in BOTH:
        quiet(lab, host)
    began = time.time()
    stop_masters()
    try:
        wait_until(
            lambda: told(lab, OPERATOR, began) + told(lab, SECOND, began) != [], ALERT_SECONDS, "the message comes"
        )
        time.sleep(2 * PEER_SECONDS)
        assert len(told(lab, OPERATOR, began) + told(lab, SECOND, began)) == 1
    finally:
        start_masters(lab)


@pytest.fixture(scope="module")
def alone(lab: Lab, larger: Path) -> Iterator[float]:
    """The first one is off, since this moment, and then the masters, too."""
    assert larger.is_dir()
    for host in BOTH:
        quiet(lab, host)
    began = time.time()
    docker("stop", "--time=5", OPERATOR)
    lab.run(WORKERS[0], f"logger {MARK}")
    stop_masters()
    yield began
    docker("start", OPERATOR)
    start_masters(lab)


def test_the_second_tells_alone(lab: Lab, alone: float) -> None:
    """Of the API, in time, and it knows what was before."""
    wait_until(lambda: told(lab, SECOND, alone) != [], ALERT_SECONDS + PEER_SECONDS, "the message comes")
    print(f"\ntold after {told(lab, SECOND, alone)[0]:.1f} s")  # noqa: T201
    before = query(lab, 'sum(probe_success{job="probe-readyz"})', alone - 5, SECOND)
    assert before[0]["value"][1] == str(len(MASTERS))


def test_the_second_serves_alone(lab: Lab, alone: float) -> None:
    """Its services run, and its logs have what was said since, and what API servers said before."""
    assert alone
    for service in SERVICES:
        assert lab[SECOND].service(service).is_running, service
    wait_until(lambda: lines(lab, SECOND, f"node:={WORKERS[0]} {MARK}") == 1, ARRIVES_SECONDS, "the line is there")
    assert lines(lab, SECOND, f"node:={MASTERS[0]} _SYSTEMD_UNIT:=kube-apiserver.service") > 0


def test_the_first_catches_up(lab: Lab, alone: float) -> None:
    """When it is back, logs that came while it was off are in its store, too."""
    assert alone
    docker("start", OPERATOR)
    answers = f"bash -c '</dev/tcp/{address(OPERATOR)}/22'"
    wait_until(lambda: lab[SECOND].run(answers).rc == 0, 60, "it has booted")
    start_masters(lab)
    wait_until(lambda: lines(lab, OPERATOR, f"node:={WORKERS[0]} {MARK}") == 1, ARRIVES_SECONDS, "the line is there")
    for host in BOTH:
        wait_until(lambda it=host: down(lab, it) == [], TARGETS_SECONDS, f"all targets of {host} are up")  # type: ignore[misc]
