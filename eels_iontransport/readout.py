"""The findings of an analysis as readout.json holds them: null, with a flag, where the data do not carry a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from . import fits
from .chemistry import Chemistry
from .data.flags import Flag, unique
from .data.record import Record
from .data.regions import BOUNDARY, GRAIN_1, GRAIN_2, NAMES
from .data.units import mev
from .materials import Band, Recipe
from .measure import resolution, temperature, transport
from .measure.composition import Change
from .measure.windows import WindowRatios
from .polaritons import offset_entry
from .prepared import Prepared
from .quantity import quantity, unknown
from .shift_uncertainty import ShiftUncertainty, Sum
from .transport_entry import transport_entry
from .vibrational import Vibrations

SCHEMA = "eels-iontransport/readout/1"
GRAINS = (GRAIN_1, GRAIN_2)
SHOWN = {"centre_mev": "meV", "fwhm_mev": "meV", "area": "counts meV"}  # of every peak, with its unit
SHIFT_SIGNIFICANCE = 3.0  # grains further apart than this many sigma have no common reference


@dataclass(frozen=True, eq=False)
class Findings:
    """All that was measured, not yet put into words."""

    recipe: Recipe
    mode: str
    line: Prepared
    chemistry: Chemistry
    vibrations: Vibrations
    assumptions: transport.Assumptions | None
    temperature: temperature.Temperature | None = None

    @property
    def reports_misfits(self) -> bool:
        """The published procedure does not ask whether its model describes the data; it is reproduced to the letter."""
        return self.mode == "published"

    @cached_property
    def shift(self) -> dict[str, Any]:
        """The shift of the shift peak at the boundary, against the mean of the grains and each of them."""
        return _shift(self)

    @cached_property
    def region_centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Centres (3,) of the shift peak in the regions and their covariance (3, 3); nan where not determined."""
        return _region_centres(self)

    @cached_property
    def transport(self) -> transport.TransportEstimate | None:
        """The transport estimate, where the recipe has constants for it and a shift peak."""
        constants = self.recipe.transport
        if constants is None or self.recipe.shift_peak is None or not self.line.spectra.is_line:
            return None
        assumptions = self.assumptions
        if assumptions is None:
            fields = transport.Assumptions.__dataclass_fields__
            assumptions = transport.Assumptions(**{name: getattr(constants, name) for name in fields})
        shift = self.shift
        grains = [shift[f"{name}_mev"]["value"] for name in GRAINS]
        known = [centre for centre in grains if centre is not None]
        change = self.chemistry.change.relative_change if self.chemistry.change is not None else (None, None)
        blue = shift["blue_shift_mev"]
        centre = sum(known) / len(known) if known else None
        return transport.estimate(blue["value"], blue["sigma"], centre, change[0], change[1], assumptions)

    @cached_property
    def resolution(self) -> resolution.Resolution | None:
        """The width of the zero-loss peak along a line, beside that of the response."""
        spectra, model = self.line.spectra, self.vibrations.model
        if not spectra.is_line:
            return None
        response = model.setup.response if model is not None and not model.setup.is_published else None
        width = np.where(self.line.usable, mev(self.line.zero.fwhm_ev), np.nan)
        fwhm = response.fwhm_mev if response is not None else None
        return resolution.measure(spectra.position_nm, width, self.chemistry.regions, fwhm)

    @cached_property
    def flags(self) -> tuple[Flag, ...]:
        return unique(
            [
                *_zlp_flags(self.line),
                *self.line.doubts,
                *_line_flags(self),
                *self.chemistry.flags,
                *self.vibrations.flags,
                *_peak_flags(self),
                *(self.resolution.flags if self.resolution is not None else ()),
                *(temperature.check(self.temperature) if self.temperature is not None else ()),
                *(self.transport.flags if self.transport is not None else ()),
            ]
        )

    @cached_property
    def profiles(self) -> dict[str, np.ndarray]:
        """Values along the line, (n,), nan where there is none."""
        position, n = self.line.spectra.position_nm, len(self.line.spectra.rows)
        found = {"zlp_position_mev": mev(self.line.zero.position_ev), "zlp_fwhm_mev": mev(self.line.zero.fwhm_ev)}
        if self.recipe.shift_peak is not None and self.line.spectra.is_line:
            found["ldo_centre_mev"], found["ldo_centre_sigma_mev"] = _centres(self, self.recipe.shift_peak, n)
        if self.chemistry.ratio_scan is not None:
            found["li_to_co"], found["li_to_co_sigma"] = self.chemistry.ratio_scan.at(position)
        if self.chemistry.thickness_scan is not None:
            found["thickness"], found["thickness_sigma"] = self.chemistry.thickness_scan.at(position)
        return found


def assemble(findings: Findings, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The readout, ready for JSON."""
    recipe, line = findings.recipe, findings.line
    regions = findings.chemistry.regions
    content: dict[str, Any] = {"schema": SCHEMA, "material": recipe.name, "mode": findings.mode}
    if line.spectra.is_line:
        content["regions"] = regions.to_dict(line.spectra.position_nm) if regions is not None else None
        place = findings.chemistry.boundary
        content["boundary"] = place.to_dict() if place is not None else None
    content["zlp"] = _zlp(line)
    if findings.resolution is not None:
        content["zlp"] |= findings.resolution.to_dict()
    content["noise"] = line.noise.to_dict()
    if findings.temperature is not None:
        content["temperature"] = temperature.to_dict(findings.temperature)
    if line.spectra.is_line and recipe.shift_peak is not None:
        content["ldo_peak"] = findings.shift
    if findings.chemistry.change is not None:
        content["li_to_co"] = _ratio(findings.chemistry.change)
        content["elements"] = _elements(findings.chemistry.change)
    if findings.chemistry.thickness is not None and line.spectra.is_line:
        content["thickness"] = _thickness(findings)
    if findings.transport is not None:
        content |= _transport(findings)
    if line.spectra.is_line and recipe.bands:
        content["bands"] = [_band(findings, band) for band in recipe.bands]
    content["peaks"] = _peaks(findings)
    content["fits"] = fits.fit_report(findings.vibrations)
    if line.spectra.is_line:
        content["profiles"] = {"position_nm": line.spectra.position_nm.tolist()}
        content["profiles"] |= {name: _numbers(values) for name, values in findings.profiles.items()}
    content["flags"] = [flag.to_dict() for flag in findings.flags]
    content["provenance"] = dict(provenance)
    return content


def _zlp(line: Prepared) -> dict[str, Any]:
    found = line.zero.found
    position, width = mev(line.zero.position_ev[found]), mev(line.zero.fwhm_ev[found])
    if position.size == 0:
        shift = centre = fwhm = unknown("meV")
    elif position.size == 1:
        centre = quantity(position[0], mev(line.zero.position_sigma_ev[found][0]), "meV")
        fwhm, shift = quantity(width[0], _width_sigma(line, found), "meV"), unknown("meV")
    else:
        root = np.sqrt(position.size)
        centre = quantity(position.mean(), position.std(ddof=1) / root, "meV")
        fwhm = quantity(width.mean(), width.std(ddof=1) / root, "meV")
        shift = quantity(position.std(ddof=1), position.std(ddof=1) / np.sqrt(2 * (position.size - 1)), "meV")
    return {
        "position_mev": centre,
        "fwhm_mev": fwhm,
        "shift_rms_mev": shift,
        "saturated_spectra": int(line.zero.saturated.sum()),
    }


def _width_sigma(line: Prepared, found: np.ndarray) -> float:
    """The two half-height crossings are each as uncertain as the position of a peak with few channels: sqrt 2 of it."""
    return float(np.sqrt(2.0) * mev(line.zero.position_sigma_ev[found][0]))


def _zlp_flags(line: Prepared) -> list[Flag]:
    flags = []
    rows = len(line.zero.saturated)
    saturated, missing = int(line.zero.saturated.sum()), int((line.spectra.valid & ~line.usable).sum())
    missing -= saturated
    invalid = int((~line.spectra.valid).sum())
    if saturated:
        message = f"The ZLP is saturated in {saturated} of {rows} spectra, which are left out; expose for less time."
        flags.append(Flag("ZLP_SATURATED", message))
    if missing > 0:
        message = f"{missing} of {rows} spectra show no zero-loss peak and are left out; check energy axis and beam."
        flags.append(Flag("NO_ZLP", message))
    if invalid:
        flags.append(Flag("ROWS_MISSING", f"{invalid} of {rows} rows hold no data and are left out."))
    return flags


def _line_flags(findings: Findings) -> list[Flag]:
    """What is odd about the line as such, and regions that the scan has not reached."""
    spectra, regions = findings.line.spectra, findings.chemistry.regions
    if not spectra.is_line:
        return []
    flags = []
    if spectra.step_nm is None:
        flags.append(Flag("NO_STEP", "The line has no step in nm: positions count pixels; calibrate its first axis."))
    records = [Record.from_metadata(item.metadata) for item in spectra.sources]
    saturated = sum(record.saturated_frames or 0 for record in records if record is not None)
    if saturated:
        message = f"{saturated} frames of the line were saturated when taken; expose for less time."
        flags.append(Flag("FRAMES_SATURATED", message))
    pixels = np.array([region.mask(spectra.position_nm) for _, region in regions or ()])
    if regions is not None and (pixels.sum(axis=0) > 1).any():
        message = "The regions overlap, and what they share counts twice; move their ends apart."
        flags.append(Flag("REGIONS_OVERLAP", message))
    for name, region in regions or ():
        if not (region.mask(spectra.position_nm) & findings.line.usable).any():
            message = f"No usable row lies in the {_words(name)}; move it or wait for the scan."
            flags.append(Flag("REGION_EMPTY", message))
    return flags


def _shift(findings: Findings) -> dict[str, Any]:
    """The shift of the shift peak at the boundary, against the mean of the grains and each of them."""
    centre, covariance = findings.region_centres
    index = {name: i for i, name in enumerate(NAMES)}

    def combined(weights: dict[str, float]) -> dict[str, Any]:
        vector = np.array([weights.get(name, 0.0) for name in NAMES])
        used = vector != 0
        value = float(vector[used] @ centre[used])
        return quantity(value, float(np.sqrt(vector[used] @ covariance[np.ix_(used, used)] @ vector[used])), "meV")

    result: dict[str, Any] = {f"{name}_mev": combined({name: 1.0}) for name in NAMES}
    grains = [name for name in GRAINS if np.isfinite(centre[index[name]])]
    reference = "mean" if len(grains) != 1 else grains[0]
    weights = {name: -1.0 / max(len(grains), 1) for name in grains or GRAINS}
    result["blue_shift_mev"] = combined({BOUNDARY: 1.0, **weights})
    for name in GRAINS:
        result[f"shift_vs_{name}_mev"] = combined({BOUNDARY: 1.0, name: -1.0})
    behind = findings.vibrations.behind
    if behind is not None:
        result = _with_all_parts(result, behind.uncertainty, reference)
        result |= {"widths": behind.widths, "outlook": dict(behind.outlook)}
    together = findings.vibrations.together
    if together is not None:
        result["polariton_offset_mev"] = offset_entry(together)
    return {**result, "reference": reference}


def _with_all_parts(shifts: dict[str, Any], study: ShiftUncertainty, reference: str) -> dict[str, Any]:
    """Centres and shifts with what they are uncertain by beside the curvature of chi-squared at the optimum."""
    result = dict(shifts)
    for name in study.names:
        centre = study.of_centre(name)
        if shifts[f"{name}_mev"]["value"] is not None:
            result[f"{name}_mev"] = _known(centre)
    for key, against in {"blue_shift_mev": reference, **{f"shift_vs_{name}_mev": name for name in GRAINS}}.items():
        found = study.of_shift(against)
        if found is not None and shifts[key]["value"] is not None:
            result[key] = _known(found)
    return {**result, "uncertainty": study.to_dict(reference)}


def _known(found: Sum) -> dict[str, Any]:
    """A centre or shift; a value of which nobody can say how uncertain it is, is none."""
    return quantity(found.value, found.sigma, "meV") if math.isfinite(found.sigma) else unknown("meV")


def _region_centres(findings: Findings) -> tuple[np.ndarray, np.ndarray]:
    """Centres (3,) of the shift peak in the regions and their covariance (3, 3); nan where they are not determined."""
    centre, covariance = np.full(3, np.nan), np.full((3, 3), np.nan)
    together, peak = findings.vibrations.together, findings.recipe.shift_peak
    if together is None or peak is None:
        return centre, covariance
    for i, name in enumerate(NAMES):
        if _determined(findings, peak, name):
            centre[i] = together.value(peak, "centre_mev")[findings.vibrations.names.index(name)]
    rows = [findings.vibrations.names.index(n) if n in findings.vibrations.names else -1 for n in NAMES]
    full = together.centre_covariance(peak)
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            if a >= 0 and b >= 0:
                covariance[i, j] = full[a, b]
    return centre, covariance


def _determined(findings: Findings, peak: str, group: str) -> bool:
    """Whether the data carry the centre of a peak in a group of rows."""
    vibrations = findings.vibrations
    if vibrations.together is None or group not in vibrations.names:
        return False
    row, d = vibrations.names.index(group), vibrations.together
    presence = vibrations.presence.get((peak, group))
    return bool(
        (d.described[row] or findings.reports_misfits)
        and np.isfinite(d.value(peak, "centre_mev")[row])
        and not d.railed["centre_mev"][row, d.index(peak)]
        and (presence is None or presence.present)
    )


def _peak_flags(findings: Findings) -> list[Flag]:
    vibrations, recipe = findings.vibrations, findings.recipe
    d = vibrations.together
    if d is None:
        return []
    flags = fits.fit_flags(vibrations)
    misfits = [f"{name} {d.chi2[i]:.1f}" for i, name in enumerate(vibrations.names) if not d.described[i]]
    if misfits:
        consequence = "trust no peak of this mode" if findings.reports_misfits else "no peak is reported there"
        message = f"The model does not describe the data (reduced chi-squared: {', '.join(misfits)}); {consequence}."
        flags.append(Flag("MODEL_MISFIT", message))
    for (name, group), presence in vibrations.presence.items():
        if not presence.present:
            message = f"No {name} peak stands out of noise and background in the {_words(group)}."
            flags.append(Flag("PEAK_NOT_FOUND", message))
    peak = recipe.shift_peak
    if peak is not None:
        railed = [n for i, n in enumerate(vibrations.names) if d.railed["centre_mev"][i, d.index(peak)]]
        absent = [n for i, n in enumerate(vibrations.names) if not np.isfinite(d.value(peak, "centre_mev")[i])]
        if railed:
            message = f"The {peak} peak is at its bound in {len(railed)} of {len(vibrations.names)} regions: no centre."
            flags.append(Flag(f"{peak.upper()}_RAILED", message))
        if absent:
            message = f"No {peak} peak was found in {', '.join(_words(name) for name in absent)}."
            flags.append(Flag(f"{peak.upper()}_NOT_FOUND", message))
        if findings.vibrations.behind is not None and np.isfinite(findings.region_centres[0]).all():
            if findings.shift["blue_shift_mev"]["value"] is None:
                message = (
                    f"The spectra do not tell how uncertain the {peak} shift is, so none is given; take more of them."
                )
                flags.append(Flag("SHIFT_NOT_DETERMINED", message))
        flags += _grain_flags(findings)
    return flags


def _grain_flags(findings: Findings) -> list[Flag]:
    """Grains whose centres differ have no common reference."""
    centre, covariance = findings.region_centres
    a, b = NAMES.index(GRAIN_1), NAMES.index(GRAIN_2)
    variance = covariance[a, a] + covariance[b, b] - 2 * covariance[a, b]
    difference = centre[b] - centre[a]
    if not np.isfinite(difference) or not variance > 0 or abs(difference) < SHIFT_SIGNIFICANCE * np.sqrt(variance):
        return []
    message = f"The grains differ by {difference:+.2f} meV, so their mean means little; see the shift against each."
    return [Flag("GRAINS_DIFFER", message)]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _peaks(findings: Findings) -> list[dict[str, Any]]:
    vibrations = findings.vibrations
    d = vibrations.together
    if d is None:
        return []
    described = d.described | findings.reports_misfits
    values, sigmas = ({q: table[q].tolist() for q in SHOWN} for table in (d.values, d.sigmas))
    railed = {name: d.railed[f"{name}_mev"].tolist() for name in ("centre", "sigma", "gamma")}
    result = []
    for k, peak in enumerate(d.peaks):
        for row, group in enumerate(vibrations.names):
            presence = vibrations.presence.get((peak.name, group))
            shown = described[row] and (presence is None or presence.present)
            spreads = (0.0, 0.0, 0.0)
            if presence is not None:  # by how much other windows and backgrounds change it
                spreads = (presence.centre_spread_mev, presence.fwhm_spread_mev, presence.area_spread)
            quantities = {
                name: quantity(values[name][row][k], math.hypot(sigmas[name][row][k], spread), unit)
                if shown
                else unknown(unit)
                for (name, unit), spread in zip(SHOWN.items(), spreads)
            }
            at_limit = [name for name, table in railed.items() if table[row][k]]
            entry = {"name": peak.name, "component": peak.component, "region": group, **quantities, "railed": at_limit}
            result.append(entry)
    return result


def _ratio(change: Change) -> dict[str, Any]:
    grains, backgrounds = change.grains, change.backgrounds
    result: dict[str, Any] = {name: quantity(*change.ratio[name], "") for name in NAMES}
    result["relative_change"] = quantity(*change.relative_change, "")
    result["uncorrected_relative_change"] = quantity(*change.uncorrected_relative_change, "")
    for name in GRAINS:
        result[f"relative_change_vs_{name}"] = quantity(*grains.against[name], "") if grains else unknown("")
    result["edge_shift_ev"] = quantity(*change.edge_shift_ev, "eV")
    result["edge_shapes"] = {
        "grains_differ": grains.differ if grains else None,
        "boundary_like": grains.alike if grains and grains.differ else None,
        "difference": quantity(*grains.difference, "") if grains else unknown(""),
    }
    result["windows"] = {
        "published": _windows(backgrounds.published),
        "alternative": _windows(backgrounds.alternative) if backgrounds.alternative is not None else None,
        "better": backgrounds.better,
    }
    return result


def _windows(found: WindowRatios) -> dict[str, Any]:
    """Plain window ratios over one background, and their change with the cross-talk taken out."""
    return {
        "background_ev": list(found.window_ev) if found.window_ev is not None else None,
        **{name: quantity(*found.ratio[name], "") for name in NAMES},
        "relative_change": quantity(*found.relative_change, ""),
        "unmixed_relative_change": quantity(*found.unmixed_change, ""),
        "pre_edge_residual": {name: quantity(*found.residual[name], "") for name in NAMES},
    }


def _elements(change: Change) -> list[dict[str, Any]]:
    return [
        {"name": name, "relative_change": quantity(*value, ""), "separable": bool(np.isfinite(value.value))}
        for name, value in change.elements.items()
    ]


def _thickness(findings: Findings) -> dict[str, Any]:
    """Mean t/lambda of each region; the systematic part does not average out."""
    chemistry = findings.chemistry
    result = {name: unknown("") for name in NAMES}
    if chemistry.regions is None or chemistry.thickness is None or chemistry.thickness_scan is None:
        return result
    for name, region in chemistry.regions:
        mask = region.mask(chemistry.thickness_scan.position_nm) & np.isfinite(chemistry.thickness.value)
        if mask.any():
            statistical = np.sqrt(np.sum(chemistry.thickness.sigma[mask] ** 2)) / mask.sum()
            sigma = float(np.hypot(statistical, chemistry.thickness.systematic[mask].mean()))
            result[name] = quantity(float(chemistry.thickness.value[mask].mean()), sigma, "")
    return result


def _transport(findings: Findings) -> dict[str, Any]:
    assert findings.transport is not None and findings.recipe.transport is not None
    return transport_entry(findings.transport, findings.recipe.transport.not_known)


def _band(findings: Findings, band: Band) -> dict[str, Any]:
    """Losses in a band over ZLP counts, background removed by the fit; its error is that of the fitted areas."""
    values = {name: _band_losses(findings, name, band) for name in NAMES}
    (one, one_sigma), (at, at_sigma), (two, two_sigma) = (values[name] for name in NAMES)
    mean, mean_sigma = 0.5 * (one + two), 0.5 * np.hypot(one_sigma, two_sigma)
    change = at / mean - 1 if mean > 0 else np.nan
    sigma = np.hypot(at_sigma, at / mean * mean_sigma) / mean if mean > 0 else np.nan
    regions = {name: quantity(*values[name], "") for name in NAMES}
    return {"name": band.name, **regions, "relative_change": quantity(change, sigma, "")}


def _band_losses(findings: Findings, group: str, band: Band) -> tuple[float, float]:
    vibrations, d = findings.vibrations, findings.vibrations.together
    if d is None or group not in vibrations.names or not d.described[vibrations.names.index(group)]:
        return np.nan, np.nan
    row = vibrations.names.index(group)
    inside = (d.energy_mev[row] >= band.low_mev) & (d.energy_mev[row] <= band.high_mev)
    share = d.lines[row][:, inside].sum(axis=1) / np.maximum(d.lines[row].sum(axis=1), 1e-300)
    above = (d.counts[row] - d.background[row])[inside]
    losses = np.where(np.isfinite(above), above, d.lines[row][:, inside].sum(axis=0)).sum()  # what was lost is modelled
    errors = np.nan_to_num(d.sigmas["area"][row]) * share / (d.energy_mev[row, 1] - d.energy_mev[row, 0])
    integral = vibrations.integrals[group]
    return float(losses / integral), float(np.sqrt(np.sum(errors**2)) / integral)


def _centres(findings: Findings, peak: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Centre of a peak along the line and its standard deviation, (n,); nan where it is not determined."""
    rows = findings.vibrations.rows
    if rows is None:
        return np.full(n, np.nan), np.full(n, np.nan)
    known = (rows.described | findings.reports_misfits) & ~rows.railed["centre_mev"][:, rows.index(peak)]
    centre, sigma = (np.where(known, values(peak, "centre_mev"), np.nan) for values in (rows.value, rows.sigma))
    return centre, sigma


def _numbers(values: np.ndarray) -> list[float | None]:
    """For JSON: null where nan."""
    return [value if math.isfinite(value) else None for value in values.tolist()]
