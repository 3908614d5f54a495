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

        if monkey.is_module_patched("threading"):
            result: Result = gevent.get_hub().threadpool.apply(function, args)
            return result
    return function(*args)
