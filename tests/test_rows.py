"""Which rows are fitted again as a line fills; the fits themselves play a script."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from eels_iontransport import materials
from eels_iontransport import rows as rows_module
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.decomposition.engine import Cancelled, never
from eels_iontransport.measure.zlp import ZeroLoss
from eels_iontransport.prepared import Prepared
from eels_iontransport.progress import silent
from eels_iontransport.rows import TOLERATED, TRIED, Basis, RowFits, _blank

PEAKS = materials.load("lco").peaks
AXIS = EnergyAxis(-0.1, 0.001, 64)
N = 30


class Fits:
    """Every row's centres are `centre`, with standard deviations of 1; rows are told by their counts."""

    def __init__(self):
        self.asked, self.centre = [], 50.0

    def __call__(self, plan, rows, should_stop):
        if should_stop():
            raise Cancelled
        numbers = rows.counts[:, 0].astype(int)
        self.asked.append(sorted(numbers.tolist()))
        fitted = np.flatnonzero(numbers != 13)  # which cannot be fitted
        part = _blank(PEAKS, fitted.size)
        part.values["centre_mev"][:] = self.centre + plan.moved
        part.sigmas["centre_mev"][:] = 1.0
        part.optima[:] = 1
        return fitted, part


@pytest.fixture
def fits(monkeypatch):
    fits = Fits()
    monkeypatch.setattr(rows_module, "fit_peaks", fits)
    return fits


def line(usable, version=None):
    spectra = make_spectra(np.arange(float(N))[:, None] * np.ones(AXIS.size), AXIS, valid=np.arange(N) < usable)
    zero = ZeroLoss(*np.zeros((4, N)), np.zeros(N, bool))
    version = np.ones(N, int) if version is None else version
    return Prepared(spectra, None, zero, np.ones(N), version, 1, np.zeros(N, int))


def ask(kept, line, shapes, settled=False, moved=0.0, should_stop=never, starts=0):
    plan = SimpleNamespace(moved=moved)
    options = {"settled": settled, "should_stop": should_stop, "progress": silent}
    return kept.fit(line, PEAKS, Basis(shapes, starts), lambda: plan, **options)


def test_all_rows_at_first_and_none_again_on_the_same_basis(fits):
    kept = RowFits()
    for settled in (False, True):
        table = ask(kept, line(N), "a", settled)
        assert fits.asked == [list(range(N))]
        assert np.isnan(table.chi2).all()
        assert np.isfinite(table.values["centre_mev"][:, 0]).tolist() == [i != 13 for i in range(N)]


def test_settled_fits_all_that_was_fitted_on_another_basis(fits):
    kept = RowFits()
    ask(kept, line(N), "a")
    ask(kept, line(N), "b", settled=True)
    assert fits.asked[1:] == [list(range(N))]


def test_a_new_row_costs_itself_and_the_few_that_have_waited_longest(fits):
    kept = RowFits()
    ask(kept, line(10), "a")
    for new in range(10, 16):
        ask(kept, line(new + 1), new)
    assert fits.asked[1:] == [[0, 1, 10], [2, 3, 11], [4, 5, 12], [6, 7, 13], [8, 9, 14], [0, 1, 15]]


def test_other_starts_matter_only_in_the_end(fits):
    kept = RowFits()
    for row in range(8, 11):
        ask(kept, line(row), "a", starts=row)
    assert fits.asked == [list(range(8)), [8], [9]]
    ask(kept, line(10), "a", starts=10, settled=True)
    assert fits.asked[3:] == [list(range(10))]


def test_where_they_moved_all_are_fitted_again_and_where_they_hardly_did_none(fits):
    kept = RowFits()
    ask(kept, line(N), "a")
    table = ask(kept, line(N), "b", moved=0.9 * TOLERATED)
    assert [len(asked) for asked in fits.asked[1:]] == [TRIED]
    assert (table.values["centre_mev"][:, 0] == 50.0).sum() == N - TRIED - 1
    table = ask(kept, line(N), "c", moved=0.9 * TOLERATED + 1.1 * TOLERATED)
    assert [len(asked) for asked in fits.asked[2:]] == [2, 4, 8, 16]
    assert np.delete(table.values["centre_mev"][:, 0], 13) == pytest.approx(50.0 + 2.0 * TOLERATED)


def test_a_row_with_other_data_is_fitted_again(fits):
    kept, version = RowFits(), np.ones(N, int)
    ask(kept, line(N), "a")
    version[5] = 2
    ask(kept, line(N, version), "a")
    assert fits.asked[1:] == [[5]]


def test_a_row_that_is_no_longer_usable_has_no_fit(fits):
    kept = RowFits()
    ask(kept, line(N), "a")
    table = ask(kept, line(8), "a")
    assert np.isnan(table.values["centre_mev"][8:]).all() and np.isfinite(table.values["centre_mev"][:8]).all()


def test_a_table_that_was_handed_out_stays_as_it_was(fits):
    kept = RowFits()
    table = ask(kept, line(N), "a")
    ask(kept, line(N), "b", settled=True, moved=1.0)
    assert (table.values["centre_mev"][0] == 50.0).all()


def test_another_line_begins_anew(fits):
    kept = RowFits()
    ask(kept, line(N), "a")
    other = PEAKS[:3]
    table = kept.fit(line(0), other, Basis("a", 0), lambda: None, settled=True, should_stop=never, progress=silent)
    assert table.values["centre_mev"].shape == (N, 3) and np.isnan(table.values["centre_mev"]).all()


def test_what_was_stopped_is_done_when_asked_again(fits):
    kept = RowFits()
    with pytest.raises(Cancelled):
        ask(kept, line(N), "a", should_stop=lambda: True)
    ask(kept, line(N), "a")
    assert fits.asked == [list(range(N))]
