"""Which site file a window acquires with: the laboratory's own, else that of the simulator."""

from __future__ import annotations

import os
from pathlib import Path

from eels_iontransport.acquire import site
from eels_iontransport.acquire.site import Site
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.materials import user_folder

SITE_VARIABLE = "EELS_IONTRANSPORT_SITE"
SIMULATOR = "simulator"


def own_site_file() -> Path:
    """Where a laboratory puts its site file: EELS_IONTRANSPORT_SITE, else site.toml beside the folder of recipes."""
    chosen = os.environ.get(SITE_VARIABLE)
    return Path(chosen) if chosen else user_folder().parent / "site.toml"


def chosen_site() -> tuple[Site, str]:
    """The site, and a sentence where the laboratory's own file cannot be used, else an empty one."""
    path = own_site_file()
    if not path.exists() and not os.environ.get(SITE_VARIABLE):
        return site.load(SIMULATOR), ""
    try:
        return site.load(path), ""
    except UnusableInput as error:
        return site.load(SIMULATOR), str(error)


def mismatch(chosen: Site, microscope: str) -> str:
    """A sentence where the simulator's settings would be set on another microscope, else an empty one."""
    if chosen.name != site.load(SIMULATOR).name or microscope == chosen.name:
        return ""
    return (
        f"There is no site file for {microscope}: copy hermes_template.toml of the package to {own_site_file()}, "
        "name your controls in it, and open the window anew."
    )
