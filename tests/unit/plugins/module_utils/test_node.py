# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drain and resume against a small model of the API, with what kubectl 1.37 prints."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._node import MARK, Node, NodeError

BUDGET = (
    'error when evicting pods/"web-7d4-abcde" -n "shop" (will retry after 5s): '
    "Cannot evict pod as it would violate the pod's disruption budget."
)
HELD = f"""Warning: ignoring DaemonSet-managed Pods: kube-system/x
{BUDGET}
{BUDGET}
error: unable to drain node "w1": [error when evicting pods/"web-7d4-abcde" -n "shop": global timeout reached: 5s]
"""
BARE = 'error: unable to drain node "w1" due to error: cannot delete Pods that declare no controller: shop/one\n'


class Api:
    """One node; `fails` is what drain prints."""

    def __init__(self, node: dict[str, Any] | None, fails: str = "") -> None:
        self.node = node
        self.fails = fails
        self.calls: list[str] = []

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """As kubectl: exit code, output, errors."""
        self.calls.append(words[0])
        if words[0] == "get":
            return 0, json.dumps(self.node) if self.node else "", ""
        assert self.node
        if words[0] == "patch":
            patch = json.loads(words[3].removeprefix("--patch="))
            for section, values in (("spec", patch["spec"]), ("annotations", patch["metadata"]["annotations"])):
                target = self.node["spec"] if section == "spec" else self.node["metadata"].setdefault("annotations", {})
                for key, value in values.items():
                    if value is None:
                        target.pop(key, None)
                    else:
                        target[key] = value
        elif words[0] == "delete":
            self.node = None
        elif words[0] == "drain" and self.fails:
            return 1, "", self.fails
        return 0, "", ""

    @property
    def cordoned(self) -> bool:
        """Whether pods stay away."""
        assert self.node
        return bool(self.node["spec"].get("unschedulable"))


def node(version: str = "v1.37.2", ready: str = "True", **spec: Any) -> dict[str, Any]:
    """A node as the API gives it."""
    return {
        "metadata": {"name": "w1"},
        "spec": spec,
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "message": "kubelet stopped"}],
            "nodeInfo": {"kubeletVersion": version},
        },
    }


def test_drained_and_back() -> None:
    """The cordon carries our mark, and goes with it."""
    api = Api(node())
    assert Node("w1", api).drain(5) is True
    assert api.node == {**node(unschedulable=True), "metadata": {"name": "w1", "annotations": {MARK: "true"}}}
    assert Node("w1", api).resume("1.37.2", 0) is True
    assert api.node == {**node(), "metadata": {"name": "w1", "annotations": {}}}
    assert Node("w1", api).resume("1.37.2", 0) is False


def test_what_a_person_cordoned_stays_cordoned() -> None:
    """Also after a drain of ours."""
    api = Api(node(unschedulable=True))
    assert Node("w1", api).drain(5) is True
    assert Node("w1", api).resume("", 0) is False
    assert api.cordoned


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        (HELD, "pod shop/web-7d4-abcde: Cannot evict pod as it would violate the pod's disruption budget."),
        (BARE, BARE.strip()),
        ("dial tcp: refused", "dial tcp: refused"),
    ],
)
def test_what_is_in_the_way(printed: str, reason: str) -> None:
    """Each pod is named once, and the node takes pods again."""
    api = Api(node(), fails=printed)
    with pytest.raises(NodeError) as caught:
        Node("w1", api).drain(5)
    assert str(caught.value) == f"w1 cannot be drained, and takes pods again as before: {reason}"
    assert not api.cordoned


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (node(ready="False"), "it is not ready: kubelet stopped"),
        (node(version="v1.36.3"), "it runs kubelet v1.36.3, wanted v1.37.2"),
        (None, "it is not registered"),
    ],
)
def test_a_node_that_does_not_come_stays_cordoned(found: dict[str, Any] | None, complaint: str) -> None:
    """With the reason."""
    with pytest.raises(NodeError, match=f"w1 stays as it is: {complaint}"):
        Node("w1", Api(found)).resume("1.37.2", 0)


def test_a_node_that_is_not_there() -> None:
    """Has no pods to move, and is gone already."""
    api = Api(None)
    assert Node("w1", api).drain(5) is False
    assert Node("w1", api).delete() is False
    assert set(api.calls) == {"get"}


def test_delete() -> None:
    """It is gone."""
    api = Api(node())
    assert Node("w1", api).delete() is True
    assert api.node is None


@pytest.mark.parametrize("call", ["drain", "resume", "delete"])
def test_check_mode_only_asks(call: str) -> None:
    """Nothing is written."""
    api = Api(node(unschedulable=True) if call == "resume" else node())
    checked = Node("w1", api, check=True)
    {"drain": lambda: checked.drain(5), "resume": lambda: checked.resume("", 0), "delete": checked.delete}[call]()
    assert set(api.calls) == {"get"}
