"""Connects to a host by name: Happy Eyeballs (RFC 8305), with lookups that can be interrupted.

    import happysock

    sock = happysock.create_connection(("example.org", 80), timeout=5)

fits wherever socket.create_connection is used. happysock.aio, happysock.trio and happysock.anyio do the same for their event
loops, over one descriptor and without a thread of Python's. Linux.
"""

import select
import socket
from typing import Any, List, Optional, Sequence, Tuple, Union

from ._connect import Connect, Options, SocketOption, Step, check_all_errors, text_of
from ._errors import Aborted, Attempt, Error, NotPermitted, Refused, Reset, ResolveError, Timeout
from ._history import History, HistoryReport
from ._lookup import AddressInfo, Lookup
from ._names import Host, Port
from ._native import lib

__all__ = [
    "Aborted",
    "Attempt",
    "Connect",
    "Error",
    "History",
    "HistoryReport",
    "Lookup",
    "NotPermitted",
    "Options",
    "Refused",
    "Reset",
    "ResolveError",
    "Step",
    "Timeout",
    "create_connection",
    "getaddrinfo",
]
__version__: str = text_of(lib.happy_version())

# What socket.create_connection has as its default, and what libraries pass on to say "the default".
_DEFAULT_TIMEOUT: Any = getattr(socket, "_GLOBAL_DEFAULT_TIMEOUT", object())


def create_connection(
    address: Tuple[Host, Port],
    timeout: Optional[float] = _DEFAULT_TIMEOUT,
    source_address: Optional[Tuple[Host, Port]] = None,
    socket_options: Optional[Sequence[SocketOption]] = None,
    *,
    all_errors: bool = False,
    family: int = socket.AF_UNSPEC,
    options: Optional[Options] = None,
) -> socket.socket:
    """Connects to ``(host, port)`` and returns the socket, as socket.create_connection does.

    ``timeout`` limits all of it, the lookup too, in seconds, and is set on the socket; None is no limit, 0 is over at once; by
    default it is socket.getdefaulttimeout(). ``source_address`` is the ``(host, port)`` to bind to: where it is of one family,
    the other is not attempted. ``socket_options`` are set on each socket before it connects, each the arguments of setsockopt.

    Raises OSError as the socket module does (ConnectionRefusedError, socket.gaierror, TimeoutError, ...), each an Error with its
    ``attempts``: the one that failed last, or with ``all_errors`` a group of all.

    Signal handlers run while it waits: Ctrl-C ends it. Threads: any. Cooperative where select.poll is, as with gevent.
    """
    check_all_errors(all_errors)
    host, port = address
    limit = socket.getdefaulttimeout() if timeout is _DEFAULT_TIMEOUT else timeout
    connect = Connect(
        host,
        port,
        timeout=limit,
        source_address=source_address,
        family=family,
        socket_options=socket_options,
        options=options,
    )
    try:
        _wait(connect)
        sock = connect.take(all_errors)
    finally:
        connect.close()
    sock.settimeout(limit)
    return sock


def getaddrinfo(
    host: Host,
    port: Port,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
    *,
    timeout: Optional[float] = None,
) -> List[AddressInfo]:
    """socket.getaddrinfo with a limit in seconds, which raises Timeout when it is reached. Ctrl-C ends it."""
    lookup = Lookup(host, port, family=family, type=type, proto=proto, flags=flags, timeout=timeout)
    try:
        _wait(lookup)
        return lookup.take()
    finally:
        lookup.close()


def _wait(race: Union[Connect, Lookup]) -> None:
    # The first step often is the last: an address that answers at once, a literal.
    if race.dispatch():
        return
    # Python's poll runs signal handlers, which a wait inside the library would hold up; it is looked up each time, since
    # gevent and its like replace it.
    poll = select.poll()
    poll.register(race.fileno(), select.POLLIN)
    while not race.dispatch():
        poll.poll()
