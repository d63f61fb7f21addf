"""Thickness, composition and the regions of a line, from its valence and core-loss scans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from .data.errors import UnusableInput
from .data.flags import Flag, unique
from .data.noise import NoiseModel
from .data.regions import Regions
from .data.spectrum import EnergyAxis, Spectra
from .data.units import mev
from .materials import Recipe
from .measure import boundary, composition, coreloss, zlp
from .measure import noise as noises
from .measure.gaps import bridged, widest_gap
from .measure.plural import Plural, plural_scattering
from .measure.thickness import Thickness, t_over_lambda
from .memory import Memory, Seen
from .prepared import Prepared

CORE_LOSS, ZERO_LOSS, SPECTRA = "core loss", "zero-loss profile", "vibrational spectra"  # in what a boundary is found
THICKNESS_ORDER = 3  # of the polynomial that follows the thickness of a grain
WORTH_A_SEARCH = 0.05  # part by which a line that fills has to grow for its boundary to be looked for again
MENDABLE = 8  # channels side by side that neighbours can stand for
MAP_BEYOND_EV = 7.0  # the core-loss map goes on so far beyond the last signal window


@dataclass(frozen=True, eq=False)
class Scan:
    """Values along a scan of the same line, which may have other pixels than the vibrational one; all (n,)."""

    position_nm: np.ndarray
    value: np.ndarray
    sigma: np.ndarray

    def at(self, position_nm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and sigma at the places of another scan; nan beyond the ends and next to pixels without value."""
        value, sigma = (
            np.interp(position_nm, self.position_nm, values, np.nan, np.nan) for values in (self.value, self.sigma)
        )
        return value, sigma


@dataclass(frozen=True, eq=False)
class Chemistry:
    """What the valence and core-loss scans gave; parts without input are None.

    regions: those given, else those found, None where none stand out. boundary: where it lies and by what it was found.
    map: (n, k) background-subtracted core loss.
    """

    regions: Regions | None = None
    boundary: boundary.Boundary | None = None
    thickness: Thickness | None = None
    thickness_scan: Scan | None = None
    change: composition.Change | None = None
    ratio_scan: Scan | None = None
    map: np.ndarray | None = None
    map_axis: EnergyAxis | None = None
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, eq=False)
class Edges:
    """A core-loss scan in which a ratio can be measured: its noise, and plural scattering where it is known."""

    core_loss: Spectra
    ratio: tuple[str, str]
    noise: NoiseModel
    plural: Plural | None


@dataclass(frozen=True, eq=False)
class Scans:
    """What the valence and core-loss scans say before there are regions, and where the ratio puts the boundary."""

    found: Chemistry
    edges: Edges | None = None
    place: boundary.Boundary | None = None


def measure_chemistry(
    recipe: Recipe,
    line: Prepared,
    valence: Seen | None,
    core_loss: Seen | None,
    regions: Regions | None,
    memory: Memory,
    *,
    settled: bool = True,
) -> Chemistry:
    """Everything that needs no vibrational fit; what depends on nothing new is recalled.

    regions: given ones; else they are looked for in the composition, then in the zero-loss peak of the line, then in
    its vibrational spectra. Scans that cannot be used become flags. settled: else regions found in the vibrational line
    stay until there is a twentieth more.
    """
    key = ("scans", *(scan.token if scan is not None else None for scan in (valence, core_loss)), line.spectra.is_line)
    spectra = [scan.spectra if scan is not None else None for scan in (valence, core_loss)]
    scans: Scans = memory.recall(key, partial(_scans, recipe, *spectra, is_line=line.spectra.is_line))
    if not line.spectra.is_line:
        return scans.found
    found = _with_regions(scans, line, regions, memory, settled)
    if scans.edges is None or found.regions is None:
        return found
    measured = memory.recall(("change", *key, found.regions), partial(_change, recipe, scans.edges, found.regions))
    return replace(
        found,
        change=measured.change,
        ratio_scan=measured.ratio_scan or found.ratio_scan,
        flags=unique([*found.flags, *measured.flags]),
    )


def _scans(recipe: Recipe, valence: Spectra | None, core_loss: Spectra | None, *, is_line: bool) -> Scans:
    valence, of_valence = _mended(valence, "valence") if valence is not None else (None, ())
    found = _thickness(valence)
    found = replace(found, flags=unique([*of_valence, *found.flags]))
    if not is_line or core_loss is None or not recipe.edges:
        return Scans(found)
    lost, (core_loss, of_core_loss) = np.isnan(core_loss.rows), _mended(core_loss, "core-loss")
    found = replace(found, flags=unique([*found.flags, *of_core_loss]))
    try:
        noise = noises.for_spectra(core_loss)
        plural = plural_scattering(core_loss, valence) if valence is not None else None
        axis, values = _map(recipe, core_loss, noise, plural)
        start = round((axis.offset_ev - core_loss.energy.offset_ev) / axis.step_ev)
        values[lost[:, start : start + axis.size]] = np.nan
        with_map = replace(found, map=values, map_axis=axis)
        if recipe.ratio is None:
            return Scans(with_map)
        first = composition.profile(core_loss, recipe.edges, recipe.ratio, noise, plural=plural)
    except UnusableInput as fault:
        return Scans(replace(found, flags=(*found.flags, Flag("CORE_LOSS_UNUSABLE", str(fault)))))
    scan = Scan(core_loss.position_nm, first.value, first.sigma)
    place = boundary.find(scan.position_nm, scan.value, scan.sigma, source=CORE_LOSS)
    return Scans(replace(with_map, ratio_scan=scan), Edges(core_loss, recipe.ratio, noise, plural), place)


def _mended(spectra: Spectra, kind: str) -> tuple[Spectra, tuple[Flag, ...]]:
    """Spectra with lines over the few channels that were lost, without those rows where they were more, and a flag.

    A line over channels of the zero-loss peak would be made up: such rows are left out, too.
    """
    lost = ~np.isfinite(spectra.rows) & spectra.valid[:, None]
    count = int(lost.sum())
    if not count:
        return spectra, ()
    whole = replace(spectra, counts=bridged(spectra.rows).reshape(spectra.counts.shape))
    without_peak = _has_peak(whole) & ~_has_peak(spectra)
    left_out = lost.any(axis=1) & ((widest_gap(spectra.rows) > MENDABLE) | without_peak)
    message = f"{count} channels without a number in {int(lost.any(axis=1).sum())} {kind} spectra were read off others"
    if left_out.any():
        message += f"; {int(left_out.sum())} spectra that lack too much are left out"
    return whole.with_valid(~left_out), (Flag("CHANNELS_MASKED", f"{message}."),)


def _has_peak(spectra: Spectra) -> np.ndarray:
    return np.isfinite(zlp.find_valid(spectra).position)


def _thickness(valence: Spectra | None) -> Chemistry:
    if valence is None:
        return Chemistry()
    thickness = t_over_lambda(valence, noises.for_spectra(valence))
    scan = Scan(valence.position_nm, thickness.value, thickness.total_sigma)
    return Chemistry(thickness=thickness, thickness_scan=scan, flags=thickness.flags)


def _change(recipe: Recipe, edges: Edges, regions: Regions) -> Chemistry:
    """The composition of the regions, and along the line by their shapes."""
    spectra, ratio, noise, plural = edges.core_loss, edges.ratio, edges.noise, edges.plural
    scan = None
    try:
        change = composition.change(spectra, recipe.edges, ratio, regions, noise, plural=plural)
        if change.fit is not None:  # shapes from the regions, not from the mixture of all pixels
            last = composition.profile(spectra, recipe.edges, ratio, noise, plural=plural, fit=change.fit)
            scan = Scan(spectra.position_nm, last.value, last.sigma)
    except UnusableInput as fault:
        return Chemistry(flags=(Flag("CORE_LOSS_UNUSABLE", str(fault)),))
    flags = [*(plural.flags if plural is not None else ()), *change.flags]
    return Chemistry(change=change, ratio_scan=scan, flags=unique(flags))


def _map(recipe: Recipe, core_loss: Spectra, noise: NoiseModel, plural: Plural | None) -> tuple[EnergyAxis, np.ndarray]:
    """Core loss over the published single-window background, for display; less plural scattering where it is known."""
    window = recipe.edges[0].background_window_ev
    aside = plural.counts if plural is not None and plural.known[core_loss.valid].all() else None
    background = coreloss.power_law_background(core_loss, window, noise, plural=aside)
    high = max(edge.signal_window_ev[1] for edge in recipe.edges) + MAP_BEYOND_EV
    return coreloss.subtracted(core_loss, background, window[0], high, plural=aside)


def _with_regions(scans: Scans, line: Prepared, regions: Regions | None, memory: Memory, settled: bool) -> Chemistry:
    """The regions given, else found in the composition, else in the vibrational line."""
    if regions is not None:
        return replace(scans.found, regions=regions, boundary=boundary.given(regions))
    found = scans.place
    if found is None or found.regions is None:
        found = _boundary_of_line(line, memory, settled)
    return replace(scans.found, regions=found.regions, boundary=found, flags=unique([*scans.found.flags, *found.flags]))


def _boundary_of_line(line: Prepared, memory: Memory, settled: bool) -> boundary.Boundary:
    rows = int(line.usable.sum())
    before: tuple[int, boundary.Boundary] | None = memory.last.get("boundary")
    if not settled and before is not None and before[0] <= rows < (1 + WORTH_A_SEARCH) * before[0]:
        return before[1]
    found: boundary.Boundary = memory.recall(("boundary", line.token), partial(find_boundary, line))
    memory.last["boundary"] = rows, found
    return found


def find_boundary(line: Prepared) -> boundary.Boundary:
    """Where the zero-loss peak of a vibrational line changes in strength, else where its normalised spectra change.

    The zero-loss peak comes first: regions that were chosen for their spectra to differ would differ by choice, too.
    Where both show a boundary, but not the same one, a flag says so.
    """
    by_thickness, by_spectra = zero_loss_boundary(line), vibrational_boundary(line)
    if by_thickness.regions is None:
        return by_spectra
    return boundary.compared(by_thickness, by_spectra)


def zero_loss_boundary(line: Prepared) -> boundary.Boundary:
    """Where the zero-loss peak changes in strength, and with it thickness or scattering power.

    Thickness varies along any line: what a cubic follows is no boundary.
    """
    half_width = np.nanmedian(line.zero.fwhm_ev) if line.usable.any() else np.nan  # the width of no row matters much
    counts = zlp.integral(line.spectra, line.zero.position_ev, float(half_width))
    with np.errstate(invalid="ignore", divide="ignore"):
        channels = 2 * half_width / line.spectra.energy.step_ev
        sigma = np.sqrt(line.noise.correlation * (line.noise.variance(counts) + line.noise.floor * channels)) / counts
        value = np.where(counts > 0, np.log(counts / line.spectra.traversals), np.nan)  # the last pass may be partial
    return boundary.find(line.spectra.position_nm, value, sigma, order=THICKNESS_ORDER, source=ZERO_LOSS)


def vibrational_boundary(line: Prepared) -> boundary.Boundary:
    """Where the normalised vibrational spectra change."""
    if line.normalised is None:
        message = "The spectra do not reach over the fit window, so no boundary can be looked for; give the regions."
        return boundary.Boundary(None, flags=(Flag("BOUNDARY_NOT_FOUND", message),), source=SPECTRA)
    # Variance of a channel in units of the normalised spectrum: its counts over the squared integral.
    scale = line.integral[:, None] * mev(line.spectra.energy.step_ev)
    variance = line.noise.variance(line.normalised * scale) * line.noise.correlation / scale**2
    profiles = boundary.spectral_profiles(line.normalised, variance)
    return boundary.find(line.spectra.position_nm, *profiles, source=SPECTRA)
