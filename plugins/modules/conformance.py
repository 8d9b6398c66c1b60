#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the conformance action, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: conformance
short_description: Run specs of the official test suite against a cluster
description:
  - Runs C(e2e.test) with C(ginkgo) on the control node, says now and then how far it is,
    and fails when a spec fails, a named one does not exist or none was chosen.
  - Each spec has a namespace of its own and removes it.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: none, description: It starts pods.}
  diff_mode: {support: none, description: It leaves nothing behind in the cluster.}
options:
  programs: {description: "Paths of C(e2e.test), C(ginkgo) and C(kubectl).", type: dict, required: true}
  registries:
    description: Registries for the suite's images in place of the official ones (C(KUBE_TEST_REPO_LIST)).
    type: dict
    default: {}
  server: {description: URL of the API., type: str, required: true}
  pki_dir: {description: Folder with the CA and the administrator's certificate., type: path, required: true}
  domain: {description: DNS domain of the cluster., type: str, default: cluster.local}
  specs:
    description: Full names of specs to run.
    type: list
    elements: str
    default: []
  focus:
    description: Regular expression that chooses specs in place of O(specs).
    type: str
    default: ""
  skip:
    description: Regular expression of specs to leave out.
    type: str
    default: ""
  procs: {description: How many specs run at once., type: int, default: 4}
  timeout_minutes: {description: Minutes after which the run is ended., type: int, default: 60}
  report_dir:
    description: Folder for C(junit.xml), C(output.log) and C(summary.txt).
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Run the specs of Services
  selfhosted.kubernetes.conformance:
    programs: "{{ suite.programs }}"
    server: https://10.0.0.31:6443
    pki_dir: state/pki
    focus: '\[sig-network\] Services.*\[Conformance\]'
    report_dir: state/conformance
"""

RETURN = r"""
summary:
  description: Specs with their result and seconds; the last line counts.
  returned: when specs ran
  type: list
  elements: str
junit: {description: Path of the JUnit report., returned: when specs ran, type: str}
output: {description: Path of everything that the suite said., returned: when specs ran, type: str}
"""
