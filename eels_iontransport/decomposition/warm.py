"""Every kernel compiled, or loaded from the cache, before somebody waits for it."""

from __future__ import annotations

import numpy as np

from . import engine
from .problem import Data, Layout


def warm() -> None:
    """Call every entry point once, on one line in 32 channels: what any later fit and drawing needs is ready then."""
    energy_mev = np.linspace(30.0, 70.0, 32)[None, None]
    response = np.array([[[[1.0, 0.0, 0.0, 0.0]]]])
    shape = np.array([50.0, 4.0, 1.0])
    line = engine.draw(energy_mev[0], response[0], *shape[:, None, None])[None, 0]
    data = Data(energy_mev, 1e3 * line, np.ones_like(line), np.ones_like(line)[:, :, None], response)
    centre, sigma, gamma = np.arange(3)[:, None, None]
    layout = Layout(centre, sigma, gamma, np.array([-1]), 0.9 * shape, 1.1 * shape)
    engine.fit(layout, data, 1.01 * shape[None])
