# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lab_create.yml with what earlier, killed runs left behind: on machines of its own, beside the lab."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.selfhosted.kubernetes.tests.lab.support import ROOT, docker, playbook

NAME = "lab-create"
NETWORK, SUBNET = f"selfhosted-kubernetes-{NAME}", "172.28.250.0/24"
SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
HOSTS = {f"{NAME}-{number}": f"172.28.250.1{number}" for number in range(1, 5)}
ALL_RUN = dict.fromkeys(HOSTS, "running")


@pytest.fixture
def inventory(tmp_path: Path) -> Iterator[Path]:
    """Four machines that nothing is installed on; gone after the test."""
    file = tmp_path / "hosts.yml"
    variables = {"lab_name": NAME, "lab_subnet": SUBNET, "lab_dir": str(tmp_path)}
    hosts = {name: {"ansible_host": address} for name, address in HOSTS.items()}
    file.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": variables}}), encoding="utf-8")
    yield file
    code, output = playbook("lab_destroy", f"lab_only={NAME}")
    assert code == 0, output


def create(inventory: Path) -> dict[str, str]:
    """Run the playbook; each machine's container."""
    code, output = playbook("lab_create", inventory=inventory)
    assert code == 0, output[-3000:]
    assert {name: inspect(name)["State"]["Status"] for name in HOSTS} == ALL_RUN
    assert all(docker("exec", name, "systemctl", "is-active", "ssh") == "active" for name in HOSTS)
    return {name: inspect(name)["Id"] for name in HOSTS}


def inspect(name: str) -> Any:
    """What Docker knows of a container."""
    return json.loads(docker("inspect", "--type=container", name))[0]


def made_but_not_started(name: str) -> None:
    """Replace a machine by one as a run leaves it that is killed just before it starts it."""
    it = inspect(name)
    wanted = {"IPAMConfig": {"IPv4Address": HOSTS[name]}}
    body = {**it["Config"], "HostConfig": it["HostConfig"], "NetworkingConfig": {"EndpointsConfig": {NETWORK: wanted}}}
    docker("rm", "--force", "--volumes", name)
    curl = ["curl", "--silent", "--fail", "--unix-socket", SOCKET, "--json", json.dumps(body)]
    subprocess.run([*curl, f"http://docker/containers/create?name={name}"], check=True, capture_output=True)
    assert inspect(name)["State"]["Status"] == "created"


def test_what_is_there_is_used(inventory: Path) -> None:
    """Killed, paused, never started, with a unit that failed: each runs again as it is, and the rest is not touched."""
    first = create(inventory)
    lost, paused, fresh, failing = HOSTS
    docker("kill", lost)
    docker("pause", paused)
    made_but_not_started(fresh)
    unit = "[Service]\\nExecStart=/bin/false\\n[Install]\\nWantedBy=multi-user.target\\n"
    install = "mkdir /var/lib/selfhosted-kubernetes && systemctl enable half-done"
    docker("exec", failing, "sh", "-c", f"printf '{unit}' >/etc/systemd/system/half-done.service && {install}")
    docker("restart", failing)
    again = create(inventory)
    assert {name for name in HOSTS if again[name] != first[name]} == {fresh}
    assert create(inventory) == again


def test_machines_of_a_network_that_is_gone_are_made_anew(inventory: Path) -> None:
    """Docker could not start them; their volumes go with them."""
    first = create(inventory)
    volumes = {mount["Name"] for name in HOSTS for mount in inspect(name)["Mounts"] if mount["Type"] == "volume"}
    docker("kill", *HOSTS)
    docker("network", "rm", NETWORK)
    # A stale one of that name, with other settings.
    docker("network", "create", "--subnet=172.28.251.0/24", NETWORK)
    again = create(inventory)
    assert not set(first.values()) & set(again.values())
    assert len(volumes) == 2 * len(HOSTS)
    assert not volumes & set(docker("volume", "ls", "--quiet").split())
    (network,) = json.loads(docker("network", "inspect", NETWORK))
    assert (network["Internal"], network["IPAM"]["Config"][0]["Subnet"]) == (True, SUBNET)


def test_containers_that_are_not_this_labs_are_refused(inventory: Path) -> None:
    """Each is named with what to do, and nothing is made or changed."""
    mine, theirs, *_rest = HOSTS
    image = subprocess.check_output([ROOT / "scripts/node_image.sh"], text=True).split()[-1]
    label = "--label=selfhosted.kubernetes.inventory=other"
    made = [docker("create", f"--name={mine}", image), docker("create", label, f"--name={theirs}", image)]
    try:
        code, output = playbook("lab_create", inventory=inventory)
        assert code == 2
        assert f"there is a container {mine} of no lab, not of {NAME}: rename it, or remove it by `docker rm`" in output
        assert f"a container {theirs} of the lab other, not of {NAME}: `make lab-destroy` removes every lab" in output
        assert [inspect(name)["Id"] for name in (mine, theirs)] == made
        assert NETWORK not in docker("network", "ls", "--format={{.Name}}").split()
    finally:
        docker("rm", *made)
