# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On which nodes a cluster is proved; the proofs themselves need a cluster."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml
from ansible_collections.selfhosted.kubernetes.plugins.modules import cluster_verify
from jinja2.nativetypes import NativeEnvironment

DEFAULTS = Path(__file__).resolve().parents[4] / "roles/verify/defaults/main.yml"


@pytest.mark.parametrize(("workers", "expected"), [(["w1", "w2"], ["w1", "w2"]), ([], ["m1", "m2", "m3"])])
def test_masters_stand_in_for_workers(workers: list[str], expected: list[str]) -> None:
    """A cluster without any is one all the same."""
    text = yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))["verify_workers"]
    derived: dict[str, Any] = {"groups": {"workers": workers}, "nodes": ["m1", "m2", "m3", *workers]}
    chosen: Any = NativeEnvironment(autoescape=False).from_string(text).render(cluster_derived=derived)
    assert chosen == expected


def test_no_node_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says what to do."""
    module = Mock(params={"workers": []})
    module.fail_json.side_effect = SystemExit
    monkeypatch.setattr(cluster_verify, "AnsibleModule", Mock(return_value=module))
    with pytest.raises(SystemExit):
        cluster_verify.main()
    assert module.fail_json.call_args.kwargs["msg"].endswith("name one or more")
    module.run_command.assert_not_called()


def test_an_evicted_pod_is_named_at_once() -> None:
    """It would never run again."""
    status = {"phase": "Failed", "reason": "Evicted", "message": "The node had condition: [DiskPressure]. "}
    module = Mock(params={"workers": ["w1"], "timeout_seconds": 90})
    module.run_command.return_value = (0, json.dumps({"status": status}), "")
    verifier = cluster_verify.Verifier(module)
    began = time.monotonic()
    with pytest.raises(AssertionError, match=r"a pod runs on w1 is not so: Evicted: .* \[DiskPressure\]"):
        verifier.until("a pod runs on w1", lambda: verifier.address("w1"))
    assert time.monotonic() - began < 5
