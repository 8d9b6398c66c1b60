#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the health_report action, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: health_report
short_description: Judge what hosts said about their health, and show it as a table
description:
  - A failure is something that is broken, a warning something that works, but not for ever or not as it was meant.
  - It never fails because of what it finds; RV(counts) tells.
  - This is an action and contacts no host. It needs no valid inventory but the names in its groups.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: 'It shows the same, and writes no O(path).'}
  diff_mode: {support: none, description: It changes nothing.}
options:
  hosts:
    description: By host what M(selfhosted.kubernetes.health_facts) returned.
    type: dict
    required: true
  groups:
    description: Hosts of the inventory by group; C(masters), C(workers) and C(etcd) are read.
    type: dict
    required: true
  pki_dir:
    description: Folder of the control node that holds certificates, whose ends are judged too; it may be absent.
    type: path
  path:
    description: File on the control node to write everything that is returned to, as JSON.
    type: path
"""

EXAMPLES = r"""
- name: Judge and show
  selfhosted.kubernetes.health_report:
    hosts: "{{ dict(ansible_play_hosts_all | zip(ansible_play_hosts_all | map('extract', hostvars, 'asked'))) }}"
    groups: "{{ groups }}"
  run_once: true
"""

RETURN = r"""
time: {description: When it was judged., returned: success, type: str, sample: '2026-11-25T03:41:08Z'}
counts:
  description: Number of failures and of warnings.
  returned: success
  type: dict
  sample: {failures: 0, warnings: 1}
areas:
  description: Each area with its level (ok, unknown, warning or failure), a summary in words, and figures.
  returned: success
  type: list
  elements: dict
  sample: [{name: nodes, level: ok, summary: 5 of 5 Ready, figures: {ready: 5, nodes: 5}}]
findings:
  description: Each failure and warning with its area, the hosts that have it, what it is, and what to do next.
  returned: success
  type: list
  elements: dict
  sample:
    - level: warning
      area: nodes
      hosts: [w1]
      what: "is cordoned: it gets no new pods"
      todo: kubectl uncordon w1
outage:
  description:
    - Why no API server answers, as a cause of M(selfhosted.kubernetes.why); empty where one does.
    - C(code) and C(object) stay the same, the words may change.
  returned: success
  type: dict
  sample:
    code: EtcdStopped
    object: component/etcd
    verdict: etcd is stopped on m1
    todo: "on m1: systemctl start etcd; journalctl -u etcd -n 50 says who stopped it, and when"
    evidence: ["m1: etcd: etcd.service is inactive (dead)"]
"""
