"""How kernels are compiled: at their first call, once, and kept for the next process where there is a folder for it.

All kernels stand in one source file. What is kept of an entry point is compiled anew when its own file has changed, and
is not when a function that it calls has changed in another one.

This module can be imported without numba, which takes its time: numba comes with the first entry point. So a module
imports the kernels only inside the function that needs them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

_LOG = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])

_trouble = ""  # why nothing can be kept, as soon as that is known
_wait: Callable[[], object] | None = None


def compiled(function: Function) -> Function:
    """An entry point into the kernels: compiled for the types of its first arguments, and kept.

    It releases the interpreter, divides by zero without raising, and starts no threads of its own. Threads that call it
    at once compile it once. Functions that only kernels call need no more than numba's njit: they are kept with it.
    """
    import numba
    from numba.extending import is_jitted

    entry: Any = numba.njit(nogil=True, error_model="numpy")(function)
    if is_jitted(entry):  # numba can be told, by NUMBA_DISABLE_JIT, to leave functions as they are
        _keep(entry, function)
    return entry


def _keep(entry: Any, function: Callable[..., Any]) -> None:
    try:
        from .kernel_cache import KernelCache

        entry._cache = KernelCache(function)  # what cache=True does, with a cache that never raises
    except Exception as error:  # numba raises RuntimeError where no folder can be written, but a folder can do worse
        cannot_keep(error)


def cannot_keep(error: Exception) -> None:
    """Say, the first time, that what is compiled is lost when the process ends."""
    global _trouble
    if not _trouble:
        _trouble = " ".join(str(error).split()) or type(error).__name__
        _LOG.warning(
            "Compiled kernels cannot be kept, so that every start compiles them anew (%s); "
            "let the environment variable NUMBA_CACHE_DIR name a folder that can be written.",
            _trouble,
        )


def keeps() -> bool:
    """Whether, as far as has been seen, what is compiled is there for the next process."""
    return not _trouble


def when_missing(wait: Callable[[], object] | None) -> None:
    """Have wait() called before an entry point is compiled that has not been kept, and look for it again afterwards.

    For someone who is having the kernels compiled in another process. None: compile at once.
    """
    global _wait
    _wait = wait


def wait_for_another() -> bool:
    """Wait for the process that compiles the kernels; False at once if there is none."""
    wait = _wait
    if wait is None:
        return False
    wait()
    return True
