"""Maps of spectrum images: how long they take, and how much memory where the image is larger than that.

python -m benchmarks image
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
from scipy.special import voigt_profile

from eels_iontransport import decompose_image, load_image, material
from eels_iontransport.data.image import SpectrumImage
from eels_iontransport.data.noise import given
from eels_iontransport.data.spectrum import EnergyAxis, Spectra
from eels_iontransport.maps import PeakMaps

from .figure import Figure, spread
from .published_spectra import PHONON_AREAS, PHONONS, POLARITON_AREAS, POLARITONS, SHIFT_MEV

SMALL, LARGE = (64, 64), (256, 256, 2048)
RUNS = 5
STARTS_MEV = (49.0, 50.0, 51.0, 52.0)  # the one that the mean leads to takes the place of the nearest: four starts
SECONDS_GOAL, MEMORY_GOAL_MIB = 1.5, 1024.0
DISTINCT = 256  # spectra, of which the large image is made
ENERGY = EnergyAxis(-0.2, 0.0004, LARGE[2])
CALIBRATIONS = [
    *[{"offset": 0.0, "scale": 0.5, "units": "nm"}] * 2,
    {"offset": ENERGY.offset_ev, "scale": ENERGY.step_ev, "units": "eV"},
]
PROPERTIES = {"spatial_calibrations": CALIBRATIONS, "metadata": {"hardware_source": {"counts_per_electron": 1}}}
_MIB = 1 << 20


def measure() -> list[Figure]:
    random = np.random.default_rng(5000)
    return [*_speed(random), *_memory(random)]


def _speed(random: np.random.Generator) -> list[Figure]:
    """Aloof spectrum, zero-loss peaks, windows, backgrounds and fits of an image, from four starts each."""
    image = SpectrumImage(spectra(random, SMALL[0] * SMALL[1]).reshape(*SMALL, -1), ENERGY, noise=given(1.0))
    _map(replace(image, counts=image.counts[:1]))  # compiled
    wall, cpu = [], []
    for _ in range(RUNS):
        started = time.perf_counter(), time.process_time()
        _map(image)
        wall.append(time.perf_counter() - started[0])
        cpu.append(time.process_time() - started[1])
    name = f"image of {SMALL[0]} x {SMALL[1]} pixels, all of it, {len(STARTS_MEV)} starts"
    return [
        Figure(name, "s", float(np.median(wall)), high=SECONDS_GOAL, spread=spread(wall)),
        Figure(f"{name}, of both cores", "s", float(np.median(cpu)), spread=spread(cpu)),
    ]


def _memory(random: np.random.Generator) -> list[Figure]:
    """The highest that a process takes, from its start, less its result: in a process of its own for each file."""
    few = spectra(random, DISTINCT)
    with tempfile.TemporaryDirectory() as folder:
        mapped, hdf5 = Path(folder, "image.npy"), Path(folder, "image.nhdf")
        whole = np.lib.format.open_memmap(mapped, "w+", np.float32, LARGE)
        for row in range(LARGE[0]):
            whole[row] = np.roll(few, row, axis=0)
        whole.flush()
        mapped.with_suffix(".json").write_text(json.dumps(PROPERTIES))
        with h5py.File(hdf5, "w") as file:
            file.create_dataset("data/0", data=whole).attrs["properties"] = json.dumps(PROPERTIES)
        del whole
        return [_peak(mapped, "memory-mapped"), _peak(hdf5, "HDF5")]


def _peak(path: Path, kind: str) -> Figure:
    command = [sys.executable, "-m", "benchmarks.image", str(path)]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True)
    peak, result = (float(word) for word in done.stdout.split())
    name = f"memory beyond the result, image of {' x '.join(map(str, LARGE))}, {kind}"
    on_disk = path.stat().st_size / _MIB
    return Figure(
        name, "MiB", peak - result, high=MEMORY_GOAL_MIB, spread=f"{on_disk:.0f} MiB on disk, result {result:.0f}"
    )


def spectra(random: np.random.Generator, number: int) -> np.ndarray:
    """Counts (number, channels): a zero-loss peak, its tail, and the published lines; the LDO line here and there."""
    energy = ENERGY.energies_mev
    tail = 3e4 * (np.maximum(np.abs(energy), 14.0) / 25.0) ** -2.5
    fixed = 1e7 * np.exp(-0.5 * (energy / 3.4) ** 2) + tail + _lines(energy, POLARITONS, POLARITON_AREAS)
    shifts = SHIFT_MEV * np.linspace(0.0, 1.0, 16)
    expected = np.array(
        [fixed + _lines(energy, PHONONS + [[0, 0, 0], [s, 0, 0], [0, 0, 0], [0, 0, 0]], PHONON_AREAS) for s in shifts]
    )
    return random.poisson(expected[random.integers(0, len(shifts), number)]).astype(np.float32)


def aloof() -> Spectra:
    energy = ENERGY.energies_mev
    peak = 1e7 * np.exp(-0.5 * (energy / 3.4) ** 2) + 3e4 * (np.maximum(np.abs(energy), 14.0) / 25.0) ** -2.5
    counts = np.random.default_rng(5001).poisson(peak + _lines(energy, POLARITONS, POLARITON_AREAS)).astype(float)
    return Spectra(counts, ENERGY, np.ones(1, bool), noise=given(1.0))


def _lines(energy_mev: np.ndarray, shapes: np.ndarray, areas: np.ndarray) -> np.ndarray:
    return sum(area * voigt_profile(energy_mev - c, s, g) for area, (c, s, g) in zip(areas, shapes))


def _map(image: SpectrumImage) -> PeakMaps:
    recipe = replace(material("lco"), starts_mev=STARTS_MEV)
    return decompose_image(image, recipe, aloof=aloof(), mode="published")


def _size(maps: PeakMaps) -> float:
    """Of a result, in MiB."""
    parts = [getattr(maps.table, field.name) for field in fields(maps.table)] + list(vars(maps.zlp).values())
    arrays = [a for part in parts for a in (part.values() if isinstance(part, dict) else [part])]
    return sum(a.nbytes for a in arrays if isinstance(a, np.ndarray)) / _MIB


def _highest_mib() -> float:
    """What this process has taken at most; nan where the system does not tell. (getrusage counts its parent, too.)"""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return float("nan")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    result = _map(load_image(sys.argv[1]))
    print(_highest_mib(), _size(result))
