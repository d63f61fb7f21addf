"""Finding and reading material recipes: those shipped, and those in the user's own folder."""

from __future__ import annotations

import os
import sys
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ..data.errors import UnusableInput
from .recipe import COMPONENTS, POLARITONIC, Band, Edge, LineShape, Peak, Recipe, Transport, WhiteLine
from .table import Table

SUFFIX = ".toml"
FOLDER_VARIABLE = "EELS_IONTRANSPORT_RECIPES"
CARRIER_MODELS = ("proportional", "vacancies")


@dataclass(frozen=True)
class Entry:
    """A recipe that can be chosen. `fault` is a sentence where its file cannot be used, else empty."""

    name: str
    title: str
    description: str
    path: Path
    fault: str = ""


def user_folder() -> Path:
    """Where users put recipes of their own: EELS_IONTRANSPORT_RECIPES, else a folder of the platform's settings."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA", home / "AppData" / "Roaming"))
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME", home / ".config"))
    return base / "eels-iontransport" / "recipes"


def available() -> tuple[Entry, ...]:
    """Every recipe by name, the shipped ones first; a user's recipe of the same name stands in its place."""
    entries = {}
    for path in _recipe_files():
        try:
            recipe = _read(path)
            entries[path.stem] = Entry(path.stem, recipe.title, recipe.description, path)
        except UnusableInput as fault:
            entries[path.stem] = Entry(path.stem, path.stem, "", path, str(fault))
    return tuple(entries.values())


def load(name_or_path: str | os.PathLike[str]) -> Recipe:
    """A recipe by its name, or from the path of a recipe file.

    Raises UnusableInput that names the file, the key and the reason.
    """
    text = os.fspath(name_or_path)
    if text.endswith(SUFFIX) or os.sep in text or "/" in text:
        return _read(Path(text))
    files = {path.stem: path for path in _recipe_files()}
    if text not in files:
        raise UnusableInput(
            f"There is no material '{text}'; there are {', '.join(sorted(files))}, or give the path of a {SUFFIX} file."
        )
    return _read(files[text])


def _recipe_files() -> list[Path]:
    """Shipped files, then the user's, so that a later one of the same name wins."""
    shipped = Path(str(resources.files(__package__)))
    own = user_folder()
    return sorted(shipped.glob(f"*{SUFFIX}")) + (sorted(own.glob(f"*{SUFFIX}")) if own.is_dir() else [])


def _read(path: Path) -> Recipe:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableInput(f"The recipe {path} does not exist.") from None
    except OSError as fault:
        raise UnusableInput(f"The recipe {path} cannot be read: {fault.strerror or fault}.") from None
    except UnicodeDecodeError:
        raise UnusableInput(f"The recipe {path} is not a text file in UTF-8.") from None
    except tomllib.TOMLDecodeError as fault:
        raise UnusableInput(f"The recipe {path} is not valid TOML: {fault}.") from None
    return from_content(content, str(path))


def from_content(content: dict[str, Any], file: str) -> Recipe:
    """A recipe from the parsed content of its file; `file` is for messages. Raises UnusableInput."""
    top = Table(content, file)
    fit, roles = top.table("vibrational"), top.table("roles", {})
    recipe = Recipe(
        name=top.text("name"),
        title=top.text("title"),
        description=top.text("description"),
        source=top.text("source"),
        peaks=tuple(_peak(table) for table in top.tables("peaks", required=True)),
        background_windows_mev=fit.two_intervals("background_windows_mev"),
        fit_window_mev=fit.interval("fit_window_mev"),
        wide_window_mev=fit.interval("wide_window_mev"),
        fwhm_mev=fit.interval("fwhm_mev", None),
        background_order=fit.integer("background_order", 3, low=0, high=6),
        choose_background=fit.flag("choose_background", True),
        starts_mev=fit.numbers("starts_mev", ()),
        polariton_offset_prior_mev=fit.number("polariton_offset_prior_mev", 1.0, positive=True),
        thermometer_mev=fit.interval("thermometer_mev", None),
        thermometer_window_mev=fit.interval("thermometer_window_mev", None),
        shift_peak=roles.text("shift_peak", None),
        ratio=_ratio(roles),
        edges=tuple(_edge(table) for table in top.tables("edges")),
        bands=tuple(_band(table) for table in top.tables("bands")),
        transport=_transport(top.table("transport")) if top.has("transport") else None,
    )
    for table in (fit, roles, top):
        table.finish()
    _check(recipe, top)
    return recipe


def _peak(table: Table) -> Peak:
    component = table.text("component")
    if component not in COMPONENTS:
        raise table.fault("component", f"is '{component}' but must be {' or '.join(COMPONENTS)}")
    wide = table.table("wide")
    peak = Peak(
        name=table.text("name"),
        component=component,
        area=table.bound("area"),
        **_line(table),
        wide=LineShape(**_line(wide)),
        test_presence=table.flag("test_presence", False),
        assignment=table.text("assignment", ""),
    )
    wide.finish()
    table.finish()
    return peak


def _line(table: Table) -> dict[str, Any]:
    return {
        "centre_mev": table.bound("centre_mev", low=0.0),
        "sigma_mev": table.bound("sigma_mev", low=0.0),
        "gamma_mev": table.bound("gamma_mev", low=0.0),
    }


def _edge(table: Table) -> Edge:
    edge = Edge(
        name=table.text("name"),
        element=table.text("element"),
        onset_ev=table.number("onset_ev", positive=True),
        background_window_ev=table.interval("background_window_ev"),
        signal_window_ev=table.interval("signal_window_ev"),
        alternative_background_window_ev=table.interval("alternative_background_window_ev", None),
        residual_window_ev=table.interval("residual_window_ev", None),
        onset_width_ev=table.number("onset_width_ev", 0.5, positive=True),
        decay_exponent=table.number("decay_exponent", 3.0, positive=True),
        continuum=table.number("continuum", 1.0),
        white_lines=tuple(_white_line(line) for line in table.tables("white_lines")),
        source=table.text("source", ""),
    )
    table.finish()
    if edge.continuum < 0:
        raise table.fault("continuum", "must not be negative")
    if edge.background_window_ev[1] > edge.signal_window_ev[0]:
        raise table.fault("background_window_ev", "must end before signal_window_ev begins")
    return edge


def _white_line(table: Table) -> WhiteLine:
    line = WhiteLine(
        centre_ev=table.number("centre_ev", positive=True),
        fwhm_ev=table.number("fwhm_ev", positive=True),
        weight=table.number("weight", positive=True),
    )
    table.finish()
    return line


def _band(table: Table) -> Band:
    low, high = table.interval("range_mev")
    band = Band(table.text("name"), low, high, table.text("assignment", ""))
    table.finish()
    return band


def _transport(table: Table) -> Transport:
    model = table.text("carrier_model")
    if model not in CARRIER_MODELS:
        raise table.fault("carrier_model", f"is '{model}' but must be {' or '.join(CARRIER_MODELS)}")
    transport = Transport(
        temperature_k=table.number("temperature_k", positive=True),
        bulk_activation_energy_ev=table.number("bulk_activation_energy_ev", positive=True),
        frequency_exponent=table.number("frequency_exponent", positive=True),
        attempt_frequency=table.flag("attempt_frequency"),
        carrier_model=model,
        lithium_content=table.number("lithium_content", positive=True),
        source=table.text("source"),
        meyer_neldel_ev=table.number("meyer_neldel_ev", None, positive=True),
        not_known=table.texts("not_known", ()),
    )
    table.finish()
    if not transport.lithium_content < 1:
        raise table.fault("lithium_content", "must lie between 0 and 1")
    return transport


def _ratio(roles: Table) -> tuple[str, str] | None:
    elements = roles.texts("ratio", None)
    if elements is not None and (len(elements) != 2 or elements[0] == elements[1]):
        raise roles.fault("ratio", "must name two different elements")
    return elements


def _check(recipe: Recipe, top: Table) -> None:
    """What concerns more than one table."""
    names = [peak.name for peak in recipe.peaks]
    for key, values in (
        ("peaks", names),
        ("edges", [edge.element for edge in recipe.edges]),
        ("bands", [band.name for band in recipe.bands]),
    ):
        doubled = {value for value in values if values.count(value) > 1}
        if doubled:
            raise top.fault(key, f"has more than one entry for '{min(doubled)}'")
    if recipe.shift_peak is not None:
        if recipe.shift_peak not in names:
            raise top.fault("roles.shift_peak", f"is '{recipe.shift_peak}', which is none of the peaks")
        if recipe.peak(recipe.shift_peak).component == POLARITONIC:
            raise top.fault(
                "roles.shift_peak", "must be a phononic peak, as polaritonic ones are fixed by the aloof fit"
            )
    for element in recipe.ratio or ():
        if element not in [edge.element for edge in recipe.edges]:
            raise top.fault("roles.ratio", f"names '{element}', for which there is no edge")
    for peak in recipe.peaks:
        for key, window, centre in (
            ("fit_window_mev", recipe.fit_window_mev, peak.centre_mev),
            ("wide_window_mev", recipe.wide_window_mev, peak.wide.centre_mev),
        ):
            if centre.lower < window[0] or centre.upper > window[1]:
                raise top.fault(f"vibrational.{key}", f"does not hold the centre of {peak.name}")
