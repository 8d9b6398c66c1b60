#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the conformance_suite action, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: conformance_suite
short_description: Have the official test suite of a Kubernetes version, and the images its specs start
description:
  - C(e2e.test) and C(ginkgo) are taken from upstream's release or built from source, once, into the artifact cache.
  - This is an action; it runs on the control node and contacts no host.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: none, description: What comes later needs what it makes.}
  diff_mode: {support: none, description: Programs have no diff.}
options:
  version: {description: Version of Kubernetes., type: str, required: true}
  source:
    description: Where the programs come from; V(auto) tries the release first.
    type: str
    choices: [auto, release, source]
    default: auto
  images:
    description: Whether to build stand-ins for the official images.
    type: str
    choices: [built, upstream]
    default: built
  cache_dir: {description: The artifact cache on the control node., type: path, required: true}
  pins: {description: File with the digests of releases as first seen., type: path, required: true}
  agnhost: {description: OCI layout of the agnhost image of the artifacts., type: path, required: true}
"""

EXAMPLES = r"""
- name: Have the suite
  selfhosted.kubernetes.conformance_suite:
    version: 1.37.2
    cache_dir: ~/.cache/selfhosted-kubernetes
    pins: state/artifacts.pins.json
    agnhost: "{{ cluster_artifacts.images.agnhost.layout }}"
"""

RETURN = r"""
programs: {description: Paths of C(e2e.test) and C(ginkgo)., returned: success, type: dict}
images:
  description: Images to put into the registry, each with C(ref), C(layout) and C(digest).
  returned: success
  type: list
  elements: dict
registries:
  description: What the suite has to be told of registries (C(KUBE_TEST_REPO_LIST)).
  returned: success
  type: dict
made: {description: What was not there before., returned: success, type: list, elements: dict}
"""
