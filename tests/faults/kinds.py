"""One short plan of each kind: rows that are frames, rows that are sums, both engines, passes, an image, a session."""

from __future__ import annotations

from dataclasses import replace

from eels_iontransport.acquire.drift_settings import DriftSettings
from eels_iontransport.acquire.plan import Engine, Exposure, Plan, Step, session_plan
from eels_iontransport.data.geometry import Area, Field, Point
from eels_iontransport.data.record import Role
from eels_iontransport.simulation.specimen import lco_boundary

SPECIMEN = lco_boundary()
DRIFT = DriftSettings(
    every_rows=1, every_s=0.0, limit_nm=5.0, pixels=48, rate_limit_nm_per_min=100.0, fastest_nm_per_min=600.0
)
EXPOSURES = {
    Role.ZLP: Exposure(0.1, 6),
    Role.ALOOF: Exposure(0.1, 8),
    Role.VIBRATIONAL: Exposure(0.1, 2),
    Role.VALENCE: Exposure(0.02, 2),
    Role.CORE_LOSS: Exposure(0.5, 1),
}


def _plan(*steps: Step, pixels: int = 5, **changes: object) -> Plan:
    session = session_plan(
        name="GB1",
        material="lco",
        line=SPECIMEN.line(pixels, 10.0),
        aloof=SPECIMEN.aloof_point(),
        vacuum=SPECIMEN.vacuum_point(),
        exposures=EXPOSURES,
    )
    return replace(session, steps=steps or session.steps, **changes)


def _step(role: Role, frames: int, passes: int = 1, engine: Engine = Engine.PARKED) -> Step:
    return Step(role, "vibrational", 0.1, frames, passes, engine)


KINDS: dict[str, Plan] = {
    "vacuum ZLP": _plan(_step(Role.ZLP, 14)),
    "aloof": _plan(_step(Role.ALOOF, 14)),
    "points": _plan(_step(Role.POINTS, 2), points=tuple(Point(0.0, x) for x in (5.0, 15.0, 25.0))),
    "line, parked": _plan(_step(Role.VIBRATIONAL, 2)),
    "line, synchronized": _plan(_step(Role.VIBRATIONAL, 1, engine=Engine.SYNCHRONIZED), pixels=8),
    "passes, parked, strip": _plan(_step(Role.VIBRATIONAL, 2, 2), pixels=3, strip_nm=2.0),
    "passes, synchronized": _plan(_step(Role.VIBRATIONAL, 1, 3, Engine.SYNCHRONIZED), pixels=4, strip_nm=2.0),
    "spectrum image": _plan(_step(Role.IMAGE, 1), area=Area(Field(4.0, 9.0, Point(0.0, 20.0)), 2, 3)),
    "session": _plan(pixels=3, drift=replace(DRIFT, every_rows=2)),
}
ON_SPECIMEN = tuple(kind for kind in KINDS if kind not in ("vacuum ZLP", "aloof"))


def followed(plan: Plan) -> Plan:
    """With the drift looked at after every row."""
    return replace(plan, drift=DRIFT)


def followed_slowly(plan: Plan) -> Plan:
    """The same, where the specimen is known to drift so slowly that the fringes of a lattice can be told apart."""
    return replace(plan, drift=replace(DRIFT, fastest_nm_per_min=30.0))
