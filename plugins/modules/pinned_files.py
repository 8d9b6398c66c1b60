#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the pinned_files action, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pinned_files
short_description: Have files that upstream has no checksums of
description:
  - Each is downloaded once; its digest is kept as it was first seen, and another content is an error from then on.
  - What is there as it was pinned is not asked for again.
  - This is an action; it runs on the control node and contacts no host.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: Says which files would be downloaded.}
  diff_mode: {support: none, description: Files of others have no diff.}
options:
  files: {description: Paths on the control node, each with its URL., type: dict, required: true}
  pins: {description: File with the digests as first seen., type: path, required: true}
  mirror:
    description: URL below which the same hosts and paths are found; empty for upstream itself.
    type: str
    default: ""
  variables: {description: Where to look when a file is not there., type: str, required: true}
"""

EXAMPLES = r"""
- name: Have upstream's manifests
  selfhosted.kubernetes.pinned_files:
    files: {/srv/rook/crds.yaml: "https://raw.githubusercontent.com/rook/rook/v1.21.2/deploy/examples/crds.yaml"}
    pins: state/artifacts.pins.json
    variables: "`rook_version` and `rook_mirror`"
"""

RETURN = r"""
made: {description: Files that were not there before., returned: success, type: list, elements: str}
"""
