"""trio: connects and lookups over one descriptor, cancelled with their scope, without a thread."""

import socket
from dataclasses import replace
from typing import List, Optional, Sequence, Union

import trio

from ._connect import Connect, Options, SocketOption, check_all_errors
from ._lookup import AddressInfo, Lookup
from ._names import Host, Port

__all__ = ["getaddrinfo", "open_tcp_stream"]


async def open_tcp_stream(
    host: Host,
    port: Port,
    *,
    happy_eyeballs_delay: Optional[float] = None,
    local_address: Optional[str] = None,
    timeout: Optional[float] = None,
    family: int = socket.AF_UNSPEC,
    socket_options: Optional[Sequence[SocketOption]] = None,
    all_errors: bool = False,
    options: Optional[Options] = None,
) -> trio.SocketStream:
    """trio.open_tcp_stream; its exceptions are those of happysock.create_connection, with the attempts on them."""
    check_all_errors(all_errors)
    if happy_eyeballs_delay is not None:
        options = replace(options or Options(), connection_attempt_delay=happy_eyeballs_delay)
    race = Connect(
        host,
        port,
        timeout=timeout,
        source_address=None if local_address is None else (local_address, 0),
        family=family,
        socket_options=socket_options,
        options=options,
    )
    try:
        await _wait(race)
        sock = race.take(all_errors)
    finally:
        race.close()
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))


async def getaddrinfo(
    host: Host,
    port: Port,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
    *,
    timeout: Optional[float] = None,
) -> List[AddressInfo]:
    """trio.socket.getaddrinfo with a limit in seconds; cancelled at once with its scope."""
    lookup = Lookup(host, port, family=family, type=type, proto=proto, flags=flags, timeout=timeout)
    try:
        await _wait(lookup)
        return lookup.take()
    finally:
        lookup.close()


async def _wait(race: Union[Connect, Lookup]) -> None:
    # A checkpoint each time round, the last one too, as trio wants it.
    await trio.lowlevel.checkpoint()
    while not race.dispatch():
        await trio.lowlevel.wait_readable(race.fileno())
