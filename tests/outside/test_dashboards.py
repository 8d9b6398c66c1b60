# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every panel of every dashboard of Grafana finds series in the lab's Prometheus, asked as Grafana would."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.scripts import dashboards
from ansible_collections.selfhosted.kubernetes.tests.lab.monitoring import query
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    AGNHOST,
    MASTERS,
    NODES,
    OPERATOR,
    Lab,
    wait_until,
)

NAMESPACE = "dashboards"
# As Grafana fills them in for "All", and for a rate over targets that are asked every 15 s.
VARIABLES = {"$__rate_interval": "1m", "$node": ".*", "$namespace": ".*"}
SECONDS = 180
LIMITS = {"cpu": "100m", "memory": "256Mi"}
# What a lab has none of; whether Prometheus can read the expression is asked all the same.
NOT_HERE = {"a claim of a volume", "backup_targets", "storage"} | (
    set() if len(MASTERS) > 1 else {"a second member of etcd"}
)
PANELS = [
    pytest.param(
        expression,
        panel.get("needs", page.get("needs", "")),
        id=f"{page['uid'].removeprefix('shk-')}: {panel['title']}",
    )
    for page in dashboards.pages()
    for panels in page["rows"].values()
    for panel in panels
    for expression in panel["queries"].values()
]


VALUES = [
    pytest.param(query, id=f"{page['uid'].removeprefix('shk-')}: {name}")
    for page in dashboards.pages()
    for name, query in page.get("variables", {}).items()
]


def ask(lab: Lab, expression: str) -> list[dict[str, Any]]:
    """Series of an expression now; one that cannot be read is an error."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return query(lab, expression)


def pod(name: str, image: str, node: str, **container: Any) -> dict[str, Any]:
    """One that asks the cluster's DNS over and over, so that there is something to see."""
    command = ["sh", "-c", "while true; do dig +short kubernetes.default.svc.cluster.local; sleep 0.2; done"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": image, "command": command, **container}],
        },
    }


@pytest.fixture(scope="module", autouse=True)
def something_to_see(lab: Lab) -> Iterator[None]:
    """A backup and a drill; containers within a CPU limit, one that cannot start; questions to DNS from each node."""
    assert lab.run(OPERATOR, "/usr/local/sbin/backup run")
    assert lab.run(OPERATOR, "/usr/local/sbin/backup drill")
    lab.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        pod("never", "registry.k8s.io/none:1", NODES[-1]),
        *(pod(f"busy-{node}", AGNHOST, node, resources={"limits": LIMITS}) for node in NODES),
    )
    # Rates need two readings, 15 s apart, of what began after the pods did.
    time.sleep(60)
    yield
    lab.kubectl(f"delete namespace {NAMESPACE} --wait=true")


@pytest.mark.parametrize(("expression", "needs"), PANELS)
def test_a_panel_has_something_to_draw(lab: Lab, expression: str, needs: str) -> None:
    """Some number, at least."""
    if needs in NOT_HERE:
        ask(lab, expression)
        return
    wait_until(lambda: bool(ask(lab, expression)), SECONDS, expression)
    values = [float(it["value"][1]) for it in ask(lab, expression)]
    assert any(value == value for value in values), f"nothing but NaN: {expression}"


@pytest.mark.parametrize("query", VALUES)
def test_a_variable_has_values(lab: Lab, query: str) -> None:
    """`label_values(SERIES, LABEL)` is Grafana's own."""
    found = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
    assert found
    assert {it["metric"].get(found[2]) for it in ask(lab, found[1])} - {None}
