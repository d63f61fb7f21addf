"""The regions fitted together, with the background and the start of the fit window that the data prefer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from .decomposition.engine import Stop, never
from .decomposition.fitting import fit_together
from .decomposition.result import Decomposition
from .materials import Recipe
from .materials.recipe import Interval
from .measure.alignment import Aligned
from .memory import Itself, Memory
from .prepared import Prepared
from .shift_study import MovedGroups, ShiftStudy, can_be_studied, vacuum_tail
from .vibrational_model import Model, build_model

WORTH_A_CHOICE = 0.05  # part by which a line that fills has to grow for its background to be chosen again

_CHOICE = "choice"  # rows of the line, and what the data preferred, the last time

Windows = tuple[Interval, Interval]


@dataclass(frozen=True)
class Choice:
    """order: of the background, None for the vacuum tail. windows_mev: in place of the recipe's; None to keep these."""

    order: int | None
    windows_mev: Windows | None


@dataclass(frozen=True, eq=False)
class ChosenFit:
    """The fit of the regions, what was fitted with, and the order of its background (None: vacuum tail)."""

    model: Model
    order: int | None
    together: Decomposition


@dataclass(frozen=True, eq=False)
class RegionsToFit:
    """What is fitted: the regions' sums by name, and the spectra that the model is from, by role."""

    recipe: Recipe
    mode: str
    windows_mev: Windows | None
    prepared: Mapping[str, Prepared]
    groups: Mapping[str, Aligned]
    memory: Memory
    should_stop: Stop = never

    def choose(self, settled: bool) -> ChosenFit:
        """The recipe's background and window, unless others are to be chosen; while rows come in, the last ones.

        Windows that the user gave are kept. Raises UnusableInput.
        """
        as_given = Choice(self.recipe.background_order, self.windows_mev)
        rows = sum(spectrum.rows for spectrum in self.groups.values())
        last_rows, last = self.memory.last.get(_CHOICE, (0, as_given))
        found = self._fitted(as_given if settled else last, settled)
        due = settled or rows >= (1 + WORTH_A_CHOICE) * last_rows or rows < last_rows
        if not (due and self.recipe.choose_background and can_be_studied(self.recipe, self.mode, self.groups)):
            return found
        choice = Choice(self.study(found).preferred_order, as_given.windows_mev)
        found = self._fitted(choice, settled)
        if self.windows_mev is None:
            low, high = self.study(found).preferred_window_mev
            if low > self.recipe.wide_window_mev[0]:
                choice = replace(choice, windows_mev=((low, low), (high, high)))
                found = self._fitted(choice, settled)
        self.memory.last[_CHOICE] = rows, choice
        return found

    def study(self, fit: ChosenFit, moved: MovedGroups | None = None) -> ShiftStudy:
        """What is asked of the shift of a fit. moved: the regions an error of the boundary's place away."""
        aloof, vacuum = self.prepared.get("aloof"), self.prepared.get("zlp")
        setup, memory = fit.model.setup, self.memory
        return ShiftStudy(setup, fit.order, fit.together, self.groups, aloof, vacuum, moved, memory, self.should_stop)

    def _fitted(self, choice: Choice, settled: bool) -> ChosenFit:
        model = self._model(choice)
        together = fit_groups(model, self.groups, self.memory, self.should_stop, settled=settled)
        return ChosenFit(model, choice.order, together)

    def _model(self, choice: Choice) -> Model:
        recipe, order, memory = self.recipe, choice.order, self.memory
        line, aloof, vacuum = (self.prepared.get(role) for role in ("vibrational", "aloof", "zlp"))
        assert line is not None
        tail = vacuum_tail(recipe, vacuum, memory) if order is None else None
        if order is not None and order != recipe.background_order:
            make = partial(replace, recipe, background_order=order)
            recipe = memory.recall(("recipe", Itself(recipe), order), make)
        spectra = (line, aloof, vacuum)
        return build_model(recipe, self.mode, choice.windows_mev, *spectra, memory, self.should_stop, tail=tail)


def fit_groups(
    model: Model,
    groups: Mapping[str, Aligned],
    memory: Memory,
    should_stop: Stop = never,
    *,
    settled: bool = True,
) -> Decomposition:
    """The spectra of the regions fitted together, in the order of the mapping.

    settled: from all starts; else from the optimum of the last time, where there was one for the same groups.
    """
    spectra, names = list(groups.values()), ("together", *groups)
    key = (model.key, *names, *map(Itself, spectra))
    start = None if settled or key in memory else memory.last.get(names)
    make = partial(fit_together, model.setup, spectra, should_stop, start)
    together: Decomposition = memory.recall(key if start is None else ("from the last", *key), make)
    memory.last[names] = together
    return together
