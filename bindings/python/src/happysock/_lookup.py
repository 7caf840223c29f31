"""One lookup: the object that every way to wait drives."""

import errno
import os
import socket
from enum import IntEnum
from typing import Any, List, Optional, Tuple, Type, TypeVar

from ._connect import gai_error, is_finished, text_of
from ._errors import SocketAddress, Timeout, system_error
from ._names import Host, Port, address_of, host_bytes, milliseconds, port_bytes
from ._native import ffi, lib

AddressInfo = Tuple[socket.AddressFamily, socket.SocketKind, int, str, SocketAddress]
_Enum = TypeVar("_Enum", bound=IntEnum)


class Lookup:
    """One lookup under way, driven as a Connect is: fileno(), dispatch(), take(), close()."""

    def __init__(
        self,
        host: Host,
        port: Port,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
        timeout: Optional[float] = None,
    ) -> None:
        hints = ffi.new("struct addrinfo *")
        hints.ai_family, hints.ai_socktype, hints.ai_protocol, hints.ai_flags = family, type, proto, flags
        node, service = (ffi.NULL if text is None else ffi.new("char[]", text) for text in (host_bytes(host), port_bytes(port)))
        lookup = ffi.new("happy_lookup **")
        if lib.happy_lookup_new(node, service, hints, milliseconds("timeout", timeout), lookup) != lib.HAPPY_OK:
            raise MemoryError()
        self._lookup = ffi.gc(lookup[0], lib.happy_lookup_unref)
        if lib.happy_lookup_start(self._lookup) != lib.HAPPY_OK:
            code = ffi.errno
            self.close()
            raise system_error(code, "getaddrinfo: " + os.strerror(code))

    def fileno(self) -> int:
        """The descriptor, which is the lookup's own: it is watched, and neither read nor closed."""
        fd: int = lib.happy_lookup_get_fd(self._open())
        if fd < 0:
            raise system_error(ffi.errno, os.strerror(ffi.errno))
        return fd

    def dispatch(self) -> bool:
        """Does what is due, without waiting. True once it is finished."""
        status: int = lib.happy_lookup_dispatch(self._open())
        return is_finished(status)

    def take(self) -> List[AddressInfo]:
        """The answer, as socket.getaddrinfo gives it, or an exception.

        It is closed then. BlockingIOError: it is not finished, and goes on.
        """
        answer = ffi.new("struct addrinfo **")
        code: int = lib.happy_lookup_take_result(self._open(), answer)
        sys_errno: int = ffi.errno
        if code == lib.HAPPY_EAGAIN:
            raise BlockingIOError(errno.EAGAIN, "the lookup is not finished")
        self.close()
        if code == socket.EAI_SYSTEM and sys_errno == errno.ETIMEDOUT:
            raise Timeout(errno.ETIMEDOUT, "the timeout of the lookup was reached")
        if code != 0:
            raise gai_error(code, sys_errno)
        try:
            found: List[AddressInfo] = []
            info = answer[0]
            while info:
                family, kind = _member(socket.AddressFamily, info.ai_family), _member(socket.SocketKind, info.ai_socktype)
                name = text_of(info.ai_canonname) if info.ai_canonname else ""
                found.append((family, kind, info.ai_protocol, name, address_of(ffi, info.ai_addr, info.ai_addrlen)))
                info = info.ai_next
            return found
        finally:
            lib.freeaddrinfo(answer[0])

    def close(self) -> None:
        """Abandons it. Never waits."""
        lookup, self._lookup = self._lookup, ffi.NULL
        if lookup:
            ffi.release(lookup)

    def _open(self) -> Any:
        if not self._lookup:
            raise ValueError("the lookup is closed")
        return self._lookup


def _member(kind: Type[_Enum], value: int) -> _Enum:
    try:
        return kind(value)
    except ValueError:
        # A number that Python has no name for stays one, as in the socket module.
        return value  # type: ignore[return-value]
