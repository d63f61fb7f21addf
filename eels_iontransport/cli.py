"""The command `eels-iontransport`: analyse files, map images, run the demonstration, list the material recipes.

Exit code 0: done. 2: unusable input or arguments, with one sentence on stderr. 130: interrupted. No output is left
half-written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from . import files, map_files, materials, report, wording
from .arguments import ASSUMPTIONS, choose_assumptions, choose_quantities, choose_regions, parse_windows
from .data.errors import UnusableInput
from .data.image import SpectrumImage
from .data.passes import joined
from .data.spectrum import Spectra
from .decomposition.fitting import MODES
from .decomposition.result import QUANTITIES
from .evaluation import Evaluation
from .files import export
from .image import decompose_image
from .materials import Recipe
from .provenance import provenance
from .session import Session
from .terminal import Reporter

DONE, UNUSABLE, INTERRUPTED = 0, 2, 130  # the last as shells have it
DEMO_FOLDER, MAP_FOLDER = "demo_results", "maps"
_OTHERS = ("aloof", "zlp", "valence", "core_loss")  # beside the vibrational spectra


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, those of the process by default; returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
        return options.run(options)
    except UnusableInput as fault:
        sentence = f"eels-iontransport: {' '.join(str(fault).split())}"
        print(wording.encodable(sentence, sys.stderr.encoding), file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        print("eels-iontransport: interrupted.", file=sys.stderr)
        return INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """Faults in the arguments are sentences like any other."""

    def error(self, message: str) -> NoReturn:
        raise UnusableInput(f"{message[:1].upper()}{message[1:].rstrip('.')}; see {self.prog} --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="eels-iontransport",
        description="Vibrational and core-loss EELS of lithium interfaces.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    analyze = commands.add_parser("analyze", help="analyse spectra from files", allow_abbrev=False)
    _add_analyze_arguments(analyze)
    analyze.set_defaults(run=_analyze)
    maps = commands.add_parser("maps", help="map the peaks of a spectrum image", allow_abbrev=False)
    _add_maps_arguments(maps)
    maps.set_defaults(run=_maps)
    demo = commands.add_parser("demo", help="run a whole session on the simulated microscope", allow_abbrev=False)
    demo.add_argument("--headless", action="store_true", help="without a window; ends by itself")
    demo.add_argument("--out", metavar="DIR", default=DEMO_FOLDER, help=f"folder for the results [{DEMO_FOLDER}]")
    demo.set_defaults(run=_demo)
    listing = commands.add_parser("materials", help="list the material recipes", allow_abbrev=False)
    listing.set_defaults(run=_materials)
    return parser


def _add_analyze_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--material", required=True, help="name of a recipe, or the path of a recipe file")
    add(
        "--vibrational",
        required=True,
        action="append",
        metavar="LINE",
        help="vibrational line scan, or a single spectrum; given again, more passes of the same line",
    )
    add("--aloof", metavar="ALOOF", help="aloof spectrum")
    add("--zlp", metavar="VACUUM", help="zero-loss peak in vacuum")
    add("--valence", metavar="VAL", help="valence-loss line scan at the same place, for the thickness")
    add("--core-loss", metavar="CORE", help="core-loss line scan at the same place")
    for option in ("--boundary", "--grain-1", "--grain-2"):
        add(option, metavar="A:B", help="in nm along the line; found where not given")
    add("--background", metavar="A:B,C:D", help="meV, in place of the recipe's two background windows")
    add("--mode", choices=MODES, default=MODES[0], help=f"how peaks are fitted [{MODES[0]}]")
    add(
        "--assume",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help=f"an assumption of the transport estimate: {', '.join(ASSUMPTIONS)}",
    )
    add("--bootstraps", metavar="N", type=int, help="the shift's uncertainty by so many bootstraps, 200 are usual")
    add("--specifications", action="store_true", help="the shift under other windows, backgrounds, modes, references")
    add("--sceptic", action="store_true", help="what a sceptic asks of the shift, with the specifications")
    add("--json", metavar="OUT.json", help="write the readout to this file")
    add("--csv", metavar="OUT.csv", help="write the profiles along the line to this file")
    add("--figures", metavar="DIR", help="write figures into this folder")


def _add_maps_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--material", required=True, help="name of a recipe, or the path of a recipe file")
    add("--image", required=True, metavar="IMG", help="vibrational spectrum image, height x width x energy")
    add("--aloof", metavar="ALOOF", help="aloof spectrum")
    add("--zlp", metavar="VACUUM", help="zero-loss peak in vacuum")
    add("--mode", choices=MODES, default=MODES[0], help=f"how peaks are fitted [{MODES[0]}]")
    add(
        "--quantity",
        metavar="PEAK:QUANTITY",
        nargs="+",
        action="extend",
        help=f"what is mapped with its uncertainty, of {', '.join(QUANTITIES)} [the centre of the shift peak]",
    )
    add("--out", metavar="DIR", default=MAP_FOLDER, help=f"folder for the maps [{MAP_FOLDER}]")


def _analyze(options: argparse.Namespace) -> int:
    for place in (options.json, options.csv, options.figures and Path(options.figures) / "figure.png"):
        if place:
            export.require_place(place)
    recipe = materials.load(options.material)
    background = parse_windows(options.background) if options.background else None
    passes = [files.load(path) for path in options.vibrational]
    others = {role: files.load(path) for role in _OTHERS if (path := getattr(options, role)) is not None}
    for spectra in [*passes, *others.values()]:
        _require_data(spectra)
    inputs = {"vibrational": joined(passes), **others}
    regions = choose_regions(options.boundary, options.grain_1, options.grain_2, inputs["vibrational"])
    assumptions = choose_assumptions(options.assume, recipe)
    session = Session(recipe, mode=options.mode, regions=regions, background_mev=background, assumptions=assumptions)
    session.update(**inputs)
    evaluation = session.evaluate()
    with Reporter() as reporter:
        if options.bootstraps is not None:
            evaluation = session.bootstrap(options.bootstraps, progress=reporter)
        if options.specifications or (options.sceptic and "ldo_peak" in evaluation.readout):
            evaluation = session.specifications(progress=reporter)
        if options.sceptic and "ldo_peak" in evaluation.readout:
            evaluation = session.model(progress=reporter)
        if options.sceptic:
            evaluation = session.sceptic(progress=reporter)
    written = _write(evaluation, recipe, options)
    for line in [*report.lines(evaluation.readout, recipe), *(f"Written: {path}" for path in written)]:
        print(wording.encodable(line, sys.stdout.encoding))
    return DONE


def _require_data(spectra: Spectra) -> None:
    rows = spectra.rows[spectra.valid]
    if not rows.size:
        raise UnusableInput(f"'{spectra.name}' holds no data: its spectra were never taken, or have values like NaN.")
    if not rows.any():
        raise UnusableInput(f"'{spectra.name}' holds nothing but zeros; check beam, shutter and camera.")
    if rows.max() <= 0:
        raise UnusableInput(f"'{spectra.name}' has no counts above zero; check its dark reference.")


def _write(evaluation: Evaluation, recipe: Recipe, options: argparse.Namespace) -> list[Path]:
    written = []
    if options.figures:
        from . import figures

        written += figures.save(evaluation, recipe, options.figures)
    if options.csv:
        export.write_profiles(options.csv, evaluation.readout.get("profiles", {}))
        written.append(Path(options.csv))
    if options.json:
        export.write_json(options.json, evaluation.readout)
        written.append(Path(options.json))
    return written


def _maps(options: argparse.Namespace) -> int:
    folder = Path(options.out)
    export.require_place(folder / map_files.LISTING)
    recipe = materials.load(options.material)
    wanted = choose_quantities(options.quantity, recipe)
    image = files.load_image(options.image)
    spectra = {role: files.load(path) for role in ("aloof", "zlp") if (path := getattr(options, role)) is not None}
    for reference in spectra.values():
        _require_data(reference)
    with Reporter() as reporter:
        maps = decompose_image(
            image, recipe, aloof=spectra.get("aloof"), zlp=spectra.get("zlp"), mode=options.mode, progress=reporter
        )
    inputs = {**spectra, "image": _hashed(image, options.image)}
    record = provenance(inputs, {"mode": options.mode, "quantities": wanted})
    written = map_files.write(folder, maps, wanted, recipe, record)
    for line in [*map_files.page(maps, wanted, recipe, options.mode), *(f"Written: {path}" for path in written)]:
        print(wording.encodable(line, sys.stdout.encoding))
    return DONE


def _hashed(image: SpectrumImage, path: str) -> Any:
    """The image with the hash of its file, which nobody needs but the record."""
    source = {"path": path, "sha256": files.sha256(Path(path))}
    return replace(image, metadata={**image.metadata, files.SOURCE_KEY: source})


def _materials(options: argparse.Namespace) -> int:
    entries = materials.available()
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        line = f"{entry.name:<{width}}  {entry.fault or f'{entry.title}: {entry.description}'}"
        print(wording.encodable(line, sys.stdout.encoding))
    return DONE


def _demo(options: argparse.Namespace) -> int:
    try:
        from nionswift_plugin.iontransport import demo, window
    except ImportError as fault:
        raise UnusableInput(
            f"The demonstration needs {fault.name or fault}; "
            "install it with pip install 'nionswift-eels-iontransport[simulator,window,files]'."
        ) from None
    run = demo.run_headless if options.headless else window.run_demo
    run(Path(options.out))
    return DONE
