"""What reaches the spectrometer's entrance, by how far the diffraction pattern is deflected off it.

On the axis the entrance takes in the cone of the beam, and with it what scatters by less than the cone is wide: the
zero loss, dipole losses (polaritons) and electronic losses. Off the axis only electrons come that the specimen has
thrown there: by impact on its atoms, which makes the localised phonon losses, or elastically, with the dipole and
electronic losses that they would have had on the axis (Dwyer et al., Phys. Rev. Lett. 117 (2016) 256101; Hage et al.,
Science Advances 4 (2018) eaar7495). In the vacuum there is nothing off the axis. The angles and shares here are round
numbers for a simulation, not those of a material.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CONVERGENCE_RAD, ENTRANCE_RAD = 0.020, 0.025  # semi-angles of the beam and of the spectrometer's entrance
OFF_AXIS_RAD = 0.060  # a deflection at which the cone of the beam misses the entrance
_ELASTIC, _IMPACT = 0.01, 0.1


@dataclass(frozen=True)
class Shares:
    """Parts of what comes on the axis.

    direct: of the cone of the beam. elastic: of everything but phonon losses, beside the cone, at the reference
    thickness and in proportion to it. impact: of the phonon losses, beside the cone.
    """

    direct: float = 1.0
    elastic: float = 0.0
    impact: float = 0.0

    def weighting(self, relative_thickness: float) -> tuple[float, float]:
        """Factors of everything but phonon losses, and of phonon losses, at a thickness over the reference one."""
        return self.direct + self.elastic * relative_thickness, self.direct + self.impact


ON_AXIS = Shares()


def shares(deflection_rad: float) -> Shares:
    """Shares at a deflection. Between on and off the axis they change in a straight line: nobody works there."""
    gone_rad, width_rad = CONVERGENCE_RAD + ENTRANCE_RAD, 2 * min(CONVERGENCE_RAD, ENTRANCE_RAD)
    direct = float(np.clip((gone_rad - abs(deflection_rad)) / width_rad, 0.0, 1.0))
    return Shares(direct, (1.0 - direct) * _ELASTIC, (1.0 - direct) * _IMPACT)
