"""What connects have learnt, for those that come after them."""

import errno
import os
from typing import NamedTuple

from ._errors import system_error
from ._native import ffi, lib


class HistoryReport(NamedTuple):
    """What a history holds at a moment."""

    #: Destinations of which something is known.
    destinations: int
    #: Networks, by the addresses that this system has in them.
    networks: int
    #: Networks in which IPv6 does not answer.
    unanswered_v6: int
    #: Networks in which IPv4 does not answer.
    unanswered_v4: int


class History:
    """What earlier connects have learnt of this system's networks (RFC 8305, section 4): Options(history=...).

    Of addresses that rank alike those that answered faster go first, and a family that goes unanswered is kept behind the other,
    so that a dead one costs one delay and not one a connect. Any number of threads may use it. In the child of a fork it is empty
    and stays so. It is in memory only, and forgets after ten minutes.
    """

    def __init__(self) -> None:
        history = ffi.new("happy_history **")
        if lib.happy_history_new(history) != lib.HAPPY_OK:
            raise MemoryError()
        self._history = ffi.gc(history[0], lib.happy_history_unref)

    def flush(self) -> None:
        """Forgets everything."""
        self._check(lib.happy_history_flush(self._history))

    def report(self) -> HistoryReport:
        """What it holds now."""
        report = ffi.new("happy_history_report *")
        report.size = ffi.sizeof("happy_history_report")
        self._check(lib.happy_history_get_report(self._history, report))
        return HistoryReport(report.destinations, report.networks, report.unanswered_v6, report.unanswered_v4)

    @staticmethod
    def _check(status: int) -> None:
        if status == lib.HAPPY_EFORKED:
            raise system_error(errno.ESTALE, f"made before a fork: {os.strerror(errno.ESTALE)}")
        assert status == lib.HAPPY_OK, status
