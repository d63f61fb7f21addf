"""What has been compiled, kept in files for the next process; a spoilt or full folder costs time and nothing else."""

from __future__ import annotations

import hashlib
import logging
import pickle
from typing import Any

from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.serialize import dumps

from . import compiling

_LOG = logging.getLogger(__name__)


class _Sealed(CompileResultCacheImpl):
    """Keeps a digest beside the machine code: code with a damaged block would end the process, not raise."""

    def reduce(self, result: Any) -> tuple[bytes, bytes]:
        content = dumps(super().reduce(result))
        return hashlib.sha256(content).digest(), content

    def rebuild(self, target_context: Any, payload: tuple[bytes, bytes]) -> Any:
        digest, content = payload
        if hashlib.sha256(content).digest() != digest:
            raise ValueError("the file is damaged")
        return super().rebuild(target_context, pickle.loads(content))


class KernelCache(FunctionCache):
    """The kept results of one entry point, by the types of its arguments, processor and version of numba.

    They lie where numba keeps its own: in the folder that NUMBA_CACHE_DIR names, beside the source file, or in the
    user's cache folder. Only making one raises, if none of these can be written.
    """

    _impl_class = _Sealed

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What was compiled for a signature; None if it has to be compiled."""
        found = self._load(sig, target_context)
        if found is None and compiling.wait_for_another():
            found = self._load(sig, target_context)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:  # the folder is full, gone, or no longer writable
            compiling.cannot_keep(error)

    def _load(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # reading a spoilt file can raise anything
            _LOG.info("What was kept of a kernel cannot be read and is compiled again (%s).", error)
            self._forget()
            return None

    def _forget(self) -> None:
        """Begin an empty index: what is compiled could not be added to a spoilt one."""
        try:
            self.flush()
        except Exception as error:
            compiling.cannot_keep(error)
