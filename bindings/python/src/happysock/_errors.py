"""The exceptions: Python's own, with the attempts on them."""

import errno
import socket
import sys
from typing import Any, Dict, NamedTuple, Optional, Tuple, Type

SocketAddress = Tuple[Any, ...]


class Attempt(NamedTuple):
    """One attempt of a connect."""

    #: As socket.getpeername() would give it.
    address: SocketAddress
    #: socket.AF_INET or socket.AF_INET6.
    family: int
    #: In a few English words: "connected", "failed", "timed out", "abandoned".
    outcome: str
    #: How it failed, with an outcome of "failed" or "timed out".
    error: Optional[OSError]
    #: Seconds since the race began.
    started: float
    #: Seconds since the race began.
    ended: float


class Error(OSError):
    """What every exception of a failed connect or lookup is, besides being the one that Python's socket module would raise."""

    #: The attempts that were made, in the order of their start; a failed lookup has none.
    attempts: Tuple[Attempt, ...] = ()
    #: Who has answered a connect's lookup: "hosts", "dns", "resolve" (systemd-resolved) or "libc"; None where nobody has.
    source: Optional[str] = None


class ResolveError(Error, socket.gaierror):
    """The name could not be resolved; errno is a socket.EAI_* code."""


if sys.version_info >= (3, 10):

    class Timeout(Error, TimeoutError):
        """A limit was reached."""

else:

    class Timeout(Error, socket.timeout, TimeoutError):
        """A limit was reached."""


class Refused(Error, ConnectionRefusedError):
    """ECONNREFUSED."""


class Reset(Error, ConnectionResetError):
    """ECONNRESET."""


class Aborted(Error, ConnectionAbortedError):
    """ECONNABORTED."""


class NotPermitted(Error, PermissionError):
    """EACCES or EPERM: a firewall, or a security module."""


_CLASSES: Dict[int, Type[Error]] = {
    errno.ECONNREFUSED: Refused,
    errno.ECONNRESET: Reset,
    errno.ECONNABORTED: Aborted,
    errno.EACCES: NotPermitted,
    errno.EPERM: NotPermitted,
    errno.ETIMEDOUT: Timeout,
}


def system_error(code: int, message: str) -> Error:
    """The exception for an errno, of the class that OSError would have chosen."""
    return _CLASSES.get(code, Error)(code, message)
