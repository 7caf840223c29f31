"""asyncio: connects and lookups over one descriptor, cancelled with their task, without a thread of Python's."""

import asyncio
import socket
from dataclasses import replace
from typing import Any, Callable, Coroutine, Dict, List, Optional, Sequence, Tuple, TypeVar, Union

from ._connect import Connect, Options, SocketOption, check_all_errors
from ._lookup import AddressInfo, Lookup
from ._names import Host, Port

__all__ = ["confirmed", "connect", "create_connection", "getaddrinfo", "open_connection"]

_T = TypeVar("_T")
_Protocol = TypeVar("_Protocol", bound=asyncio.BaseProtocol)


async def connect(
    host: Host,
    port: Port,
    *,
    timeout: Optional[float] = None,
    local_addr: Optional[Tuple[Host, Port]] = None,
    family: int = socket.AF_UNSPEC,
    socket_options: Optional[Sequence[SocketOption]] = None,
    happy_eyeballs_delay: Optional[float] = None,
    interleave: Optional[int] = None,
    all_errors: bool = False,
    options: Optional[Options] = None,
) -> socket.socket:
    """A connected socket in non-blocking mode, for loop.sock_sendall and the like.

    Arguments as for happysock.create_connection; ``local_addr``, ``happy_eyeballs_delay`` and ``interleave`` are asyncio's words
    for the source address, the connection attempt delay and the first address family count.
    """
    check_all_errors(all_errors)
    if happy_eyeballs_delay is not None:
        options = replace(options or Options(), connection_attempt_delay=happy_eyeballs_delay)
    if interleave is not None:
        options = replace(options or Options(), first_address_family_count=interleave)
    race = Connect(
        host,
        port,
        timeout=timeout,
        source_address=local_addr,
        family=family,
        socket_options=socket_options,
        options=options,
    )
    try:
        await _wait(race)
        sock = race.take(all_errors)
    finally:
        race.close()
    sock.setblocking(False)
    return sock


async def confirmed(
    confirm: Callable[[socket.socket], Coroutine[Any, Any, _T]],
    host: Host,
    port: Port,
    *,
    timeout: Optional[float] = None,
    local_addr: Optional[Tuple[Host, Port]] = None,
    family: int = socket.AF_UNSPEC,
    socket_options: Optional[Sequence[SocketOption]] = None,
    options: Optional[Options] = None,
) -> _T:
    """What ``confirm`` makes of the connection that wins, where to be connected is not all that counts.

    Called with each socket that has connected, in a task, while the race goes on: a handshake of TLS, say, which several
    addresses make at the same time. The first that returns wins. One that raises has failed, and its exception is the cause of
    the one that is raised when all have; the others are cancelled. The socket is ``confirm``'s, in non-blocking mode; it is closed
    when that raises.
    """
    loop, due = asyncio.get_running_loop(), asyncio.Event()
    held: Dict[int, "asyncio.Task[_T]"] = {}
    lost: List["asyncio.Task[_T]"] = []
    winner: List["asyncio.Task[_T]"] = []
    causes: List[BaseException] = []

    async def run(sock: socket.socket) -> _T:
        try:
            return await confirm(sock)
        except BaseException:
            sock.close()
            raise

    def begin(sock: socket.socket) -> None:
        # A socket of its own: the race closes its own when the connect ends, whatever still holds this one.
        fd, own = sock.fileno(), sock.dup()
        own.setblocking(False)
        task = held[fd] = loop.create_task(run(own))
        task.add_done_callback(lambda task: end(fd, own, task))

    def end(fd: int, own: socket.socket, task: "asyncio.Task[_T]") -> None:
        if task.cancelled():
            # It may have been cancelled before it began.
            own.close()
        if held.get(fd) is not task:
            return
        del held[fd]
        cause = asyncio.CancelledError() if task.cancelled() else task.exception()
        if cause is None:
            winner.append(task)
        else:
            causes.append(cause)
        race.confirm(fd, cause is None)
        due.set()

    def release(fd: int) -> None:
        task = held.pop(fd)
        task.cancel()
        lost.append(task)

    race = Connect(
        host,
        port,
        timeout=timeout,
        source_address=local_addr,
        family=family,
        socket_options=socket_options,
        options=replace(options or Options(), confirm=begin, release_socket=release),
    )
    sock: Optional[socket.socket] = None
    try:
        await _wait(race, due)
        sock = race.take()
    except OSError as error:
        raise error from (causes[-1] if causes else None)
    finally:
        race.close()
        try:
            # Nothing of the others runs on when this returns.
            await asyncio.gather(*lost, return_exceptions=True)
        except BaseException:
            if sock is not None:
                # What the winner has made of its connection finds that ended.
                sock.shutdown(socket.SHUT_RDWR)
            raise
        finally:
            if sock is not None:
                sock.close()
    return winner[0].result()


async def create_connection(
    protocol_factory: Callable[[], _Protocol],
    host: Host,
    port: Port,
    *,
    ssl: Any = None,
    server_hostname: Optional[str] = None,
    ssl_handshake_timeout: Optional[float] = None,
    timeout: Optional[float] = None,
    local_addr: Optional[Tuple[Host, Port]] = None,
    family: int = socket.AF_UNSPEC,
    socket_options: Optional[Sequence[SocketOption]] = None,
    happy_eyeballs_delay: Optional[float] = None,
    interleave: Optional[int] = None,
    all_errors: bool = False,
    options: Optional[Options] = None,
) -> Tuple[asyncio.Transport, _Protocol]:
    """loop.create_connection of the running loop. ``timeout`` limits the connect, not the handshake of TLS."""
    sock = await connect(
        host,
        port,
        timeout=timeout,
        local_addr=local_addr,
        family=family,
        socket_options=socket_options,
        happy_eyeballs_delay=happy_eyeballs_delay,
        interleave=interleave,
        all_errors=all_errors,
        options=options,
    )
    more: Any = {}
    if ssl:
        more = {"ssl": ssl, "ssl_handshake_timeout": ssl_handshake_timeout}
        more["server_hostname"] = server_hostname if server_hostname is not None else _name(host)
    elif server_hostname is not None:
        more = {"server_hostname": server_hostname}
    try:
        transport, protocol = await asyncio.get_running_loop().create_connection(protocol_factory, sock=sock, **more)
    except BaseException:
        sock.close()
        raise
    return transport, protocol


async def open_connection(
    host: Host, port: Port, *, limit: int = 2**16, **arguments: Any
) -> Tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """asyncio.open_connection. ``limit`` is that of the reader's buffer; the rest is as for create_connection."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await create_connection(lambda: protocol, host, port, **arguments)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


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
    """loop.getaddrinfo with a limit in seconds; cancelled at once with its task."""
    lookup = Lookup(host, port, family=family, type=type, proto=proto, flags=flags, timeout=timeout)
    try:
        await _wait(lookup)
        return lookup.take()
    finally:
        lookup.close()


def _name(host: Host) -> str:
    return host.decode("ascii") if isinstance(host, (bytes, bytearray)) else host or "localhost"


async def _wait(race: Union[Connect, Lookup], due: Optional[asyncio.Event] = None) -> None:
    if race.dispatch():
        return
    loop = asyncio.get_running_loop()
    fd = race.fileno()
    due = due or asyncio.Event()
    # Level-triggered: it is set for as long as there is something to do.
    loop.add_reader(fd, due.set)
    try:
        while not race.dispatch():
            due.clear()
            await due.wait()
    finally:
        loop.remove_reader(fd)
