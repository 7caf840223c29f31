"""anyio, over asyncio or trio: connects and lookups over one descriptor, cancelled with their scope, without a thread."""

import socket
from dataclasses import replace
from typing import List, Optional, Sequence, Union

import anyio
import anyio.abc
import anyio.lowlevel

from ._connect import Connect, Options, SocketOption, check_all_errors
from ._lookup import AddressInfo, Lookup
from ._names import Host, Port

__all__ = ["connect_tcp", "getaddrinfo"]

if not hasattr(anyio.abc.SocketStream, "from_socket"):
    raise ImportError("happysock.anyio needs an anyio that has SocketStream.from_socket: a newer 4.x")


async def connect_tcp(
    remote_host: Host,
    remote_port: Port,
    *,
    local_host: Optional[str] = None,
    happy_eyeballs_delay: Optional[float] = None,
    timeout: Optional[float] = None,
    family: int = socket.AF_UNSPEC,
    socket_options: Optional[Sequence[SocketOption]] = None,
    all_errors: bool = False,
    options: Optional[Options] = None,
) -> anyio.abc.SocketStream:
    """anyio.connect_tcp without TLS; its exceptions are those of happysock.create_connection, with the attempts on them."""
    check_all_errors(all_errors)
    if happy_eyeballs_delay is not None:
        options = replace(options or Options(), connection_attempt_delay=happy_eyeballs_delay)
    race = Connect(
        remote_host,
        remote_port,
        timeout=timeout,
        source_address=None if local_host is None else (local_host, 0),
        family=family,
        socket_options=socket_options,
        options=options,
    )
    try:
        await _wait(race)
        sock = race.take(all_errors)
    finally:
        race.close()
    try:
        return await anyio.abc.SocketStream.from_socket(sock)
    except BaseException:
        sock.close()
        raise


async def getaddrinfo(
    host: Host,
    port: Port,
    *,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
    timeout: Optional[float] = None,
) -> List[AddressInfo]:
    """anyio.getaddrinfo with a limit in seconds; cancelled at once with its scope."""
    lookup = Lookup(host, port, family=family, type=type, proto=proto, flags=flags, timeout=timeout)
    try:
        await _wait(lookup)
        return lookup.take()
    finally:
        lookup.close()


async def _wait(race: Union[Connect, Lookup]) -> None:
    # A checkpoint each time round, the last one too, as structured concurrency wants it.
    await anyio.lowlevel.checkpoint()
    while not race.dispatch():
        await anyio.wait_readable(race.fileno())
