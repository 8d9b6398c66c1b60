# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says: names, reasons, dates; never a key."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cryptography import x509

from .certificate import names_of
from .desk import Issued, Report


def describe(report: Report, now: datetime, diff: bool = False) -> dict[str, Any]:
    """The action's result."""
    result: dict[str, Any] = {
        "changed": bool(report.issued or report.repaired or report.rotated),
        "issued": [
            {"name": item.name, "reason": item.reason, "not_after": _end(item.new) if item.new else ""}
            for item in report.issued
        ],
        "repaired": [{"name": name, "reason": reason} for name, reason in report.repaired],
        "rotated": [{"name": name, "step": step} for name, step in report.rotated],
    }
    if report.first:
        end, name = report.first
        result["expires_first"] = {"name": name, "days": (end - now).days}
    if report.warnings:
        result["warnings"] = report.warnings
    if diff:
        result["diff"] = [_diff(item) for item in report.issued] + [
            {"before_header": name, "after_header": f"{name} ({reason})", "before": f"{reason}\n", "after": ""}
            for name, reason in [*report.repaired, *report.rotated]
        ]
    return result


def _diff(item: Issued) -> dict[str, str]:
    return {
        "before_header": item.name,
        "after_header": f"{item.name} ({item.reason})",
        "before": _text(item.old) if item.old else "",
        "after": _text(item.new) if item.new else "a new key\n",
    }


def _text(certificate: x509.Certificate) -> str:
    names = "".join(f"name: {name}\n" for name in sorted(names_of(certificate)))
    return f"subject: {certificate.subject.rfc4514_string()}\nvalid until: {_end(certificate)}\n{names}"


def _end(certificate: x509.Certificate) -> str:
    return f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
