"""Core-loss backgrounds and window intensities, as published: one power law per spectrum, fitted in one window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.errors import UnusableInput
from ..data.noise import NoiseModel
from ..data.spectrum import EnergyAxis, Spectra
from ..materials.recipe import Interval

_ITERATIONS, _CONVERGED = 30, 1e-11
_POISSON = NoiseModel("assumed", 1.0)


@dataclass(frozen=True, eq=False)
class PowerLaws:
    """Backgrounds exp(level) (E / reference_ev)^-exponent of n spectra; nan where there is none.

    level, exponent: (n,). covariance: (n, 2, 2) of (level, exponent).
    """

    level: np.ndarray
    exponent: np.ndarray
    covariance: np.ndarray
    reference_ev: float

    def counts(self, energy_ev: np.ndarray) -> np.ndarray:
        """Background at energy_ev (m,), shape (n, m)."""
        logarithm = np.log(energy_ev / self.reference_ev)
        return np.exp(self.level[:, None] - self.exponent[:, None] * logarithm)

    def gradient(self, energy_ev: np.ndarray) -> np.ndarray:
        """Derivatives of the background by (level, exponent), shape (n, 2, m)."""
        counts = self.counts(energy_ev)
        return np.stack([counts, -np.log(energy_ev / self.reference_ev) * counts], axis=1)


@dataclass(frozen=True, eq=False)
class Intensities:
    """Background-subtracted counts in windows: value (n, windows), covariance (n, windows, windows)."""

    value: np.ndarray
    covariance: np.ndarray

    @property
    def sigma(self) -> np.ndarray:
        return np.sqrt(np.einsum("nii->ni", self.covariance))


def power_law_background(
    spectra: Spectra,
    window_ev: Interval,
    noise: NoiseModel | None = None,
    *,
    plural: np.ndarray | None = None,
    shift_ev: float = 0.0,
) -> PowerLaws:
    """Weighted least-squares power law in one window, for every row; exact on an exact power law.

    plural (n, channels): counts set aside before the fit; they still make noise. shift_ev: how far the axis reads too
    high. noise: overrides that of the spectra; without either, one electron per count is assumed. Rows whose window
    holds no counts become nan.
    Raises UnusableInput when the window is not covered by the axis.
    """
    noise = noise or spectra.noise or _POISSON
    window = covered_channels(spectra.energy, window_ev, shift_ev, "background")
    energy = spectra.energy.energies_ev[window] - shift_ev
    reference = float(np.exp(np.log(energy).mean()))
    n = len(spectra.rows)
    result = PowerLaws(np.full(n, np.nan), np.full(n, np.nan), np.full((n, 2, 2), np.nan), reference)
    usable = spectra.valid if plural is None else spectra.valid & np.isfinite(plural[:, window]).all(axis=1)
    rows = np.flatnonzero(usable)
    aside = np.zeros((rows.size, energy.size)) if plural is None else plural[rows, window]
    fitted = _fit(np.log(energy / reference), spectra.rows[rows, window] - aside, noise, aside)
    result.level[rows], result.exponent[rows], result.covariance[rows] = fitted
    return result


def subtracted(
    spectra: Spectra, background: PowerLaws, low_ev: float, high_ev: float, *, plural: np.ndarray | None = None
) -> tuple[EnergyAxis, np.ndarray]:
    """Counts minus background between two energies: the axis of these channels and (n, channels), nan where unknown.

    Raises UnusableInput when the spectra do not reach there.
    """
    channels = spectra.energy.channels(max(low_ev, spectra.energy.step_ev), high_ev)
    energy = spectra.energy.energies_ev[channels]
    if not energy.size:
        raise UnusableInput(f"The core-loss spectra do not reach {low_ev:g}-{high_ev:g} eV.")
    signal = spectra.rows[:, channels] - background.counts(energy)
    if plural is not None:
        signal = signal - plural[:, channels]
    signal[~spectra.valid] = np.nan
    return EnergyAxis(float(energy[0]), spectra.energy.step_ev, energy.size), signal


def intensities(
    spectra: Spectra,
    windows_ev: tuple[Interval, ...],
    background: PowerLaws,
    noise: NoiseModel | None = None,
    *,
    plural: np.ndarray | None = None,
    shift_ev: float = 0.0,
    moved_ev: np.ndarray | None = None,
) -> Intensities:
    """Counts above the background in windows, with the covariance that the common background gives them.

    Windows are taken in whole channels. moved_ev (n,): they are moved by so much in each row, as edges may be, and
    taken with fractions of channels. Raises UnusableInput when one is not covered by the axis.
    """
    noise = noise or spectra.noise or _POISSON
    shares, channels = _shares(spectra, windows_ev, shift_ev, moved_ev)
    energy = spectra.energy.energies_ev[channels] - shift_ev
    signal = spectra.rows[:, channels] - background.counts(energy)
    if plural is not None:
        signal -= plural[:, channels]
    value = np.einsum("nkm,nm->nk", shares, signal)
    gradients = np.einsum("nkm,npm->nkp", shares, background.gradient(energy))
    variance = noise.variance(spectra.rows[:, channels]) * noise.correlation
    covariance = np.einsum("njm,nm,nkm->njk", shares, variance, shares)
    covariance += gradients @ background.covariance @ gradients.transpose(0, 2, 1)
    bad = ~spectra.valid | ~np.isfinite(value).all(axis=1)
    value[bad], covariance[bad] = np.nan, np.nan
    return Intensities(value, covariance)


def pre_edge_residual(
    spectra: Spectra,
    background_window_ev: Interval,
    residual_window_ev: Interval,
    noise: NoiseModel | None = None,
    *,
    plural: np.ndarray | None = None,
    shift_ev: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """What a background leaves where there should be nothing else, before the first edge: (n,) and its error.

    Relative to the counts there; negative where the background is too high. Raises UnusableInput as `intensities`.
    """
    background = power_law_background(spectra, background_window_ev, noise, plural=plural, shift_ev=shift_ev)
    left = intensities(spectra, (residual_window_ev,), background, noise, plural=plural, shift_ev=shift_ev)
    window = covered_channels(spectra.energy, residual_window_ev, shift_ev, "residual")
    counts = spectra.rows[:, window].sum(axis=1)
    counts = np.where(counts > 0, counts, np.nan)
    return left.value[:, 0] / counts, left.sigma[:, 0] / counts


def covered_channels(axis: EnergyAxis, window_ev: Interval, shift_ev: float, kind: str) -> slice:
    """Channels of a window. Raises UnusableInput unless the axis covers all of it, with three channels at least."""
    low, high = window_ev[0] + shift_ev, window_ev[1] + shift_ev
    channels = axis.channels(low, high)
    outside = low < axis.offset_ev - 0.5 * axis.step_ev or high > axis.end_ev + 0.5 * axis.step_ev
    if outside or window_ev[0] <= 0 or channels.stop - channels.start < 3:
        raise UnusableInput(
            f"The {kind} window {window_ev[0]:g}-{window_ev[1]:g} eV is not covered by the core-loss spectra "
            f"({axis.offset_ev:.4g} to {axis.end_ev:.4g} eV); choose another or record that range."
        )
    return channels


def _shares(
    spectra: Spectra, windows_ev: tuple[Interval, ...], shift_ev: float, moved_ev: np.ndarray | None
) -> tuple[np.ndarray, slice]:
    """The part of every channel that lies in each window (n, windows, m), and which channels these are."""
    axis, moved = spectra.energy, np.zeros(1) if moved_ev is None else moved_ev
    windows = [
        covered_channels(axis, (low + move, high + move), shift_ev, "signal")
        for low, high in windows_ev
        for move in (moved.min(), moved.max())
    ]
    channels = slice(min(w.start for w in windows) - 1, max(w.stop for w in windows) + 1)
    channels = slice(max(channels.start, 0), min(channels.stop, axis.size))
    if moved_ev is None:
        places = np.arange(axis.size)[channels]
        inside = [(places >= window.start) & (places < window.stop) for window in windows[::2]]
        return np.broadcast_to(np.array(inside, float), (len(spectra.rows), len(windows_ev), places.size)), channels
    lower = axis.energies_ev[channels] - 0.5 * axis.step_ev
    low, high = (np.array(windows_ev).T[:, None, :, None] + shift_ev) + moved[:, None, None]
    overlap = np.minimum(lower + axis.step_ev, high) - np.maximum(lower, low)
    return np.maximum(overlap, 0.0) / axis.step_ev, channels


def _fit(
    logarithm: np.ndarray, counts: np.ndarray, noise: NoiseModel, aside: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level and exponent (n,) of spectra (n, m) by Gauss-Newton and their covariance (n, 2, 2); nan without counts.

    Weights come from the model, not from the counts: low counts would otherwise pull the fit down.
    """
    mean = counts.mean(axis=1)
    parameters = np.array([np.log(np.where(mean > 0, mean, np.nan)), np.full(len(counts), 3.0)])
    covariance = np.full((len(counts), 2, 2), np.nan)
    moving = np.flatnonzero(mean > 0)
    for _ in range(_ITERATIONS if moving.size else 0):
        level, exponent = parameters[:, moving, None]
        model = np.exp(level - exponent * logarithm)
        share = model / noise.variance(model + aside[moving])
        weight = share * model
        a, b, c = weight.sum(axis=1), -weight @ logarithm, weight @ logarithm**2
        left = share * (counts[moving] - model)
        x, y = left.sum(axis=1), -left @ logarithm
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = np.array([[c, -b], [-b, a]]) / (a * c - b**2)
        covariance[moving] = np.moveaxis(inverse, 2, 0)
        step = inverse[:, 0] * x + inverse[:, 1] * y
        parameters[:, moving] += np.clip(step, -5.0, 5.0)
        moving = moving[np.abs(step).max(axis=0) >= _CONVERGED]
        if not moving.size:
            break
    parameters[:, ~np.isfinite(parameters).all(axis=0)] = np.nan
    covariance[np.isnan(parameters[0])] = np.nan
    return parameters[0], parameters[1], covariance * noise.correlation
