# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put images into the registry on the outside host, from the control node."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.cache import ArtifactError
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.engine import push

ACCEPT = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json"
)


class ActionModule(ActionBase):
    """See plugins/modules/images.py for options and return values."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Push what the registry does not have with that digest."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        spec = {
            "registry": {"type": "str", "required": True},
            "ca": {"type": "path", "required": True},
            "crane": {"type": "path", "required": True},
            "images": {"type": "list", "elements": "dict", "required": True},
        }
        _validation, args = self.validate_argument_spec(argument_spec=spec)
        pushed = []
        try:
            context = ssl.create_default_context(cafile=args["ca"])
            for image in args["images"]:
                name, tag = image["ref"].rsplit(":", 1)
                if self._digest(args["registry"], name, tag, context) != image["digest"]:
                    pushed.append(image["ref"])
                    if not self._task.check_mode:
                        push(Path(args["crane"]), image["layout"], f"{args['registry']}/{image['ref']}", args["ca"])
        except (ArtifactError, OSError) as error:
            raise AnsibleActionFail(f"registry {args['registry']}: {error}") from error
        result.update(changed=bool(pushed), pushed=pushed)
        return result

    def _digest(self, registry: str, name: str, tag: str, context: ssl.SSLContext) -> str:
        """The digest of a tag; empty when the registry has none, or (in check mode) is not there yet."""
        request = urllib.request.Request(
            f"https://{registry}/v2/{name}/manifests/{tag}", method="HEAD", headers={"Accept": ACCEPT}
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(request, timeout=10) as answer:
                return str(answer.headers.get("Docker-Content-Digest", ""))
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return ""
        except OSError:
            if self._task.check_mode:
                return ""
            raise
