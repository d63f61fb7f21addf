"""What differs from one microscope to the next: names of controls, and their values for each spectrometer setting."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from ..data.collection import Collection, collecting
from ..data.errors import UnusableInput
from ..data.record import Role
from .drift_settings import DriftSettings, read_drift
from .step import OFF_AXIS_ROLES, SETTINGS
from .strict import Table

MAXIMUM_SETTLE_S = 600.0
MAXIMUM_WAIT_S = 86400.0

# What a run must never change: stage, lenses, aberration corrector, high tension. Beginnings of names, in lower case.
_TUNING = ("csh", "sshft", "stage", "majorol", "eht", "c1 constw", "c2 constw", "c3 constw")
_ABERRATIONS = ("c10", "c12", "c21", "c23", "c30", "c32", "c34", "c41", "c43", "c45", "c50", "c52", "c54", "c56")


@dataclass(frozen=True)
class Range:
    """Lowest and highest value that a control may be set to."""

    lower: float
    upper: float

    def holds(self, value: float) -> bool:
        return self.lower <= value <= self.upper


@dataclass(frozen=True)
class ControlValue:
    """One control of a setting; reading it back must give `value` within `tolerance`."""

    control: str
    value: float
    tolerance: float

    def accepts(self, reading: float) -> bool:
        return abs(reading - self.value) <= self.tolerance


@dataclass(frozen=True)
class Setting:
    """A spectrometer setting: controls in the order in which they are set, then a wait.

    zero_window_ev: lowest and highest energy that the zero-loss peak may have on the nominal axis; None where it is not
    followed, as where it is not on the detector.
    """

    controls: tuple[ControlValue, ...]
    settle_s: float = 0.0
    timeout_s: float = 2.0  # how long the controls may take to read back their value
    zero_window_ev: tuple[float, float] | None = None


@dataclass(frozen=True)
class Beam:
    """Controls of the beam; empty names where the microscope has none.

    A probe of `diameter_nm` turns electrons into a dose; only the estimate uses it. The beam counts as lost below
    `lost_below` of its current at the start, as back when it has been above `back_above` for `settle_s`, and a run
    ends `give_up_s` after the loss.
    """

    current_control: str = ""
    current_pa_per_unit: float = 1e12
    blanker_control: str = ""
    diameter_nm: float = 0.2
    lost_below: float = 0.5
    back_above: float = 0.8
    settle_s: float = 10.0
    give_up_s: float = 1800.0


@dataclass(frozen=True)
class Camera:
    """The EELS camera, after summing over its height; None where the site does not know.

    saturation_counts: counts at which a channel of one frame is full. electrons_per_count: instead of what the host
    says of the camera.
    """

    channels: int = 2048
    binning: int = 1
    saturation_counts: float | None = None
    electrons_per_count: float | None = None


@dataclass(frozen=True)
class Site:
    """One microscope. `overhead_s` is the time a probe position costs beyond its exposure.

    ranges: of controls, by their names; one that is not named has none.
    """

    name: str
    settings: Mapping[str, Setting]
    beam: Beam = Beam()
    camera: Camera = Camera()
    drift: DriftSettings = DriftSettings()
    energy_offset_control: str = ""
    probe_settle_s: float = 0.0
    overhead_s: float = 0.007
    ranges: Mapping[str, Range] = field(default_factory=dict)

    def collections(self, role: Role) -> dict[Collection, str]:
        """How a role can be collected here, and the name of the setting that does: on the axis always.

        Off the axis only where the specimen is under the beam, in the vibrational setting: in the vacuum nothing comes
        there, and the thickness and edges are measured against the whole beam.
        """
        found = {Collection.ON_AXIS: SETTINGS[role]}
        off_axis = collecting(SETTINGS[role], Collection.OFF_AXIS)
        if role in OFF_AXIS_ROLES and off_axis in self.settings:
            found[Collection.OFF_AXIS] = off_axis
        return found

    def out_of_range(self, control: str, value: float) -> str:
        """A sentence where a control must not be set to a value; empty where it may."""
        allowed = self.ranges.get(control)
        if allowed is None or allowed.holds(value):
            return ""
        return (
            f"Control '{control}' may be set between {allowed.lower:g} and {allowed.upper:g}, and {value:g} is asked "
            "for; change the plan, or the range in the site file."
        )


def available() -> list[str]:
    """Names of the site files that ship with the package."""
    folder = resources.files("eels_iontransport") / "sites"
    return sorted(entry.name[: -len(".toml")] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load(name_or_path: str | Path) -> Site:
    """A site that ships ("simulator") or the path of a site file.

    Raises UnusableInput naming the file, the key and the reason.
    """
    if isinstance(name_or_path, str) and name_or_path in available():
        text = (resources.files("eels_iontransport") / "sites" / f"{name_or_path}.toml").read_text("utf-8")
        return parse(text, f"site file {name_or_path}.toml")
    path = Path(name_or_path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(available())
        raise UnusableInput(f"The site file {path} cannot be read ({error}); sites that ship are {known}.") from None
    return parse(text, f"site file {path.name}")


def parse(text: str, where: str = "site file") -> Site:
    """A site from TOML text. Raises UnusableInput."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UnusableInput(f"{where}: this is not valid TOML ({error}).") from None
    with Table(content, where) as table:
        ranges = _ranges(table)
        site = Site(
            name=table.text("name"),
            settings={name: _setting(entry, ranges) for name, entry in table.named_tables("settings")},
            ranges=ranges,
            beam=_beam(table.optional_table("beam")),
            camera=_camera(table.optional_table("camera")),
            drift=read_drift(table.optional_table("drift")),
            energy_offset_control=table.text("energy_offset_control", ""),
            probe_settle_s=_between(table, "probe_settle_s", 0.0, 0.0, MAXIMUM_SETTLE_S),
            overhead_s=_between(table, "overhead_s", Site.overhead_s, 0.0, MAXIMUM_SETTLE_S),
        )
        if not site.settings:
            raise table.refuse("settings", "must name at least one spectrometer setting")
        _check_may_set(table, "energy_offset_control", site.energy_offset_control)
    return site


def is_tuning(control: str) -> bool:
    """Whether a control belongs to the stage, the lenses, the corrector or the high tension, by its name."""
    return control.strip().lower().startswith((*_TUNING, *_ABERRATIONS))


def _ranges(table: Table) -> dict[str, Range]:
    return {name: _range(entry) for name, entry in table.named_tables("ranges", {})}


def _range(table: Table) -> Range:
    with table:
        found = Range(table.number("lower"), table.number("upper"))
        if not found.lower < found.upper:
            raise table.refuse("upper", f"must be above 'lower', and is {found.upper:g}")
        return found


def _setting(table: Table, ranges: Mapping[str, Range]) -> Setting:
    with table:
        controls = tuple(_control(entry) for entry in table.tables("controls"))
        if not controls:
            raise table.refuse("controls", "must hold at least one control, such as the dispersion")
        names = [control.control for control in controls]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated:
            raise table.refuse("controls", f"names the control '{repeated}' twice")
        for control in controls:
            allowed = ranges.get(control.control)
            if allowed is not None and not allowed.holds(control.value):
                raise table.refuse(
                    "controls", f"sets '{control.control}' to {control.value:g}, which is outside its range in [ranges]"
                )
        return Setting(
            controls,
            settle_s=_between(table, "settle_s", 0.0, 0.0, MAXIMUM_SETTLE_S),
            timeout_s=_between(table, "timeout_s", Setting.timeout_s, 0.0, MAXIMUM_SETTLE_S),
            zero_window_ev=_window(table.optional_table("zero_window_ev")),
        )


def _window(table: Table | None) -> tuple[float, float] | None:
    if table is None:
        return None
    with table:
        low, high = table.number("lower"), table.number("upper")
        if not low < high:
            raise table.refuse("upper", f"must be above 'lower', and is {high:g}")
        return low, high


def _control(table: Table) -> ControlValue:
    with table:
        control = ControlValue(table.text("control"), table.number("value"), table.number("tolerance"))
        if not control.control.strip():
            raise table.refuse("control", "must not be empty")
        if control.tolerance < 0:
            raise table.refuse("tolerance", f"must not be negative, and is {control.tolerance}")
        _check_may_set(table, "control", control.control)
        return control


def _beam(table: Table | None) -> Beam:
    if table is None:
        return Beam()
    with table:
        beam = Beam(
            current_control=table.text("current_control", ""),
            current_pa_per_unit=table.number("current_pa_per_unit", Beam.current_pa_per_unit),
            blanker_control=table.text("blanker_control", ""),
            diameter_nm=table.number("diameter_nm", Beam.diameter_nm),
            lost_below=_between(table, "lost_below", Beam.lost_below, 0.0, 1.0),
            back_above=_between(table, "back_above", Beam.back_above, 0.0, 1.0),
            settle_s=_between(table, "settle_s", Beam.settle_s, 0.0, MAXIMUM_SETTLE_S),
            give_up_s=_between(table, "give_up_s", Beam.give_up_s, 0.0, MAXIMUM_WAIT_S),
        )
        for key in ("current_pa_per_unit", "diameter_nm"):
            _check_positive(table, key, getattr(beam, key))
        if beam.back_above < beam.lost_below:
            raise table.refuse("back_above", f"must not be below 'lost_below', and is {beam.back_above:g}")
        _check_may_set(table, "blanker_control", beam.blanker_control)
        return beam


def _camera(table: Table | None) -> Camera:
    if table is None:
        return Camera()
    with table:
        camera = Camera(
            channels=table.integer("channels", Camera.channels),
            binning=table.integer("binning", Camera.binning),
            saturation_counts=table.optional_number("saturation_counts"),
            electrons_per_count=table.optional_number("electrons_per_count"),
        )
        for key in ("channels", "binning", "saturation_counts", "electrons_per_count"):
            _check_positive(table, key, getattr(camera, key))
        return camera


def _check_may_set(table: Table, key: str, control: str) -> None:
    if is_tuning(control):
        raise table.refuse(
            key, f"names '{control}', which belongs to the stage or the tuning; a run never changes these"
        )


def _check_positive(table: Table, key: str, value: float | None) -> None:
    if value is not None and value <= 0:
        raise table.refuse(key, f"must be positive, and is {value:g}")


def _between(table: Table, key: str, default: float, low: float, high: float) -> float:
    value = table.number(key, default)
    if not low <= value <= high:
        raise table.refuse(key, f"must lie between {low:g} and {high:g}, and is {value:g}")
    return value
