"""Spectra in, readout out: the one place that knows the whole chain.

`Session` keeps what it has worked out. Rows are fitted again where the shapes that they share have moved: while the
regions still fill, a new row may cost all of them; after that, only what changed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from .bootstrap import COUNT
from .chemistry import Chemistry, measure_chemistry
from .data.errors import UnusableInput
from .data.record import Role
from .data.regions import SPECTRUM, Regions
from .data.spectrum import Spectra
from .decomposition.engine import Stop, never
from .decomposition.fitting import MODES
from .evaluation import Evaluation, fitted_spectrum
from .materials import Recipe
from .materials.recipe import Interval
from .measure.transport import Assumptions
from .readout import Findings, assemble
from .scrutiny import Evaluated, with_bootstrap, with_specifications
from .vibrational import (
    Memory,
    Prepared,
    Progress,
    Vibrations,
    digest,
    measure_vibrations,
    normalised_line,
    prepare,
    silent,
)

ROLES = tuple(role.value for role in (Role.VIBRATIONAL, Role.ALOOF, Role.ZLP, Role.VALENCE, Role.CORE_LOSS))
STRETCHES = 3  # without regions, so many equal stretches of the line are fitted together


class Session:
    """An analysis that can be asked again as spectra and regions change. Not for two threads at once.

    regions: None to find them. background_mev: two windows in place of the recipe's.
    assumptions: of the transport estimate; None takes the recipe's.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        mode: str = "shared",
        regions: Regions | None = None,
        background_mev: tuple[Interval, Interval] | None = None,
        assumptions: Assumptions | None = None,
    ):
        if mode not in MODES:
            raise UnusableInput(f"There is no mode '{mode}'; choose one of {', '.join(MODES)}.")
        self.recipe = recipe
        self.mode = mode
        self.regions = regions
        self.background_mev = background_mev
        self.assumptions = assumptions
        self._inputs: dict[str, Spectra] = {}
        self._memory = Memory()
        self._last: Evaluated | None = None

    def update(self, **inputs: Spectra | None) -> None:
        """Set or, with None, remove inputs by role: vibrational, aloof, zlp, valence, core_loss."""
        for role, spectra in inputs.items():
            if role not in ROLES:
                raise UnusableInput(f"There is no input '{role}'; the inputs are {', '.join(ROLES)}.")
            if spectra is None:
                self._inputs.pop(role, None)
            else:
                self._inputs[role] = spectra

    def evaluate(self, *, should_stop: Stop = never, progress: Progress = silent, fits: bool = True) -> Evaluation:
        """The readout and all that is drawn, from the inputs as they are now.

        fits: without them, what is known at once: zero-loss peaks, the normalised spectra, chemistry. Raises
        UnusableInput where there is nothing to analyse, and Cancelled when should_stop says so.
        """
        if "vibrational" not in self._inputs:
            raise UnusableInput("There is no vibrational spectrum; give a spectrum or a line scan.")
        # The matrices are small: threads of the linear algebra would only wait for each other.
        with threadpool_limits(limits=1, user_api="blas"):
            return self._evaluate(should_stop, progress, fits)

    def bootstrap(
        self, count: int = COUNT, seed: int = 0, *, should_stop: Stop = never, progress: Progress = silent
    ) -> Evaluation:
        """The last evaluation, with bootstraps of the shift: `bootstrap` in the readout's `ldo_peak`.

        Raises UnusableInput where there is no shift to ask for, or count is too small, and Cancelled.
        """
        with threadpool_limits(limits=1, user_api="blas"):
            self._last = with_bootstrap(self._evaluated(), count, seed, should_stop, progress)
        return self._last.evaluation

    def specifications(self, *, should_stop: Stop = never, progress: Progress = silent) -> Evaluation:
        """The last evaluation, with the shift under other windows, backgrounds, modes ...: `specification`.

        Raises UnusableInput where there is no shift to ask for, and Cancelled.
        """
        with threadpool_limits(limits=1, user_api="blas"):
            self._last = with_specifications(self._evaluated(), should_stop, progress)
        return self._last.evaluation

    def _evaluated(self) -> Evaluated:
        if self._last is None:
            self.evaluate()
        assert self._last is not None
        return self._last

    def _evaluate(self, should_stop: Stop, progress: Progress, fits: bool) -> Evaluation:
        if fits:
            self._memory.turn()
        progress(0, 1, "Zero-loss peaks")
        prepared: dict[str, Prepared] = {
            role: prepare(self._inputs[role]) for role in ("vibrational", "aloof", "zlp") if role in self._inputs
        }
        line = prepared["vibrational"]
        progress(0, 1, "Core loss and thickness")
        chemistry = self._chemistry(line)
        vibrations, masks = Vibrations(), line_masks(line, chemistry.regions)
        if fits:
            vibrations = measure_vibrations(
                self.recipe,
                self.mode,
                self.background_mev,
                prepared,
                masks,
                self._memory,
                should_stop,
                progress,
            )
        findings = Findings(self.recipe, self.mode, line, chemistry, vibrations, self.assumptions)
        readout = assemble(findings, self._inputs, self._parameters(vibrations))
        self._last = Evaluated(_evaluation(findings, readout), findings, prepared, masks, self.background_mev)
        return self._last.evaluation

    def _chemistry(self, line: Prepared) -> Chemistry:
        """Worked out anew only when a scan or the regions changed; vibrational rows matter where regions are found."""
        valence, core_loss = self._inputs.get("valence"), self._inputs.get("core_loss")
        scans = [scan for scan in (valence, core_loss) if scan is not None]
        if self.regions is None:
            scans.append(line.spectra)
        key = (
            "chemistry",
            repr(self.regions),
            digest(*(part for s in scans for part in (s.counts, s.valid, s.energy))),
        )
        make = partial(measure_chemistry, self.recipe, line, valence, core_loss, self.regions)
        return self._memory.recall(key, make)

    def _parameters(self, vibrations: Vibrations) -> dict[str, Any]:
        """What the analysis was asked for, for the record."""
        response = vibrations.model.setup.response if vibrations.model is not None else None
        return {
            "mode": self.mode,
            "background_mev": self.background_mev,
            "regions": "given" if self.regions is not None else "found",
            "response": response.source if response is not None else None,
        }


def analyze(
    recipe: Recipe,
    *,
    vibrational: Spectra,
    aloof: Spectra | None = None,
    zlp: Spectra | None = None,
    valence: Spectra | None = None,
    core_loss: Spectra | None = None,
    regions: Regions | None = None,
    mode: str = "shared",
    background_mev: tuple[Interval, Interval] | None = None,
    assumptions: Assumptions | None = None,
) -> dict[str, Any]:
    """The readout of a line scan or a spectrum, as readout.json holds it. Raises UnusableInput."""
    session = Session(recipe, mode=mode, regions=regions, background_mev=background_mev, assumptions=assumptions)
    session.update(vibrational=vibrational, aloof=aloof, zlp=zlp, valence=valence, core_loss=core_loss)
    return session.evaluate().readout


def line_masks(line: Prepared, regions: Regions | None) -> dict[str, np.ndarray]:
    """Which rows are summed and fitted together: the regions, equal stretches of the line, or the one spectrum."""
    rows = len(line.spectra.rows)
    if not line.spectra.is_line:
        return {SPECTRUM: np.ones(1, bool)}
    if regions is not None:
        return {name: region.mask(line.spectra.position_nm) for name, region in regions}
    stretches = np.array_split(np.arange(rows), min(STRETCHES, rows))
    return {f"stretch_{i + 1}": np.isin(np.arange(rows), part) for i, part in enumerate(stretches)}


def _evaluation(findings: Findings, readout: dict[str, Any]) -> Evaluation:
    line, vibrations, chemistry = findings.line, findings.vibrations, findings.chemistry
    fits = {}
    if vibrations.together is not None:
        for row, name in enumerate(vibrations.names):
            fits[name] = fitted_spectrum(vibrations.together, row, vibrations.integrals[name])
    aloof = None
    if vibrations.model is not None and vibrations.model.aloof is not None:
        aloof = fitted_spectrum(vibrations.model.aloof, 0, vibrations.model.aloof_integral)
    normalised, axis = normalised_line(line, findings.recipe.wide_window_mev)
    return Evaluation(
        readout,
        line.spectra.position_nm,
        line.spectra.valid,
        chemistry.regions,
        normalised,
        axis,
        fits,
        aloof,
        findings.profiles(),
        findings.recipe.shift_peak,
        chemistry.map,
        chemistry.map_axis,
        findings.flags(),
    )
