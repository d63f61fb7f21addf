"""What a material recipe holds: peaks, windows, roles, edges, bands and transport constants, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass

from ..data.errors import UnusableInput

POLARITONIC, PHONONIC = "polaritonic", "phononic"
COMPONENTS = (POLARITONIC, PHONONIC)

Interval = tuple[float, float]


@dataclass(frozen=True)
class Bound:
    """A start value and its limits, lower <= initial <= upper; the limits may be infinite."""

    initial: float
    lower: float
    upper: float


@dataclass(frozen=True)
class LineShape:
    """Centre and widths of a Voigt line in meV: sigma of its Gaussian, gamma (half width) of its Lorentzian."""

    centre_mev: Bound
    sigma_mev: Bound
    gamma_mev: Bound


@dataclass(frozen=True)
class Peak:
    """A peak of the vibrational spectrum.

    centre_mev, sigma_mev, gamma_mev: the line as recorded (mode `published`).
    area: in counts meV, at the dose of the source; only its start scales with the data.
    wide: the intrinsic line before the instrument broadens it (modes `shared` and `wide`), in limits that are
    not meant to be reached.
    test_presence: the peak may be absent, and is reported only where it stands out of noise and background misfit.
    """

    name: str
    component: str
    area: Bound
    centre_mev: Bound
    sigma_mev: Bound
    gamma_mev: Bound
    wide: LineShape
    test_presence: bool = False
    assignment: str = ""

    @property
    def published(self) -> LineShape:
        return LineShape(self.centre_mev, self.sigma_mev, self.gamma_mev)


@dataclass(frozen=True)
class WhiteLine:
    """A resonance on top of an edge: Gaussian of this centre and width, `weight` times the edge's step."""

    centre_ev: float
    fwhm_ev: float
    weight: float


@dataclass(frozen=True)
class Edge:
    """A core-loss edge: where to take background and signal, and its parametric shape.

    Shape: a step of width `onset_width_ev` at `onset_ev` that falls as E^-decay_exponent, times `continuum`, plus
    the white lines. A shape is known up to a factor.
    """

    name: str
    element: str
    onset_ev: float
    background_window_ev: Interval
    signal_window_ev: Interval
    alternative_background_window_ev: Interval | None = None
    residual_window_ev: Interval | None = None
    onset_width_ev: float = 0.5
    decay_exponent: float = 3.0
    continuum: float = 1.0
    white_lines: tuple[WhiteLine, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Band:
    """An energy band whose integrated intensity is followed along the line."""

    name: str
    low_mev: float
    high_mev: float
    assignment: str = ""


@dataclass(frozen=True)
class Transport:
    """Constants of the transport estimate; every one of them is an assumption that the operator can change.

    not_known: what the estimate cannot tell for this material, a sentence each.
    """

    temperature_k: float
    bulk_activation_energy_ev: float
    frequency_exponent: float
    attempt_frequency: bool
    carrier_model: str
    lithium_content: float
    source: str
    meyer_neldel_ev: float | None = None
    not_known: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """How one material is analysed. Energies in meV in the vibrational range, in eV above."""

    name: str
    title: str
    description: str
    source: str
    peaks: tuple[Peak, ...]
    background_windows_mev: tuple[Interval, Interval]
    fit_window_mev: Interval
    wide_window_mev: Interval
    fwhm_mev: Interval | None = None
    background_order: int = 3
    choose_background: bool = True  # whether the data may prefer another order, the tail of a vacuum ZLP, a later start
    starts_mev: tuple[float, ...] = ()
    polariton_offset_prior_mev: float | None = 1.0
    thermometer_mev: Interval | None = None  # a feature, of any shape, whose gain and loss tell the temperature ...
    thermometer_window_mev: Interval | None = None  # ... and what is fitted around it; None: the lines and their window
    shift_peak: str | None = None
    ratio: tuple[str, str] | None = None
    edges: tuple[Edge, ...] = ()
    bands: tuple[Band, ...] = ()
    transport: Transport | None = None

    @property
    def aloof_peaks(self) -> tuple[Peak, ...]:
        """The polaritonic peaks: those that the aloof spectrum shows."""
        return tuple(peak for peak in self.peaks if peak.component == POLARITONIC)

    @property
    def phononic_peaks(self) -> tuple[Peak, ...]:
        return tuple(peak for peak in self.peaks if peak.component == PHONONIC)

    def peak(self, name: str) -> Peak:
        """The peak of that name. Raises UnusableInput."""
        for peak in self.peaks:
            if peak.name == name:
                return peak
        names = ", ".join(peak.name for peak in self.peaks)
        raise UnusableInput(f"The recipe {self.name} has no peak '{name}'; its peaks are {names}.")

    def edge(self, element: str) -> Edge:
        """The edge of an element. Raises UnusableInput."""
        for edge in self.edges:
            if edge.element == element:
                return edge
        raise UnusableInput(f"The recipe {self.name} has no edge of the element '{element}'.")
