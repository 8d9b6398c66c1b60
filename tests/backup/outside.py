# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outside host's side of backups."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ansible_collections.selfhosted.kubernetes.tests.lab.support import LOCAL_ETCDCTL, MASTERS, OPERATOR, Lab, playbook

Document = dict[str, Any]
REPOSITORY = "/var/lib/backup/repository"


def back_up(lab: Lab) -> Document:
    """Make one by the unit of the timer; its record."""
    lab.operator.run("systemctl start backup.service")
    return last(lab, "runs")


def last(lab: Lab, name: str) -> Document:
    """How the last run, or drill, ended."""
    record: Document = json.loads(lab.run(OPERATOR, f"tail -n 1 /var/lib/backup/{name}.jsonl"))
    return record


def metric(lab: Lab, name: str) -> float:
    """What node_exporter would read."""
    return float(lab.run(OPERATOR, f"grep -h '^selfhosted_backup_{name} ' /var/lib/node-exporter/*.prom").split()[1])


def drill(lab: Lab) -> tuple[int, Document]:
    """One drill, by the playbook: exit code and record."""
    code, output = playbook("drill_restore")
    assert code in (0, 2), output[-3000:]
    return code, last(lab, "drills")


def restore(*variables: str) -> tuple[int, str]:
    """The whole cluster, or what the variables say."""
    return playbook("restore", *variables)


def contents(lab: Lab, namespace: str) -> dict[str, str]:
    """Of each object that nothing but this test changes, the hash of what it says."""
    found = {}
    for it in lab.get(f"configmaps,secrets,serviceaccounts --namespace={namespace}")["items"]:
        metadata = {key: it["metadata"][key] for key in ("name", "uid", "creationTimestamp")}
        text = json.dumps([metadata, it.get("data")], sort_keys=True)
        found[f"{it['kind']}/{metadata['name']}"] = hashlib.sha256(text.encode()).hexdigest()
    return found


def revision(lab: Lab) -> int:
    """How far etcd's history is."""
    (status,) = json.loads(lab.run(MASTERS[0], f"{LOCAL_ETCDCTL} endpoint status -w json"))
    return int(status["Status"]["header"]["revision"])


def cluster_id(lab: Lab) -> int:
    """Which cluster of etcd it is: a restored one is another."""
    (status,) = json.loads(lab.run(MASTERS[0], f"{LOCAL_ETCDCTL} endpoint status -w json"))
    return int(status["Status"]["header"]["cluster_id"])
