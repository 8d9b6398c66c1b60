# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kind of error alone: the whole report is that one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster import alerting
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import Error, Inventory, report
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.validate import validate, warnings

Make = Callable[..., Inventory]
CASES = yaml.safe_load((Path(__file__).parent / "cases_validate.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["error"].split(";")[0] or str(case["changes"]))
def test_error_is_the_only_one(make: Make, case: dict[str, Any]) -> None:
    """The report names the variable, group or host, what is wrong and what to do; what is allowed makes none."""
    assert report(validate(make(**case["changes"]))) == ([case["error"]] if case["error"] else [])


def test_rules_of_users_need_somebody_who_reads_them(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has none needs nobody."""
    monkeypatch.setattr(alerting, "HAS_PARSER", False)
    rules = [{"name": "app", "rules": [{"alert": "Down", "expr": "up == 0"}]}]
    watched = make(settings={"outside_services": ["monitoring"]}, variables={"o1": {"monitoring_rules": rules}})
    (line,) = report(validate(watched))
    assert line.startswith("monitoring_rules (o1): the control node lacks promql-parser")
    assert validate(make(settings={"outside_services": ["monitoring"]})) == []


def test_all_errors_at_once(make: Make) -> None:
    """One run is enough to see everything."""
    lines = report(
        validate(
            make(
                groups={"masters": ["m1", "m2"], "workers": ["w1"], "outside": ["o1"]},
                settings={"service_network": "10.244.0.0/24", "kubernetes_version": "1.1.1"},
                changed={"w1": {"swap_bytes": 1, "python": "3.6.8"}},
            )
        )
    )
    where = [line.split(":")[0] for line in lines]
    assert where == ["group etcd", "cluster_pod_network", "cluster_kubernetes_version", "w1", "w1"]


def test_names_that_differ_in_case_only_are_the_same(make: Make) -> None:
    """As they are in DNS."""
    lines = report(validate(make(groups={"masters": ["m1", "m2", "m3"], "workers": ["w1", "W1"], "outside": ["o1"]})))
    assert "w1, W1: they have the same name w1; rename all but one" in lines


def test_hosts_that_were_not_asked_are_only_checked_by_their_variables(make: Make) -> None:
    """With --limit the others have no facts."""
    inventory = make(limit=["m1", "m2", "m3", "w2", "o1"])
    assert [host.name for host in inventory.answered()] == ["m1", "m2", "m3", "w2", "o1"]
    assert validate(inventory) == []


def test_warnings_are_no_errors(make: Make) -> None:
    """Other machines of the inventory are named, but for localhost; so is a clock that nothing keeps."""
    unkept = {"before": 100.0, "host": 100.1, "after": 100.2, "synchronized": False}
    inventory = make(
        changed={"w1": {"clock": unkept}, "w2": {"clock": unkept}, "m1": {"unreachable": True}},
        other_groups={"all": ["m1", "w1", "bastion", "localhost"], "jump": ["bastion"]},
    )
    assert report(warnings(inventory)) == [
        "bastion: it is in none of the groups etcd, masters, workers, outside, storage; it is left alone",
        "w1, w2: its kernel says that nothing keeps its clock; run a time service (chrony, systemd-timesyncd)",
    ]
    assert warnings(make()) == []


def test_names_of_many_hosts_are_shortened() -> None:
    """A thousand hosts with one mistake make one line."""
    errors = [Error("it is wrong", "fix it", "kubelet_config", f"w{index}") for index in range(1000)]
    (line,) = report(errors)
    assert line == "kubelet_config (w0, w1, w2, w3, w4, w5, w6, w7 and 992 more): it is wrong; fix it"
