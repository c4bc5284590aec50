"""The core's log lines in Python's `logging`, as records of the logger `ferrocket.core`.

A thread waits in Python for the queue's descriptor, never inside the core; it is joined before the interpreter
goes. What is below the logger's level when the first client is made is not even queued; see `set_level`.
"""

from __future__ import annotations

import atexit
import logging
import os
import select
import threading

from ferrocket import _core

_logger = logging.getLogger("ferrocket.core")
_started = threading.Lock()
_thread: threading.Thread | None = None
_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG, 5: logging.DEBUG}
# How long exiting may take, in seconds: consumers and producers still open, then the core's own threads.
_EXIT_LIMIT = 3.0


def set_level(level: int) -> None:
    """From which level on (`logging.INFO`, …) the core's lines are kept."""
    _core.set_log_level(max(kept for kept, known in _LEVELS.items() if known >= level) if level <= 40 else 0)


def start() -> None:
    """Begins to pass lines on; with the first client of the process."""
    global _thread
    with _started:
        if _thread is None:
            set_level(_logger.getEffectiveLevel())
            _thread = threading.Thread(target=_pass_on, name="ferrocket-logs", daemon=True)
            _thread.start()


def _pass_on() -> None:
    # Not `select`, which takes no descriptor above 1023.
    lines = select.poll()
    lines.register(_core.logs_fileno(), select.POLLIN)
    while True:
        lines.poll()
        for level, target, text in _core.take_logs():
            if level == 0:
                return
            _logger.log(_LEVELS[level], "%s: %s", target, text)


def _stop() -> None:
    _core.stop(_EXIT_LIMIT)
    if _thread is not None:
        _thread.join(1.0)


def _after_fork() -> None:
    global _thread
    _thread = None


atexit.register(_stop)
os.register_at_fork(after_in_child=_after_fork)
