#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the images action, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: images
short_description: Put images into the registry on the outside host
description:
  - Pushes OCI layouts with C(crane) under C(REGISTRY/UPSTREAM/NAME:TAG), or copies images from another registry there,
    those which the registry does not have with that digest.
  - This is an action; it talks from the control node to the registry, and to those that images are copied from.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: Says what would be pushed.}
  diff_mode: {support: none, description: Images have no diff.}
options:
  registry: {description: Host and port of the registry., type: str, required: true}
  ca: {description: Path of the CA that the registry's certificate is from., type: path, required: true}
  crane: {description: Path of the crane program., type: path, required: true}
  password_file:
    description: Path of the file with the password of the registry's user C(push).
    type: path
    required: true
  images:
    description:
      - Images, each with C(ref) (C(UPSTREAM/NAME:TAG)), and with C(layout) and C(digest), or with C(source) as
        C(HOST/NAME:TAG) and perhaps C(digest).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Fill the registry
  selfhosted.kubernetes.images:
    registry: 10.0.0.31:5000
    ca: state/pki/ca/outside.crt
    crane: ~/bin/crane
    password_file: state/pki/keys/registry-push
    images: "{{ cluster_artifacts.images.values() }}"
"""

RETURN = r"""
pushed: {description: Refs that were pushed., returned: success, type: list, elements: str}
"""
