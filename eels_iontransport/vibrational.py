"""From vibrational spectra to fitted peaks: zero, response, aloof shapes, regions together, rows one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .data.errors import UnusableInput
from .data.flags import Flag
from .data.noise import NoiseModel
from .data.spectrum import EnergyAxis, Spectra
from .data.units import ev, mev
from .decomposition import response as responses
from .decomposition.engine import Stop, never
from .decomposition.fitting import Setup, fit_aloof, fit_rows, fit_together
from .decomposition.layout import KnownShapes
from .decomposition.presence import Presence, test_presence
from .decomposition.response import Response
from .decomposition.result import Decomposition
from .materials import Recipe
from .materials.recipe import POLARITONIC, Interval
from .measure import noise as noises
from .measure import zlp
from .measure.alignment import Aligned, aligned_row, aligned_sum

ZLP_HALF_WIDTH_MEV = 2.5  # the ZLP integral by which spectra are normalised runs this far to both sides
MAP_MARGIN_MEV = 8.0  # normalised spectra show this much beyond the fit window ...
LOWEST_MEV = 5.0  # ... but no ZLP
SHAPE_DIGITS = 2  # rows see common shapes to 0.01 meV: no centre feels it, and rows need no refit for less


Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, text: str) -> None:
    """Progress that nobody watches: steps done, of how many, and what is being done."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Spectra with their noise model, zero-loss peaks and ZLP integrals (n,)."""

    spectra: Spectra
    noise: NoiseModel
    zero: zlp.ZeroLoss
    integral: np.ndarray

    @property
    def usable(self) -> np.ndarray:
        """Rows with data and a zero, (n,)."""
        return self.spectra.valid & self.zero.found

    def total(self, mask: np.ndarray | None = None) -> Aligned | None:
        """The sum of the rows in mask, aligned."""
        mask = self.usable if mask is None else mask
        return aligned_sum(self.spectra, mask, self.zero.position_ev)


def prepare(spectra: Spectra, noise: NoiseModel | None = None) -> Prepared:
    """Measure noise, unless it is known, and zero-loss peaks of every row."""
    noise = noise or noises.for_spectra(spectra)
    zero = zlp.measure(spectra, noise.variance_per_count * noise.correlation)
    return Prepared(spectra, noise, zero, zlp.integral(spectra, zero.position_ev, ev(ZLP_HALF_WIDTH_MEV)))


def normalised_line(line: Prepared, window_mev: Interval) -> tuple[np.ndarray | None, EnergyAxis | None]:
    """Counts over ZLP integral in 1/meV, (n, m), on a common axis from the ZLP around the window; nan without data.

    Interpolated, thus for displays and for looking for boundaries, never for fits. None where the spectra end before.
    """
    low_ev, high_ev = ev(max(window_mev[0] - MAP_MARGIN_MEV, LOWEST_MEV)), ev(window_mev[1] + MAP_MARGIN_MEV)
    energy = line.spectra.energy
    size = int((high_ev - low_ev) / energy.step_ev)
    if size < 2 or high_ev > energy.end_ev:
        return None, None
    axis = EnergyAxis(low_ev, energy.step_ev, size)
    result = np.full((len(line.spectra.rows), size), np.nan)
    for row in np.flatnonzero(line.usable & (line.integral > 0)):
        own = energy.energies_ev - line.zero.position_ev[row]
        result[row] = np.interp(axis.energies_ev, own, line.spectra.rows[row]) / line.integral[row]
    return result / mev(energy.step_ev), axis


class Memory:
    """Results by what they depend on; what two evaluations in a row did not ask for is forgotten."""

    def __init__(self) -> None:
        self._now: dict[Any, Any] = {}
        self._before: dict[Any, Any] = {}

    def recall(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._now:
            self._now[key] = self._before[key] if key in self._before else make()
        return self._now[key]

    def turn(self) -> None:
        """A new evaluation begins."""
        self._before, self._now = self._now, {}


@dataclass(frozen=True, eq=False)
class Model:
    """What is fitted with: the setup (with aloof shapes, if any), and the aloof decomposition behind it."""

    setup: Setup
    aloof: Decomposition | None
    aloof_integral: float
    key: str
    flags: tuple[Flag, ...]


def build_model(
    recipe: Recipe,
    mode: str,
    windows_mev: tuple[Interval, Interval] | None,
    line: Prepared,
    aloof: Prepared | None,
    vacuum: Prepared | None,
    memory: Memory,
    should_stop: Stop = never,
) -> Model:
    """Response and aloof shapes for the spectra of a line. Raises UnusableInput."""
    flags: list[Flag] = []
    response = _response(line, aloof, vacuum)
    setup = Setup(recipe, mode, line.noise, response, windows_mev)
    key = digest(mode, repr(recipe), repr(windows_mev), line.noise, response.density if response else None)
    if not recipe.aloof_peaks:
        return Model(setup, None, np.nan, key, ())
    total = aloof.total() if aloof is not None else None
    if aloof is None or total is None:
        reason = "was not given" if aloof is None else "has no usable zero-loss peak"
        flags.append(Flag("NO_ALOOF", f"The aloof spectrum {reason}; polariton shapes are fitted to the line itself."))
        return Model(setup, None, np.nan, key, tuple(flags))
    shapes: KnownShapes
    result: Decomposition
    key = digest(key, total.counts, total.energy_mev)
    aloof_setup = replace(setup, noise=aloof.noise)
    try:
        result, shapes = memory.recall(("aloof", key), lambda: fit_aloof(aloof_setup, total, should_stop))
    except UnusableInput as fault:
        flags.append(Flag("ALOOF_UNUSABLE", f"The aloof spectrum cannot be used: {fault}"))
        return Model(setup, None, np.nan, key, tuple(flags))
    if not result.described[0]:
        message = f"The polariton lines do not describe the aloof spectrum (reduced chi-squared {result.chi2[0]:.1f})."
        flags.append(Flag("ALOOF_MISFIT", message))
    integral = float(np.nansum(aloof.integral[aloof.usable]))
    return Model(replace(setup, polaritons=shapes), result, integral, key, tuple(flags))


@dataclass(frozen=True, eq=False)
class Vibrations:
    """What the vibrational spectra gave.

    names: the groups of rows fitted together, in the order of `together`; regions where there are any. rows: one
    decomposition a row, None where there is none. presence: by (peak, group), for peaks that may be absent.
    """

    names: tuple[str, ...] = ()
    together: Decomposition | None = None
    integrals: Mapping[str, float] = field(default_factory=dict)
    presence: Mapping[tuple[str, str], Presence] = field(default_factory=dict)
    rows: tuple[Decomposition | None, ...] = ()
    model: Model | None = None
    flags: tuple[Flag, ...] = ()


def measure_vibrations(
    recipe: Recipe,
    mode: str,
    windows_mev: tuple[Interval, Interval] | None,
    prepared: Mapping[str, Prepared],
    masks: Mapping[str, np.ndarray],
    memory: Memory,
    should_stop: Stop = never,
    progress: Progress = silent,
) -> Vibrations:
    """The line of prepared["vibrational"] taken apart, with prepared["aloof"] and ["zlp"] where there are such.

    masks: group -> (n,) bool, the rows that are summed and fitted together. A window that the recipe chose and the
    spectra do not cover is a flag; one that the user chose raises UnusableInput.
    """
    line = prepared["vibrational"]
    sums = {name: line.total(mask & line.usable) for name, mask in masks.items()}
    groups = {name: total for name, total in sums.items() if total is not None}
    if not groups:
        return Vibrations()
    try:
        model = build_model(
            recipe, mode, windows_mev, line, prepared.get("aloof"), prepared.get("zlp"), memory, should_stop
        )
        progress(0, 1, "Fitting regions")
        together = fit_groups(model, groups, memory, should_stop)
        presence = test_groups(model, groups, memory, should_stop)
        rows = fit_line(model, line, together, memory, should_stop, progress) if line.spectra.is_line else []
    except UnusableInput as fault:
        if windows_mev is not None:
            raise
        return Vibrations(flags=(Flag("NOT_DECOMPOSED", str(fault)),))
    integrals = {name: float(np.nansum(line.integral[masks[name] & line.usable])) for name in groups}
    return Vibrations(tuple(groups), together, integrals, presence, tuple(rows), model, model.flags)


def fit_groups(model: Model, groups: Mapping[str, Aligned], memory: Memory, should_stop: Stop = never) -> Decomposition:
    """The spectra of the regions fitted together, in the order of the mapping."""
    key = ("together", model.key, *(digest(g.counts, g.energy_mev) for g in groups.values()))
    return memory.recall(key, lambda: fit_together(model.setup, list(groups.values()), should_stop))


def test_groups(
    model: Model, groups: Mapping[str, Aligned], memory: Memory, should_stop: Stop = never
) -> dict[tuple[str, str], Presence]:
    """(peak, group) -> whether a peak that may be absent is there."""
    tested = {}
    for peak in model.setup.recipe.peaks:
        for name, spectrum in groups.items() if peak.test_presence else ():
            key = ("presence", model.key, peak.name, digest(spectrum.counts, spectrum.energy_mev))
            make = lambda p=peak.name, s=spectrum: test_presence(model.setup, s, p, should_stop)  # noqa: E731
            tested[peak.name, name] = memory.recall(key, make)
    return tested


def fit_line(
    model: Model,
    line: Prepared,
    together: Decomposition,
    memory: Memory,
    should_stop: Stop = never,
    progress: Progress = silent,
) -> list[Decomposition | None]:
    """Every usable row with the common shapes of the regions' fit; None for a row that cannot be fitted."""
    common = _rounded(together)
    # Centres of phononic peaks are free in the rows; a change of theirs must not make every row be fitted again.
    held = np.array([peak.component == POLARITONIC for peak in common.peaks])
    key = digest(
        model.key, common.values["centre_mev"][0][held], *(common.values[q][0] for q in ("sigma_mev", "gamma_mev"))
    )
    rows = np.flatnonzero(line.usable).tolist()
    parts: list[Decomposition | None] = [None] * len(line.spectra.rows)
    for done, row in enumerate(rows):
        progress(done, len(rows), "Fitting rows")
        spectrum = aligned_row(line.spectra, row, line.zero.position_ev[row])

        def fit(spectrum: Aligned = spectrum) -> Decomposition | None:
            try:
                return fit_rows(model.setup, common, [spectrum], should_stop)
            except UnusableInput:
                return None

        parts[row] = memory.recall(("row", key, digest(spectrum.counts, spectrum.energy_mev)), fit)
    return parts


def _rounded(together: Decomposition) -> Decomposition:
    """The common shapes as rows see them: polaritons and widths, rounded."""
    values = {q: np.round(v, SHAPE_DIGITS) if q != "area" else v for q, v in together.values.items()}
    return replace(together, values=values)


def _response(line: Prepared, aloof: Prepared | None, vacuum: Prepared | None) -> Response | None:
    """From the vacuum ZLP, else from the gain side of the aloof spectrum, else of the line."""
    total = vacuum.total() if vacuum is not None else None
    if total is not None:
        return responses.from_vacuum(total.energy_mev, total.counts)
    for source in (aloof, line):
        total = source.total() if source is not None else None
        if total is not None:
            return responses.from_gain_side(total.energy_mev, total.counts)
    return None


def digest(*parts: Any) -> str:
    """A short name for arrays and values that changes when any of them does."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return digest.hexdigest()
