"""How kernels are compiled."""

from numba import njit

compiled = njit(nogil=True, error_model="numpy", cache=True)
