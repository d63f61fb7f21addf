"""stub until the real one lands"""
from numba import njit
compiled = njit(nogil=True, error_model="numpy", cache=True)
