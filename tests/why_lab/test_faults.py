# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdict and named object of each fault on real kubelets; nothing is said of what is well, at no time."""

from __future__ import annotations

import time

import pytest
from ansible_collections.selfhosted.kubernetes.tests.why_lab.conftest import Asker
from ansible_collections.selfhosted.kubernetes.tests.why_lab.workloads import CASES, FAULTS, PAIRS, WELL, Case

# Many kubelets on one machine have all cases to start at once; an init container's patience alone is 60 s.
SECONDS = 180
# One answer, and all questions for it: the promise is for the lab.
ANSWER_SECONDS, QUESTIONS = 1.0, 15


def test_there_are_as_many_as_promised() -> None:
    """Each with a name and a namespace of its own."""
    assert len(FAULTS) >= 30
    assert len(PAIRS) >= 3
    assert len(WELL) >= 20
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_verdict(asker: Asker, case: Case) -> None:
    """The right cause and object as soon as they show; of what is well no other word than that it is starting."""
    began = time.monotonic()
    said = asker.why(case.wanted)
    while complaint := case.complaint(said):
        assert case.code or said["state"] in ("starting", "unclear"), complaint
        assert time.monotonic() - began < SECONDS, complaint
        time.sleep(1)
        said = asker.why(case.wanted)
    assert said["requests"] <= QUESTIONS


def test_answers_were_quick(asker: Asker) -> None:
    """The middle one of all; single ones share the machine with everything that starts."""
    asker.keep()
    print(f"\n{asker.figures}")  # noqa: T201
    assert asker.figures["median_seconds"] <= ANSWER_SECONDS
