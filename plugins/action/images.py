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
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.crane import Crane

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
            "password_file": {"type": "path", "required": True},
            "images": {"type": "list", "elements": "dict", "required": True},
        }
        _validation, args = self.validate_argument_spec(argument_spec=spec)
        pushed = []
        try:
            password = Path(args["password_file"]).read_text(encoding="ascii").strip()
            crane = Crane(args["crane"], args["registry"], args["ca"], password)
            context = ssl.create_default_context(cafile=args["ca"])
            for image in args["images"]:
                wanted = image.get("digest") or crane.digest(image["source"])
                if self._digest(crane, image["ref"], context) != wanted:
                    pushed.append(image["ref"])
                    if not self._task.check_mode:
                        if "layout" in image:
                            crane.push(image["layout"], image["ref"])
                        else:
                            name = image["source"].rsplit("@", 1)[0].rsplit(":", 1)[0]
                            crane.copy(f"{name}@{wanted}", image["ref"])
        except (ArtifactError, OSError) as error:
            raise AnsibleActionFail(f"registry {args['registry']}: {error}") from error
        result.update(changed=bool(pushed), pushed=pushed)
        return result

    def _digest(self, crane: Crane, ref: str, context: ssl.SSLContext) -> str:
        """The digest of a tag; empty when the registry has none, or (in check mode) is not there yet."""
        name, tag = ref.rsplit(":", 1)
        headers = {"Accept": ACCEPT, "Authorization": f"Basic {crane.authorization}"}
        url = f"https://{crane.registry}/v2/{name}/manifests/{tag}"
        request = urllib.request.Request(url, method="HEAD", headers=headers)
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
