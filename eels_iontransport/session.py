"""Spectra in, readout out: the one place that knows the whole chain.

`Session` keeps what it has worked out. A new row costs that row, the sums and the common fit of the regions that it
lies in, and what depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from .bootstrap import COUNT
from .chemistry import Chemistry, measure_chemistry
from .data.errors import UnusableInput
from .data.passes import joined
from .data.record import Role
from .data.regions import SPECTRUM, Regions, moved
from .data.spectrum import Spectra
from .decomposition.engine import Stop, never
from .decomposition.fitting import MODES
from .evaluation import Evaluation, fitted_spectrum
from .later import Later
from .materials import Recipe
from .materials.recipe import Interval
from .measure.passes import in_step
from .measure.transport import Assumptions
from .memory import Memory, Seen, Watch
from .prepared import Prepared, Preparer, prepare_all
from .progress import Progress, silent
from .provenance import off_axis_inputs, partial_inputs, provenance, sha256
from .readout import Findings, assemble
from .rows import RowFits
from .scrutiny import Evaluated, with_bootstrap, with_model, with_sceptic, with_specifications
from .vibrational import Vibrations, measure_vibrations
from .warmth import measure_temperature

ROLES = tuple(role.value for role in (Role.VIBRATIONAL, Role.ALOOF, Role.ZLP, Role.VALENCE, Role.CORE_LOSS))
PREPARED = (Role.VIBRATIONAL.value, Role.ALOOF.value, Role.ZLP.value)
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
        self._watches = {role: Watch() for role in ROLES}
        self._preparers = {role: Preparer() for role in PREPARED}
        self._preparers["vibrational"] = Preparer(recipe.wide_window_mev)
        self._memory, self._of_scans = Memory(), Memory()
        self._rows = RowFits()
        self._last: Evaluated | None = None

    def update(self, **inputs: Spectra | None) -> None:
        """Set or, with None, remove inputs by role: vibrational, aloof, zlp, valence, core_loss."""
        for role, spectra in inputs.items():
            if role not in ROLES:
                raise UnusableInput(f"There is no input '{role}'; the inputs are {', '.join(ROLES)}.")
            if spectra is None:
                self._inputs.pop(role, None)
            else:
                self._inputs[role] = in_step(spectra)

    def evaluate(
        self, *, should_stop: Stop = never, progress: Progress = silent, fits: bool = True, settled: bool = True
    ) -> Evaluation:
        """The readout and all that is drawn, from the inputs as they are now.

        fits: without them, what is known at once: zero-loss peaks, the normalised spectra, chemistry.
        settled: every number is that of the inputs as they are, whatever came before. Else, while rows arrive, what a
        further row hardly changes is kept: the common fit goes on from its last optimum; of the rows that were fitted
        with other common shapes, those that have waited longest are fitted again, and the others too where these move
        by more than a fifth of their standard deviation (`rows.RowFits`); a boundary that is found in the vibrational
        spectra is looked for again when the line has grown by a twentieth.

        Raises UnusableInput where there is nothing to analyse, and Cancelled when should_stop says so.
        """
        if "vibrational" not in self._inputs:
            raise UnusableInput("There is no vibrational spectrum; give a spectrum or a line scan.")
        # The matrices are small: threads of the linear algebra would only wait for each other.
        with _linear_algebra().limit(limits=1, user_api="blas"):
            return self._evaluate(should_stop, progress, fits, settled)

    def bootstrap(
        self, count: int = COUNT, seed: int = 0, *, should_stop: Stop = never, progress: Progress = silent
    ) -> Evaluation:
        """The last evaluation, with bootstraps of the shift: `bootstrap` in the readout's `ldo_peak`.

        Raises UnusableInput where there is no shift to ask for, or count is too small, and Cancelled.
        """
        with _linear_algebra().limit(limits=1, user_api="blas"):
            self._last = with_bootstrap(self._evaluated(), count, seed, should_stop, progress)
        return self._last.evaluation

    def specifications(self, *, should_stop: Stop = never, progress: Progress = silent) -> Evaluation:
        """The last evaluation, with the shift under other windows, backgrounds, modes ...: `specification`.

        Raises UnusableInput where there is no shift to ask for, and Cancelled.
        """
        with _linear_algebra().limit(limits=1, user_api="blas"):
            self._last = with_specifications(self._evaluated(), should_stop, progress)
        return self._last.evaluation

    def sceptic(self, *, should_stop: Stop = never, progress: Progress = silent) -> Evaluation:
        """The last evaluation, with the checks that a sceptic asks for: `sceptic` in the readout.

        What cannot be checked is null there, with the reason. Raises Cancelled.
        """
        with _linear_algebra().limit(limits=1, user_api="blas"):
            self._last = with_sceptic(self._evaluated(), should_stop, progress)
        return self._last.evaluation

    def model(self, *, should_stop: Stop = never, progress: Progress = silent) -> Evaluation:
        """The last evaluation, with what other numbers of peaks, and tied areas, make of the shift: `model`.

        Raises UnusableInput where there is no shift to ask for, and Cancelled.
        """
        with _linear_algebra().limit(limits=1, user_api="blas"):
            self._last = with_model(self._evaluated(), should_stop, progress)
        return self._last.evaluation

    def _evaluated(self) -> Evaluated:
        if self._last is None:
            self.evaluate()
        assert self._last is not None
        return self._last

    def _evaluate(self, should_stop: Stop, progress: Progress, fits: bool, settled: bool) -> Evaluation:
        self._of_scans.turn()
        if fits:
            self._memory.turn()
        seen = {role: self._watches[role].look(spectra) for role, spectra in self._inputs.items()}
        on_the_way = {role: self._hash(role, given) for role, given in seen.items()}
        progress(0, 1, "Zero-loss peaks")
        prepared = prepare_all(self._preparers, {role: seen[role] for role in PREPARED if role in seen})
        line = prepared["vibrational"]
        progress(0, 1, "Core loss and thickness")
        chemistry = measure_chemistry(
            self.recipe,
            line,
            seen.get("valence"),
            seen.get("core_loss"),
            self.regions,
            self._of_scans,
            settled=settled,
        )
        inputs = {role: given.spectra for role, given in seen.items()}
        chemistry = replace(chemistry, flags=(*partial_inputs(inputs), *off_axis_inputs(inputs), *chemistry.flags))
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
                row_fits=self._rows,
                moved_masks=moved_masks(line, chemistry),
                settled=settled,
            )
        warmth = measure_temperature(vibrations, prepared.get("zlp"), self._memory) if settled and fits else None
        findings = Findings(self.recipe, self.mode, line, chemistry, vibrations, self.assumptions, warmth)
        hashes = {role: later.result() for role, later in on_the_way.items()}
        origin = provenance({role: s.spectra for role, s in seen.items()}, self._parameters(vibrations), hashes)
        evaluation = _evaluation(findings, assemble(findings, origin))
        self._last = Evaluated(evaluation, findings, prepared, masks, self.background_mev)
        return evaluation

    def _hash(self, role: str, seen: Seen) -> Later[str]:
        """The hash of an input, on its way in another thread."""
        make = partial(Later, partial(sha256, seen.spectra))
        later: Later[str] = self._of_scans.recall(("sha256", role, seen.token), make)
        return later

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
    vibrational: Spectra | Sequence[Spectra],
    aloof: Spectra | None = None,
    zlp: Spectra | None = None,
    valence: Spectra | None = None,
    core_loss: Spectra | None = None,
    regions: Regions | None = None,
    mode: str = "shared",
    background_mev: tuple[Interval, Interval] | None = None,
    assumptions: Assumptions | None = None,
) -> dict[str, Any]:
    """The readout of a line scan or a spectrum, as readout.json holds it.

    vibrational: several items of one line are put together as its passes (`data.passes.joined`).
    Raises UnusableInput.
    """
    line = vibrational if isinstance(vibrational, Spectra) else joined(vibrational)
    session = Session(recipe, mode=mode, regions=regions, background_mev=background_mev, assumptions=assumptions)
    session.update(vibrational=line, aloof=aloof, zlp=zlp, valence=valence, core_loss=core_loss)
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


def moved_masks(
    line: Prepared, chemistry: Chemistry
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float] | None:
    """The rows of the regions with the boundary moved by its error, and the part of the change to count."""
    regions, place = chemistry.regions, chemistry.boundary
    if regions is None or place is None or not line.spectra.is_line:
        return None
    by_error = moved(regions, line.spectra.position_nm, place.centre_sigma_nm)
    return line_masks(line, by_error.before), line_masks(line, by_error.after), by_error.part


def _evaluation(findings: Findings, readout: dict[str, Any]) -> Evaluation:
    line, vibrations, chemistry = findings.line, findings.vibrations, findings.chemistry
    fits = {}
    if vibrations.together is not None:
        for row, name in enumerate(vibrations.names):
            fits[name] = fitted_spectrum(vibrations.together, row, vibrations.integrals[name])
    aloof = None
    if vibrations.model is not None and vibrations.model.aloof is not None:
        aloof = fitted_spectrum(vibrations.model.aloof, 0, vibrations.model.aloof_integral)
    return Evaluation(
        readout,
        line.spectra.position_nm,
        line.spectra.valid,
        chemistry.regions,
        line.normalised,
        line.normalised_axis,
        fits,
        aloof,
        findings.profiles,
        findings.recipe.shift_peak,
        chemistry.map,
        chemistry.map_axis,
        findings.flags,
    )


@cache
def _linear_algebra() -> ThreadpoolController:
    """What limits the threads of the linear algebra; to find its libraries takes longer than many an evaluation."""
    return ThreadpoolController()
