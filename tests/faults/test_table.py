"""Whatever goes wrong, on whatever plan, whenever: the run ends in order, and the next one succeeds."""

from __future__ import annotations

import pytest

from .cases import cases
from .faults import FAULTS


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_survived_and_the_next_run_succeeds(fault):
    failed = [case for case in cases(fault) if not case.is_survived]
    assert not failed, "\n".join(map(str, failed))
