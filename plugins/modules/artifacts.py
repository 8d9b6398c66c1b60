#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the artifacts action, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: artifacts
short_description: Have every binary and image of the lock in the control node's cache
description:
  - Fetches or builds what the cache lacks.
  - What is there already, made by the same recipe, is used as it is and costs milliseconds.
  - This is an action and contacts no host of the inventory.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode:
    support: partial
    description: Fails when something would have to be built or fetched, since later tasks need its digest.
  diff_mode: {support: none, description: Binaries have no diff.}
options:
  kubernetes_version: {description: 'Version of Kubernetes, one of the lock''s.', type: str, required: true}
  architectures:
    description: Architectures of the hosts; the control node's own when empty.
    type: list
    elements: str
    default: []
  services:
    description: Services of outside hosts that the cluster has; what only others need is left out.
    type: list
    elements: str
    default: []
  source: {description: Where programs come from., type: str, choices: [auto, release, mirror, source], default: auto}
  mirror:
    description: Base URL of a mirror of the release hosts, or path of an offline bundle (tar or folder).
    type: str
    default: ""
  cache_dir: {description: Folder of the cache., type: path, required: true}
  pins: {description: File that keeps the digests of releases as they were first seen., type: path, required: true}
  bundle: {description: Write an offline bundle to this path., type: path}
"""

EXAMPLES = r"""
- name: Have all binaries
  selfhosted.kubernetes.artifacts:
    kubernetes_version: 1.37.2
    cache_dir: ~/.cache/selfhosted-kubernetes
    pins: state/artifacts.pins.json
  register: cluster_artifacts
"""

RETURN = r"""
cache_dir: {description: Folder of the cache; files lie in sha256/DIGEST., returned: success, type: str}
files: {description: 'By architecture and program: sha256, size and version.', returned: success, type: dict}
digests: {description: Digests of all these programs., returned: success, type: list, elements: str}
images: {description: 'By name: ref, pinned (ref@digest), layout (OCI layout), digest.', returned: success, type: dict}
made:
  description: What was fetched or built in this run and how long it took.
  returned: success
  type: list
  elements: dict
"""
