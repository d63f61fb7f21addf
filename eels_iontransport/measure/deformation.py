"""Edge shapes as functions of their deformations and shifts, for a fit: all edges at once, with derivatives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..materials.recipe import Edge
from . import edges as edge_shapes

_STEP_PARAMETERS = _LINE_PARAMETERS = 3


class Deformable:
    """K edges on a uniform axis energy_ev (m,), each with unit counts in its own signal window (`edges.normalised`).

    Parameters are those of `edges.deformed`, of one edge after the other: (p,) in all.
    """

    def __init__(self, edges: Sequence[Edge], energy_ev: np.ndarray, step: str) -> None:
        self.energy_ev, self.step = energy_ev, step
        windows = [edge_shapes.window_middles(edge.signal_window_ev, energy_ev[1] - energy_ev[0]) for edge in edges]
        self.windows_ev = np.concatenate(windows)
        self.own_window = _membership([window.size for window in windows])
        self.continuum = np.array([edge.continuum for edge in edges])[:, None]
        self.steps = np.array([(edge.onset_ev, edge.onset_width_ev, edge.decay_exponent) for edge in edges])
        lines = [(line.centre_ev, line.fwhm_ev, line.weight) for edge in edges for line in edge.white_lines]
        self.lines = np.reshape(lines, (-1, _LINE_PARAMETERS))
        self.own_line = _membership([len(edge.white_lines) for edge in edges])
        sizes = [_STEP_PARAMETERS + _LINE_PARAMETERS * len(edge.white_lines) for edge in edges]
        self.edge_of_parameter = np.repeat(np.arange(len(edges)), sizes)
        first = np.cumsum([0, *sizes[:-1]])
        is_step = np.zeros(sum(sizes), bool)
        self.step_places = first[:, None] + np.arange(_STEP_PARAMETERS)
        is_step[self.step_places] = True
        self.line_places = np.flatnonzero(~is_step).reshape(-1, _LINE_PARAMETERS)

    def at(self, parameters: np.ndarray, shift_ev: np.ndarray) -> Deformed:
        """The edges deformed by parameters (p,) and moved by shifts (R,)."""
        return Deformed(self, parameters, shift_ev)


class Deformed:
    """Shapes at one set of parameters; values (K, R m), the regions one after the other."""

    def __init__(self, edges: Deformable, parameters: np.ndarray, shift_ev: np.ndarray) -> None:
        self._edges = edges
        self._onset, width, self._decay = (edges.steps + parameters[edges.step_places]).T[:, :, None]
        self._width = (edges.steps[:, 1] * np.exp(parameters[edges.step_places[:, 1]]))[:, None]
        moved = parameters[edges.line_places]
        centre = (edges.lines[:, 0] + moved[:, 0])[:, None]
        fwhm, weight = (edges.lines[:, 1:] * np.exp(moved[:, 1:])).T[:, :, None]
        self._sigma = edge_shapes.FWHM_TO_SIGMA * fwhm
        self._energy = np.concatenate([(edges.energy_ev - shift_ev[:, None]).ravel(), edges.windows_ev])
        self._beyond = self._energy - self._onset
        self._step = edge_shapes.rise(self._beyond, self._width, edges.step)
        self._logarithm = np.log(np.maximum(self._energy, 1.0)) - np.log(self._onset)
        self._fall = edges.continuum * np.exp(-self._decay * self._logarithm)
        self._continuum = self._step * self._fall
        self._distance = (self._energy - centre) / self._sigma
        self._peaks = weight * np.exp(-0.5 * self._distance**2)
        total = self._continuum + edges.own_line @ self._peaks
        self._size = shift_ev.size * edges.energy_ev.size
        self._own_counts = (total[:, self._size :] * edges.own_window).sum(axis=1)[:, None]
        self.values = total[:, : self._size] / self._own_counts

    def slopes(self, factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of sum_k factor_k values_k, factor (K, R m): by the parameters (p, R m), by a shift (R m,)."""
        edges, own, factor = self._edges, slice(0, self._size), factor / self._own_counts
        rise = self._fall * edge_shapes.rise_slope(self._beyond, self._width, edges.step, self._step)
        by_distance = self._peaks * self._distance
        by_centre = by_distance / self._sigma
        by_parameter = np.empty((edges.edge_of_parameter.size, self._energy.size))
        by_step = (self._continuum * self._decay / self._onset - rise, -rise * self._beyond)
        for places, slopes in zip(edges.step_places.T, (*by_step, -self._logarithm * self._continuum)):
            by_parameter[places] = slopes
        for places, slopes in zip(edges.line_places.T, (by_centre, by_distance * self._distance, self._peaks)):
            by_parameter[places] = slopes
        fall = np.where(self._energy[own] > 1.0, self._decay / np.maximum(self._energy[own], 1.0), 0.0)
        by_energy = rise[:, own] - fall * self._continuum[:, own] - edges.own_line @ by_centre[:, own]
        for k, values in enumerate(self.values):
            slopes = by_parameter[edges.edge_of_parameter == k]
            in_window = slopes[:, self._size :] @ edges.own_window[k]
            by_parameter[edges.edge_of_parameter == k, own] = (slopes[:, own] - in_window[:, None] * values) * factor[k]
        return by_parameter[:, own], -np.einsum("kp,kp->p", factor, by_energy)


def _membership(sizes: Sequence[int]) -> np.ndarray:
    """(groups, members) 1.0 where a member belongs to a group, members in the order of the groups."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    return (np.arange(len(sizes))[:, None] == owner).astype(float)
