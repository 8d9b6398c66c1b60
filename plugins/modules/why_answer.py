#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the why_answer action, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: why_answer
short_description: One answer of what API servers said, or of what hosts have where none answers
description:
  - Shows the first answer of an API server. Without one it says why there is none, where the pod ran last, how it
    was, and its last lines.
  - It never fails because of what it finds; RV(state) tells.
  - This is an action and contacts no host.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: 'It shows the same, and writes no O(path).'}
  diff_mode: {support: none, description: It changes nothing.}
options:
  answers:
    description: What M(selfhosted.kubernetes.why) returned, without those of servers that are unreachable.
    type: list
    elements: dict
    required: true
  outage:
    description: Why no API server answers, as M(selfhosted.kubernetes.health_report) returns it.
    type: dict
    default: {}
  nodes:
    description: By host what M(selfhosted.kubernetes.why_node) returned.
    type: dict
    default: {}
  path:
    description: File on the control node to write the answer to, as JSON.
    type: path
"""

EXAMPLES = r"""
- name: Answer
  selfhosted.kubernetes.why_answer:
    answers: []
    outage: "{{ judged.outage }}"
    nodes: {w1: "{{ hostvars.w1.asked }}"}
  run_once: true
"""

RETURN = r"""
state:
  description: As of M(selfhosted.kubernetes.why); C(unreachable) where no API server answered.
  returned: success
  type: str
verdict: {description: One sentence., returned: success, type: str}
lines: {description: All of it for people., returned: success, type: list, elements: str}
cause: {description: Why it is so., returned: success, type: dict}
pods: {description: By host what it has of the pod., returned: where no API server answered, type: dict}
silent: {description: Nodes that could not be asked., returned: where no API server answered, type: list, elements: str}
"""
