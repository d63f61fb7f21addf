"""Dark-field images as closed forms, moved exactly by any shift, with noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Scene = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (y, x) in pixels -> intensity


def particles(seed: int, pixels: int = 64) -> Scene:
    """Gaussian particles on a film, beyond the image too."""
    rng = np.random.default_rng([seed, 1])
    places, height, width = rng.uniform(-12, pixels + 12, (40, 2)), rng.uniform(0.3, 1, 40), rng.uniform(1.5, 4, 40)

    def scene(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        total = np.ones(np.broadcast(y, x).shape)
        for (cy, cx), h, w in zip(places, height, width):
            total = total + h * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * w**2))
        return total

    return scene


def edge(angle: float, width: float = 0.8) -> Scene:
    """A straight edge through (32, 30); its normal is at an angle from x."""

    def scene(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        across = (x - 30) * np.cos(angle) + (y - 32) * np.sin(angle)
        return 0.2 + 1 / (1 + np.exp(-across / width))

    return scene


def lattice(period: float, angle: float = 0.15, contrast: float = 0.3) -> Scene:
    """A square lattice."""
    c, s = np.cos(angle) * 2 * np.pi / period, np.sin(angle) * 2 * np.pi / period
    return lambda y, x: 1 + contrast * (np.cos(c * x + s * y) + np.cos(c * y - s * x))


def fringes(period: float, contrast: float = 0.3) -> Scene:
    return lambda y, x: 1 + contrast * np.cos(2 * np.pi * x / period) + 0 * y


def flat(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.ones(np.broadcast(y, x).shape)


def both(one: Scene, other: Scene) -> Scene:
    return lambda y, x: one(y, x) + other(y, x)


def image(
    scene: Scene,
    shift: tuple[float, float] | np.ndarray = (0.0, 0.0),
    noise: float = 0.03,
    seed: int = 0,
    pixels: int = 64,
    electrons: float | None = None,
) -> np.ndarray:
    """The scene moved by a shift (y, x) in pixels, with Gaussian noise or that of so many electrons per unit."""
    rng = np.random.default_rng([seed, 2])
    y, x = np.meshgrid(np.arange(pixels) - shift[0], np.arange(pixels) - shift[1], indexing="ij")
    if electrons is not None:
        return rng.poisson(electrons * scene(y, x)) / electrons
    return scene(y, x) + noise * rng.standard_normal((pixels, pixels))
