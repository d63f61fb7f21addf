"""Thickness, composition and the regions of a line, from its valence and core-loss scans."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .data.errors import UnusableInput
from .data.flags import Flag, unique
from .data.regions import Regions
from .data.spectrum import EnergyAxis, Spectra
from .data.units import mev
from .materials import Recipe
from .measure import boundary, composition, coreloss
from .measure import noise as noises
from .measure.plural import Plural, plural_scattering
from .measure.thickness import Thickness, t_over_lambda
from .vibrational import Prepared, normalised_line

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

    regions: those given, else those found, None where none stand out. map: (n, k) background-subtracted core loss.
    """

    regions: Regions | None = None
    thickness: Thickness | None = None
    thickness_scan: Scan | None = None
    change: composition.Change | None = None
    ratio_scan: Scan | None = None
    map: np.ndarray | None = None
    map_axis: EnergyAxis | None = None
    flags: tuple[Flag, ...] = ()


def measure_chemistry(
    recipe: Recipe, line: Prepared, valence: Spectra | None, core_loss: Spectra | None, regions: Regions | None
) -> Chemistry:
    """Everything that needs no vibrational fit.

    regions: given ones; else they are looked for in the composition, then in the vibrational spectra. Scans that cannot
    be used become flags.
    """
    found = _thickness(valence)
    if not line.spectra.is_line:
        return found
    if core_loss is None or not recipe.edges:
        return _with_regions(found, recipe, line, None, regions)
    try:
        return _composition(found, recipe, line, valence, core_loss, regions)
    except UnusableInput as fault:
        unusable = replace(found, flags=(*found.flags, Flag("CORE_LOSS_UNUSABLE", str(fault))))
        return _with_regions(unusable, recipe, line, None, regions)


def _thickness(valence: Spectra | None) -> Chemistry:
    if valence is None:
        return Chemistry()
    thickness = t_over_lambda(valence, noises.for_spectra(valence))
    scan = Scan(valence.position_nm, thickness.value, thickness.total_sigma)
    return Chemistry(thickness=thickness, thickness_scan=scan, flags=thickness.flags)


def _composition(
    found: Chemistry,
    recipe: Recipe,
    line: Prepared,
    valence: Spectra | None,
    core_loss: Spectra,
    regions: Regions | None,
) -> Chemistry:
    noise = noises.for_spectra(core_loss)
    plural = plural_scattering(core_loss, valence) if valence is not None else None
    axis, values = _map(recipe, core_loss, plural)
    found = replace(found, map=values, map_axis=axis)
    if recipe.ratio is None:
        return _with_regions(found, recipe, line, None, regions)
    first = composition.profile(core_loss, recipe.edges, recipe.ratio, noise, plural=plural)
    scan = Scan(core_loss.position_nm, first.value, first.sigma)
    found = _with_regions(replace(found, ratio_scan=scan), recipe, line, scan, regions)
    if found.regions is None:
        return found
    change = composition.change(core_loss, recipe.edges, recipe.ratio, found.regions, noise, plural=plural)
    flags = [*found.flags, *(plural.flags if plural is not None else ()), *change.flags]
    if change.fit is not None:  # shapes from the regions, not from the mixture of all pixels
        last = composition.profile(core_loss, recipe.edges, recipe.ratio, noise, plural=plural, fit=change.fit)
        scan = Scan(core_loss.position_nm, last.value, last.sigma)
    return replace(found, change=change, ratio_scan=scan, flags=unique(flags))


def _map(recipe: Recipe, core_loss: Spectra, plural: Plural | None) -> tuple[EnergyAxis, np.ndarray]:
    """Core loss over the published single-window background, for display; less plural scattering where it is known."""
    window = recipe.edges[0].background_window_ev
    aside = plural.counts if plural is not None and plural.known[core_loss.valid].all() else None
    background = coreloss.power_law_background(core_loss, window, noises.for_spectra(core_loss), plural=aside)
    high = max(edge.signal_window_ev[1] for edge in recipe.edges) + MAP_BEYOND_EV
    return coreloss.subtracted(core_loss, background, window[0], high, plural=aside)


def _with_regions(
    found: Chemistry, recipe: Recipe, line: Prepared, ratio: Scan | None, regions: Regions | None
) -> Chemistry:
    if regions is not None:
        return replace(found, regions=regions)
    attempts = []
    if ratio is not None:
        attempts.append(boundary.find(ratio.position_nm, ratio.value, ratio.sigma))
    if not attempts or attempts[0].regions is None:
        attempts.append(_vibrational_boundary(line, recipe))
    if attempts[-1].regions is not None:
        return replace(found, regions=attempts[-1].regions)
    return replace(found, flags=unique([*found.flags, *attempts[-1].flags]))


def _vibrational_boundary(line: Prepared, recipe: Recipe) -> boundary.Boundary:
    """Where the normalised vibrational spectra change."""
    normalised, _ = normalised_line(line, recipe.wide_window_mev)
    if normalised is None:
        message = "The spectra do not reach over the fit window, so no boundary can be looked for; give the regions."
        return boundary.Boundary(None, flags=(Flag("BOUNDARY_NOT_FOUND", message),))
    # Variance of a channel in units of the normalised spectrum: its counts over the squared integral.
    scale = line.integral[:, None] * mev(line.spectra.energy.step_ev)
    variance = line.noise.variance(normalised * scale) * line.noise.correlation / scale**2
    return boundary.find(line.spectra.position_nm, *boundary.spectral_profiles(normalised, variance))
