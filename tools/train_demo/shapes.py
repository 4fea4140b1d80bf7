"""Outlines of things: closed polygons around the origin, in units of the thing's radius."""

import numpy as np

Rng = np.random.Generator
VERTICES = 64
KINDS = ("ellipse", "polygon", "star", "blob", "box")


def _along_edges(corners: np.ndarray) -> np.ndarray:
    """Resample a polygon (N, 2) to about `VERTICES` points spread over its edges, corners kept."""
    following = np.roll(corners, -1, axis=0)
    steps = np.linspace(0.0, 1.0, max(VERTICES // len(corners), 2), endpoint=False)[None, :, None]
    return (corners[:, None] * (1 - steps) + following[:, None] * steps).reshape(-1, 2)


def _circle(angles: np.ndarray, radii: np.ndarray | float = 1.0) -> np.ndarray:
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1) * np.asarray(radii)[..., None]


def _polygon(rng: Rng) -> np.ndarray:
    corners = int(rng.integers(3, 8))
    angles = (np.arange(corners) + rng.uniform(-0.25, 0.25, corners)) * 2 * np.pi / corners
    return _along_edges(_circle(angles, rng.uniform(0.85, 1.1, corners)))


def _star(rng: Rng) -> np.ndarray:
    tips = int(rng.integers(4, 8))
    radii = np.where(np.arange(2 * tips) % 2 == 0, 1.15, rng.uniform(0.5, 0.75))
    return _along_edges(_circle(np.arange(2 * tips) * np.pi / tips, radii))


def _blob(rng: Rng) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    waves = np.arange(2, 7)
    sizes = rng.uniform(0, 0.35, len(waves)) / (waves - 1)
    phases = rng.uniform(0, 2 * np.pi, len(waves))
    radii = 1 + (sizes[:, None] * np.sin(waves[:, None] * angles + phases[:, None])).sum(axis=0)
    return _circle(angles, radii)


def outline(rng: Rng, kind: str | None = None) -> np.ndarray:
    """A closed outline of a random (or the given) kind: (N, 2) float64, about 1 from the origin, randomly stretched."""
    kind = kind or str(rng.choice(KINDS))
    if kind == "ellipse":
        points = _circle(np.linspace(0, 2 * np.pi, VERTICES, endpoint=False))
    elif kind == "polygon":
        points = _polygon(rng)
    elif kind == "star":
        points = _star(rng)
    elif kind == "blob":
        points = _blob(rng)
    elif kind == "box":
        points = _along_edges(np.array([[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]]))
    else:
        raise ValueError(f"unknown kind of outline {kind!r}")
    stretch = rng.uniform(0.75, 1.0)
    return points * np.array([1 / stretch, stretch])
