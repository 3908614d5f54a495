"""Anything above 2 ms of processor time goes through here, so that a cooperative process keeps answering."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def offload(function: Callable[..., Result], *args: object) -> Result:
    """``function(*args)`` in a native thread while other requests go on; directly where nothing is cooperative."""
    if "gevent" in sys.modules:
        import gevent
        from gevent import monkey
        from gevent.util import wrap_errors

        if monkey.is_module_patched("threading"):
            # An error that is raised there is logged, although it is raised again here, where it may be expected.
            result: Result | Exception = gevent.get_hub().threadpool.apply(wrap_errors(Exception, function), args)
            if isinstance(result, Exception):
                raise result
            return result
    return function(*args)
