"""A fit as an lmfit model of all its parameters at once: to check the engine with, and to report with.

Shares no numerics with the engine: lines are scipy's `voigt_profile`, areas and background are searched for like the
rest, derivatives are differences. It is thousands of times slower for that. What the parameters are called is said in
`parameter_names`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import lsq_linear
from scipy.special import voigt_profile

from ..materials.recipe import Interval
from ..measure.lineshapes import voigt_fwhm
from .parameter_names import Names
from .problem import Data, FwhmLimits, Layout

if TYPE_CHECKING:  # lmfit is slow to import
    from lmfit import Minimizer, Parameter, Parameters
    from lmfit.minimizer import MinimizerResult

SEARCH = {"x_scale": "jac", "ftol": 1e-12, "xtol": 1e-12, "gtol": 1e-12}
STEP = 1e-5  # in meV, of centres and widths, from which derivatives are taken


@dataclass(frozen=True, eq=False)
class ReferenceFit:
    """What lmfit found, with the meaning of the engine's `Fits`.

    theta (p,). chi2 (n,): of each spectrum; cost: of all, with that of the priors. areas (n, K), background (n, q).
    minimizer, result: lmfit's own, for `lmfit.fit_report(result)` and `lmfit.conf_interval(minimizer, result)`.
    """

    theta: np.ndarray
    chi2: np.ndarray
    cost: float
    areas: np.ndarray
    background: np.ndarray
    minimizer: Minimizer
    result: MinimizerResult

    def sigma(self) -> np.ndarray:
        """Standard deviations of theta, (p,), as the data are weighted; nan where it is held or lmfit has none."""
        parameters = [self.result.params[name] for name in self.minimizer.userfcn.names.theta]
        return np.array([p.stderr if p.vary and p.stderr is not None else np.nan for p in parameters])


def model(layout: Layout, data: Data, start: np.ndarray, peaks: Sequence[str], problem: int = 0) -> Minimizer:
    """One of the problems as an lmfit `Minimizer`: its `params` at start (p,), its `userfcn` a `Residual`.

    peaks: names of the K lines. Areas and background start where they suit the lines best. `least_squares()` searches
    to tight tolerances, and leaves uncertainties as the data are weighted, however large chi-squared is.
    """
    from lmfit import Minimizer

    names = Names(layout, peaks, data.background.shape[2])
    residual = Residual(layout, data, names, problem)
    parameters = _parameters(layout, names, start)
    residual.set_linear(parameters)
    minimizer = Minimizer(residual, parameters, scale_covar=False)
    # Not as options of the minimizer: `conf_interval` hands those to another method, which refuses them.
    minimizer.least_squares = partial(minimizer.least_squares, jac=residual.jacobian, **SEARCH)
    return minimizer


def fit(layout: Layout, data: Data, starts: np.ndarray, peaks: Sequence[str], problem: int = 0) -> ReferenceFit:
    """The best of the optima that lmfit's `least_squares` reaches from the starts, theta (S, p)."""
    minimizers = [model(layout, data, start, peaks, problem) for start in starts]
    results = [minimizer.least_squares() for minimizer in minimizers]
    best = int(np.argmin([result.chisqr for result in results]))
    minimizer, result = minimizers[best], results[best]
    residual: Residual = minimizer.userfcn
    return ReferenceFit(
        _of(result.params, residual.names.theta),
        np.array([part @ part for part in residual.of_spectra(result.params)]),
        float(result.chisqr),
        _of(result.params, residual.names.area),
        _of(result.params, residual.names.background),
        minimizer,
        result,
    )


def _parameters(layout: Layout, names: Names, start: np.ndarray) -> Parameters:
    """Parameters with their limits, and what follows from them; areas and background still zero."""
    from lmfit import Parameters

    searched = dict(zip(names.theta, map(_searched, layout.lower, start, layout.upper)))
    settings: dict[str, dict] = {}
    for k, b in np.ndindex(names.area.T.shape):
        settings |= _line_settings(layout.fwhm_limits, names, b, k, searched)
    settings |= {name: {"value": 0.0} for name in names.background.ravel()} | searched
    functions: dict[str, Callable] = {"voigt_fwhm": voigt_fwhm}
    if layout.fwhm_limits is not None:
        functions["sigma_between"] = partial(_sigma_between, layout.fwhm_limits.fwhm_mev)
    parameters = Parameters(usersyms=functions)
    for name, setting in settings.items():
        parameters.add(name, **setting)
    return parameters


def _searched(lower: float, value: float, upper: float) -> dict:
    if lower < upper:
        return {"value": float(np.clip(value, lower, upper)), "min": lower, "max": upper}
    return {"value": lower, "vary": False}


def _line_settings(limits: FwhmLimits | None, names: Names, spectrum: int, line: int, searched: dict) -> dict:
    """Settings of the parameters of a line by name, those that others follow from first."""
    at = spectrum, line
    gamma, sigma = names.gamma[at], names.sigma[at]
    settings = {name: searched[name] for name in (names.centre[at], names.searched_sigma[at], gamma)}
    if limits is not None:
        low, high = float(limits.sigma_lower[line]), float(limits.sigma_upper[line])
        settings[sigma] = {"expr": f"sigma_between({names.searched_sigma[at]}, {gamma}, {low}, {high})"}
    settings[names.fwhm[at]] = {"expr": f"voigt_fwhm({sigma}, {gamma})"}
    settings[names.area[at]] = {"value": 0.0, "min": 0.0}
    return settings


def _sigma_between(fwhm_mev: Interval, fraction: float, gamma: float, lower: float, upper: float) -> float:
    one = FwhmLimits(fwhm_mev, np.array([lower]), np.array([upper]))
    return float(one.sigma(np.array([fraction]), np.array([gamma]))[0][0])


class Residual:
    """Weighted residuals of one problem as a function of lmfit's parameters, masked channels left out.

    The spectra one after the other, then one for each parameter that is known beforehand.
    """

    def __init__(self, layout: Layout, data: Data, names: Names, problem: int):
        self.names = names
        self._energy, self._counts, self._sigma, self._background, self._response = (
            array[problem] for array in (data.energy_mev, data.counts, data.sigma, data.background, data.response)
        )
        self._priors = [(names.theta[p.indices], p.mean, _whitening(p.covariance)) for p in layout.priors]
        self._steps: dict[str, float] = {}
        # A step in one parameter, as differences take it, moves one line.
        self._line = lru_cache(maxsize=4 * names.area.size)(self._drawn_line)

    def __call__(self, parameters: Parameters) -> np.ndarray:
        known = [whitening @ (_of(parameters, names) - mean) for names, mean, whitening in self._priors]
        return np.concatenate([*self.of_spectra(parameters), *known])

    def jacobian(self, parameters: Parameters) -> np.ndarray:
        """Derivatives by the parameters that vary, (residuals, v), from differences.

        The steps of lmfit's own drown in rounding where an area is near zero, and the search then ends too early.
        """
        return np.array([self._slope(parameters, p) for p in parameters.values() if p.vary]).T

    def _slope(self, parameters: Parameters, moved: Parameter) -> np.ndarray:
        value, step = moved.value, self._steps.get(moved.name, STEP)
        ends = max(value - step, moved.min), min(value + step, moved.max)
        sides = []
        for moved.value in ends:
            sides.append(self(parameters))
        moved.value = value
        return (sides[1] - sides[0]) / (ends[1] - ends[0])

    def of_spectra(self, parameters: Parameters) -> list[np.ndarray]:
        """Weighted residuals of the channels that are not masked, of each spectrum."""
        weighted = (self._counts - self.model(parameters)) / self._sigma
        return [part[used] for part, used in zip(weighted, np.isfinite(self._sigma))]

    def model(self, parameters: Parameters) -> np.ndarray:
        """Expected counts of every channel, (n, m)."""
        areas, background = _of(parameters, self.names.area), _of(parameters, self.names.background)
        return np.array(
            [areas[b] @ lines + background[b] @ self._background[b] for b, lines in enumerate(self._lines(parameters))]
        )

    def set_linear(self, parameters: Parameters) -> None:
        """Give areas and background the values that suit the lines of the parameters best."""
        for b, lines in enumerate(self._lines(parameters)):
            used = np.isfinite(self._sigma[b])
            design = np.concatenate([lines, self._background[b]])[:, used] / self._sigma[b, used]
            scale = np.maximum(np.linalg.norm(design, axis=1), 1e-300)
            names = [*self.names.area[b], *self.names.background[b]]
            lower = [parameters[name].min for name in names]
            target = self._counts[b, used] / self._sigma[b, used]
            found = lsq_linear((design / scale[:, None]).T, target, (lower, np.inf)).x / scale
            for name, value, step in zip(names, found, 1.0 / scale):
                parameters[name].value = value
                self._steps[name] = step

    def _lines(self, parameters: Parameters) -> np.ndarray:
        """Lines of unit area, (n, K, m)."""
        names = self.names
        centre, sigma, gamma = (_of(parameters, table) for table in (names.centre, names.sigma, names.gamma))
        centre = centre + [parameters[name].value if name else 0.0 for name in names.offset]
        return np.array(
            [[self._line(b, *shape) for shape in zip(*shapes)] for b, shapes in enumerate(zip(centre, sigma, gamma))]
        )

    def _drawn_line(self, spectrum: int, centre: float, sigma: float, gamma: float) -> np.ndarray:
        weight, offset, wider_sigma, wider_gamma = self._response[spectrum].T[:, :, None]
        distance = self._energy[spectrum] - centre - offset
        return np.sum(weight * voigt_profile(distance, np.hypot(sigma, wider_sigma), gamma + wider_gamma), axis=0)


def _whitening(covariance: np.ndarray) -> np.ndarray:
    """The matrix that turns deviations of this covariance into independent ones of unit variance."""
    return np.linalg.inv(np.linalg.cholesky(covariance))


def _of(parameters: Parameters, names: np.ndarray) -> np.ndarray:
    return np.array([parameters[name].value for name in names.ravel()]).reshape(names.shape)
