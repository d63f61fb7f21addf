"""What others fit the published model with, on the same spectra from the same start within the same limits.

lmfit and HyperSpy as their users would, each in one thread; and scipy's `least_squares` on an analytic Jacobian, as
somebody would who writes a solver for this model alone. None of them enforces a limit on a FWHM.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from .published_model import CENTRES, GAMMAS, POLARITON_COUNT, SIGMAS, jacobian, limits, model, shapes
from .published_spectra import PublishedSpectra

LINES = 7


@dataclass(frozen=True, eq=False)
class Run:
    """parameters: (n, 19), as in `published_model`."""

    seconds: float
    parameters: np.ndarray

    @property
    def rate(self) -> float:
        """Spectra per second."""
        return len(self.parameters) / self.seconds


Peer = Callable[[PublishedSpectra, np.ndarray], Run]


def with_scipy(spectra: PublishedSpectra, start: np.ndarray) -> Run:
    """scipy's trf with an analytic Jacobian, all 19 parameters, default tolerances."""
    energy, bounds = spectra.energy_mev, limits()

    def fit(counts: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return least_squares(
            lambda p: (model(energy, p) - counts) / sigma,
            start,
            lambda p: jacobian(energy, p) / sigma[:, None],
            bounds=bounds,
            x_scale="jac",
        ).x

    started = time.perf_counter()
    parameters = np.array([fit(c, s) for c, s in zip(spectra.counts, spectra.sigma)])
    return Run(time.perf_counter() - started, parameters)


def with_lmfit(spectra: PublishedSpectra, start: np.ndarray) -> Run:
    """A composite of seven VoigtModels, method least_squares."""
    from lmfit.models import VoigtModel

    composite = VoigtModel(prefix="line0_")
    for k in range(1, LINES):
        composite += VoigtModel(prefix=f"line{k}_")
    initial = _lmfit_parameters(composite, start)
    started = time.perf_counter()
    fits = [
        composite.fit(c, initial, x=spectra.energy_mev, weights=1 / s, method="least_squares")
        for c, s in zip(spectra.counts, spectra.sigma)
    ]
    seconds = time.perf_counter() - started
    tables = np.array([_lmfit_table(fit.params) for fit in fits])
    return Run(seconds, np.array([_vector(*table.T) for table in tables]))


def _lmfit_parameters(composite, start: np.ndarray):
    parameters = composite.make_params()
    lower, upper = limits()
    for k, (area, shape) in enumerate(zip(start, shapes(start))):
        parameters[f"line{k}_amplitude"].set(value=area, min=0.0)
        for quantity, value, of in zip(("center", "sigma", "gamma"), shape, (CENTRES, SIGMAS, GAMMAS)):
            parameter = parameters[f"line{k}_{quantity}"]
            if k < POLARITON_COUNT:
                parameter.set(value=value, vary=False, expr="")
            else:
                index = of.start + k - POLARITON_COUNT
                parameter.set(value=value, vary=True, expr="", min=lower[index], max=upper[index])
    return parameters


def _lmfit_table(parameters) -> np.ndarray:
    names = ("amplitude", "center", "sigma", "gamma")
    return np.array([[parameters[f"line{k}_{name}"].value for name in names] for k in range(LINES)])


def with_hyperspy(spectra: PublishedSpectra, start: np.ndarray) -> Run:
    """A Model1D of seven Voigts, multifit with optimizer trf, bounded. Raises ImportError without HyperSpy."""
    logging.getLogger("hyperspy").setLevel(logging.ERROR)
    import hyperspy.api as hs

    signal = hs.signals.Signal1D(spectra.counts.copy())
    axis = signal.axes_manager[-1]
    axis.offset, axis.scale, axis.units = spectra.energy_mev[0], np.diff(spectra.energy_mev).mean(), "meV"
    signal.set_noise_variance(hs.signals.Signal1D(spectra.sigma**2))
    fitted = signal.create_model()
    lines = [hs.model.components1D.Voigt() for _ in range(LINES)]
    fitted.extend(lines)
    _set_hyperspy(lines, start)
    fitted.assign_current_values_to_all()
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted.multifit(optimizer="trf", bounded=True, iterpath="serpentine", show_progressbar=False)
    seconds = time.perf_counter() - started
    names = ("area", "centre", "sigma", "gamma")
    tables = np.array([[getattr(line, name).map["values"].ravel() for name in names] for line in lines])
    return Run(seconds, np.array([_vector(*table.T) for table in tables.transpose(2, 0, 1)]))


def _set_hyperspy(lines, start: np.ndarray) -> None:
    lower, upper = limits()
    for k, (line, area, shape) in enumerate(zip(lines, start, shapes(start))):
        line.area.value, line.area.bmin = area, 0.0
        for parameter, value, of in zip((line.centre, line.sigma, line.gamma), shape, (CENTRES, SIGMAS, GAMMAS)):
            parameter.value = value
            if k < POLARITON_COUNT:
                parameter.free = False
            else:
                index = of.start + k - POLARITON_COUNT
                parameter.bmin, parameter.bmax = lower[index], upper[index]


def _vector(area: np.ndarray, centre: np.ndarray, sigma: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Parameters (19,) from those of all seven lines."""
    return np.concatenate([area, *(values[POLARITON_COUNT:] for values in (centre, sigma, gamma))])
