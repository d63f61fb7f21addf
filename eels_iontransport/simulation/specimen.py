"""What is on the stage, and its truth at every position: vacuum, edge, grain 1, boundary, grain 2.

The specimen is a flake whose edge and boundary are parallel lines. Everything but the dark-field image depends on the
position across them alone, which is x (nm) where they run along y, as they do unless the specimen is turned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import erfc, k0

from ..data.geometry import Line, Point

# Wave number omega / v of an electron of 60 keV (beta 0.4462) per meV of loss, and its Lorentz factor.
_PER_NM_MEV = 1.0 / (197.3269804e3 * 0.4462)
_GAMMA = 1.1174
_NEAREST_NM = 2.0  # impact parameters below this are cut off by the size of the probe
REFERENCE_THICKNESS = 0.55  # t/lambda at which the probabilities of phonons hold
REFERENCE_DISTANCE_NM = 65.0  # distance from the edge at which the probabilities of aloof polaritons hold


@dataclass(frozen=True)
class Mode:
    """A vibration: a damped oscillator with a Gaussian spread of its energy.

    probability: losses per zero-loss electron, at the reference thickness (phonon) or distance (aloof polariton).
    """

    name: str
    centre_mev: float
    gaussian_mev: float  # standard deviation
    damping_mev: float  # full width of the oscillator
    probability: float


@dataclass(frozen=True)
class Phase:
    """A grain or a boundary.

    polaritons: strength of each, relative to the aloof one. lithium, cobalt: relative densities.
    """

    phonons: tuple[Mode, ...]
    polaritons: tuple[float, ...]
    lithium: float = 1.0
    cobalt: float = 1.0
    edge_shift_ev: float = 0.0
    brightness: float = 1.0  # in the dark-field image


@dataclass(frozen=True)
class Specimen:
    """Vacuum left of `edge_x_nm`, then grain 1, a boundary around `boundary_x_nm`, and grain 2.

    plateau_nm, transition_nm: width of the boundary, and standard deviation of its smooth edges.
    polariton_transition_nm: the same for polaritons, which are not confined to a grain.
    polariton_offset_mev: energy of the polaritons inside the specimen minus that outside.
    reach_nm: distance from the edge up to which the flake acts as the half-space of the K0 law; it fades beyond.
    turn_rad: angle of the edge and the boundary with y; the point of the boundary at y = 0 stays where it is.
    speckle: standard deviation of the dark-field image's fine structure, of 2 to 12 nm, relative to its brightness.
    lattice_nm, lattice_contrast: period and amplitude of the fringes of a lattice in the dark-field image.
    thickness: t/lambda in the middle of grain 1 and of grain 2, `relief` its change at the boundary.
    """

    name: str
    phases: tuple[Phase, Phase, Phase]  # grain 1, boundary, grain 2
    polaritons: tuple[Mode, ...]
    shift_mode: str = "LDO"
    edge_x_nm: float = -30.0
    boundary_x_nm: float = 20.0
    plateau_nm: float = 2.0
    transition_nm: float = 0.25
    polariton_transition_nm: float = 2.0
    polariton_offset_mev: float = 0.0
    reach_nm: float = 110.0
    thickness: tuple[float, float] = (0.52, 0.66)
    thickness_scale_nm: float = 12.0
    relief: float = 0.02
    temperature_k: float = 298.0
    turn_rad: float = 0.0
    speckle: float = 0.0
    lattice_nm: float = 0.28
    lattice_contrast: float = 0.0

    def across_nm(self, y_nm: np.ndarray | float, x_nm: np.ndarray | float) -> np.ndarray:
        """Position across edge and boundary of places of any shape: x of the specimen before it is turned."""
        beside = np.asarray(x_nm, float) - self.boundary_x_nm
        return self.boundary_x_nm + np.cos(self.turn_rad) * beside + np.sin(self.turn_rad) * np.asarray(y_nm, float)

    def weights(self, x_nm: np.ndarray, sigma_nm: float | None = None) -> np.ndarray:
        """Shares of grain 1, boundary and grain 2 at the positions, (n, 3); rows sum to 1."""
        scale = np.sqrt(2.0) * (self.transition_nm if sigma_nm is None else sigma_nm)
        distance = np.atleast_1d(np.asarray(x_nm, float)) - self.boundary_x_nm
        grain_1 = 0.5 * erfc((distance + 0.5 * self.plateau_nm) / scale)
        grain_2 = 0.5 * erfc(-(distance - 0.5 * self.plateau_nm) / scale)
        return np.stack([grain_1, 1.0 - grain_1 - grain_2, grain_2], axis=-1)

    def t_over_lambda(self, x_nm: np.ndarray) -> np.ndarray:
        """Thickness over the inelastic mean free path, (n,); 0 in vacuum."""
        x = np.atleast_1d(np.asarray(x_nm, float))
        share = 0.5 * (1.0 + np.tanh((x - self.boundary_x_nm) / self.thickness_scale_nm))
        inside = self.thickness[0] + (self.thickness[1] - self.thickness[0]) * share
        return np.where(x < self.edge_x_nm, 0.0, inside + self.relief * self.weights(x)[:, 1])

    def polariton_strength(self, x_nm: np.ndarray) -> np.ndarray:
        """Probability of each polariton per zero-loss electron, (n, polaritons)."""
        x = np.atleast_1d(np.asarray(x_nm, float))
        probability = np.array([mode.probability for mode in self.polaritons])
        strengths = np.array([phase.polaritons for phase in self.phases])
        inside = self.weights(x, self.polariton_transition_nm) @ strengths
        return np.where((x < self.edge_x_nm)[:, None], self.aloof_decay(self.edge_x_nm - x), inside) * probability

    def aloof_decay(self, distance_nm: np.ndarray) -> np.ndarray:
        """Aloof intensity of each polariton relative to that at the reference distance, (n, polaritons).

        K0(2 omega b / (gamma v)) of a half-space, faded out beyond the reach of the flake.
        """
        distance = np.maximum(np.atleast_1d(distance_nm), _NEAREST_NM)[:, None]
        rate = 2.0 * np.array([mode.centre_mev for mode in self.polaritons]) * _PER_NM_MEV / _GAMMA
        fade = np.exp(-((distance / self.reach_nm) ** 8)) / np.exp(-((REFERENCE_DISTANCE_NM / self.reach_nm) ** 8))
        return k0(rate * distance) / k0(rate * REFERENCE_DISTANCE_NM) * fade

    def brightness(self, y_nm: np.ndarray, x_nm: np.ndarray) -> np.ndarray:
        """Dark-field intensity at positions of any shape, about 1 inside the specimen."""
        shape = np.shape(x_nm)
        y, x = np.ravel(y_nm), np.ravel(x_nm)
        across = self.across_nm(y, x)
        contrast = self.weights(across) @ np.array([phase.brightness for phase in self.phases])
        texture = 1.0 + 0.02 * np.sin(y / 7.3) * np.sin(x / 9.1)
        if self.speckle:
            texture += self.speckle * _speckle(y, x)
        if self.lattice_contrast:
            texture += self.lattice_contrast * self._lattice(y, x)
        return (self.t_over_lambda(across) / REFERENCE_THICKNESS * contrast * texture + 0.01).reshape(shape)

    def _lattice(self, y_nm: np.ndarray, x_nm: np.ndarray) -> np.ndarray:
        """Fringes of a hexagonal lattice between -1 and 1."""
        angles = np.array([0.2, 0.2 + np.pi / 3, 0.2 + 2 * np.pi / 3])
        waves = [np.cos(2 * np.pi * (x_nm * np.cos(a) + y_nm * np.sin(a)) / self.lattice_nm) for a in angles]
        return np.mean(waves, axis=0)

    # Places that suit the specimen in a survey of SURVEY_NM.

    def line(self, pixels: int = 40, length_nm: float = 20.0) -> Line:
        """A line across the middle of the boundary."""
        half = 0.5 * length_nm
        return Line(Point(0.0, self.boundary_x_nm - half), Point(0.0, self.boundary_x_nm + half), pixels)

    def aloof_point(self) -> Point:
        """A point in the vacuum at the reference distance from the edge."""
        return Point(0.0, self.edge_x_nm - REFERENCE_DISTANCE_NM)

    def vacuum_point(self) -> Point:
        """A point in the vacuum beyond the reach of the polaritons."""
        return Point(0.0, self.edge_x_nm - 1.4 * self.reach_nm)


_SPECKLE_SEED, _SPECKLE_WAVES, _SPECKLE_NM = 7, 16, (2.0, 12.0)


def _speckle(y_nm: np.ndarray, x_nm: np.ndarray) -> np.ndarray:
    """Fine structure of a surface: plane waves of all directions, variance 1."""
    rng = np.random.default_rng(_SPECKLE_SEED)
    wavelength = np.geomspace(*_SPECKLE_NM, _SPECKLE_WAVES)
    angle, phase = rng.uniform(0, 2 * np.pi, (2, _SPECKLE_WAVES))
    total = np.zeros(np.shape(x_nm))
    for w, a, p in zip(2 * np.pi / wavelength, angle, phase):
        total += np.sin(w * np.cos(a) * x_nm + w * np.sin(a) * y_nm + p)
    return total * np.sqrt(2.0 / _SPECKLE_WAVES)


SURVEY_NM = 400.0  # field of view that holds the line, the aloof point and the vacuum point of the specimens here

# Widths such that the lines, seen through the response, are as wide as the published fits have them. Probabilities
# follow the published amplitudes: 1.3e8 electrons make an LDO line 3600 electrons high per 0.4 meV, on a tail of about
# 5000.
_POLARITONS = (
    Mode("PhP1", 33.6, 2.2, 1.8, 2.8e-3),
    Mode("PhP2", 54.6, 3.1, 2.2, 4.6e-4),
    Mode("PhP3", 73.6, 3.6, 2.4, 3.4e-3),
)


def _phonons(ldo_mev: float, out_of_plane: float, others: float) -> tuple[Mode, ...]:
    """The phonons of LiCoO2: LDO at an energy, the ~41 meV mode (follows orientation) and the others scaled."""
    return (
        Mode("out_of_plane", 40.6, 2.8, 1.6, 2.2e-3 * out_of_plane),
        Mode("LDO", ldo_mev, 2.7, 1.6, 1.5e-3 * others),
        Mode("CoO6", 66.2, 2.7, 1.8, 4.5e-3 * others),
        Mode("P81", 80.6, 3.5, 2.0, 2.3e-3 * others),
    )


def lco_boundary() -> Specimen:
    """A general grain boundary of LiCoO2: the LDO phonon 1.8 meV higher than in the grains' mean, 27 % less Li:Co."""
    return Specimen(
        name="lco_boundary",
        phases=(
            Phase(_phonons(49.55, 1.0, 1.0), (0.50, 0.50, 0.50)),
            Phase(_phonons(51.40, 1.1, 1.3), (0.38, 0.60, 0.60), lithium=0.83, cobalt=0.83 / 0.73, brightness=0.93),
            Phase(_phonons(49.65, 0.7, 1.0), (0.18, 0.50, 0.50), brightness=1.12),
        ),
        polaritons=_POLARITONS,
        speckle=0.02,
    )


def twin() -> Specimen:
    """A coherent twin: a change of thickness and of the polaritons, none of the LDO phonon or of Li:Co."""
    specimen = lco_boundary()
    grain_1, _, grain_2 = specimen.phases
    phonons = grain_1.phonons
    boundary = replace(grain_1, polaritons=(0.38, 0.55, 0.55), brightness=0.95)
    return replace(specimen, name="twin", phases=(grain_1, boundary, replace(grain_2, phonons=phonons)))


SPECIMENS = {"lco_boundary": lco_boundary, "twin": twin}
