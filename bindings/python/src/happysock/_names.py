"""Arguments as the library takes them, checked as Python's socket module checks them; and socket addresses."""

import math
import socket
import struct
from typing import Any, Optional, Union

from ._errors import SocketAddress

Host = Union[str, bytes, None]
Port = Union[int, str, bytes, None]

#: The longest limit there is: 24 days. What is longer is taken for it.
_LONGEST = 2**31 - 1


def host_bytes(host: Host) -> Optional[bytes]:
    """A host as getaddrinfo(3) takes it. Names in other scripts are encoded by IDNA, as the socket module does."""
    if host is None:
        return None
    if isinstance(host, str):
        # What is ASCII goes as it is: the codec would refuse labels that are for the lookup to refuse.
        host = host.encode("ascii") if host.isascii() else host.encode("idna")
    elif not isinstance(host, (bytes, bytearray)):
        raise TypeError(f"host must be str, bytes or None, not {type(host).__name__}")
    if b"\0" in host:
        raise ValueError("host: embedded null character")
    return bytes(host)


def port_bytes(port: Port) -> Optional[bytes]:
    """A port or the name of a service as getaddrinfo(3) takes it."""
    if port is None:
        return None
    if isinstance(port, int):
        return b"%d" % port
    if isinstance(port, str):
        port = port.encode("utf-8")
    elif not isinstance(port, (bytes, bytearray)):
        raise TypeError(f"port must be int, str, bytes or None, not {type(port).__name__}")
    if b"\0" in port:
        raise ValueError("port: embedded null character")
    return bytes(port)


def milliseconds(name: str, seconds: Optional[float]) -> int:
    """Seconds as milliseconds, rounded up; None is no limit, -1."""
    if seconds is None:
        return -1
    if isinstance(seconds, (str, bytes, bytearray)):
        raise TypeError(f"{name} must be a number or None, not {type(seconds).__name__}")
    seconds = float(seconds)
    if math.isnan(seconds):
        raise ValueError(f"{name}: invalid value NaN")
    if seconds < 0:
        raise ValueError(f"{name} is negative")
    # Half a microsecond less, so that 0.05 is 50 and not, by the last bit of a float, 51.
    return min(math.ceil(min(seconds, _LONGEST) * 1000 - 0.0005), _LONGEST)


def address_of(ffi: Any, pointer: Any, length: int) -> SocketAddress:
    """A struct sockaddr as the socket module writes it; () for none."""
    if not pointer or length < 2:
        return ()
    data = bytes(ffi.buffer(ffi.cast("char *", pointer), length))
    (family,) = struct.unpack_from("=H", data)
    if family == socket.AF_INET:
        (port,) = struct.unpack_from("!H", data, 2)
        return (socket.inet_ntop(family, data[4:8]), port)
    if family == socket.AF_INET6:
        port, flow = struct.unpack_from("!HI", data, 2)
        (scope,) = struct.unpack_from("=I", data, 24)
        return (socket.inet_ntop(family, data[8:24]), port, flow & 0xFFFFF, scope)
    return (family, data[2:])


def address_bytes(name: str, address: Any) -> bytes:
    """What address_of reads: a struct sockaddr of an address as the socket module writes it."""
    if not isinstance(address, tuple) or len(address) not in (2, 4) or not isinstance(address[0], str):
        raise TypeError(f"{name}: an address is a tuple (host, port) or (host, port, flowinfo, scope_id), not {address!r}")
    if not all(isinstance(number, int) for number in address[1:]):
        raise TypeError(f"{name}: a port is an int, and so is what comes after it: {address!r}")
    if not 0 <= address[1] <= 65535:
        raise ValueError(f"{name}: the port is not within 0 to 65535: {address!r}")
    try:
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        info: Any = socket.getaddrinfo(address[0], address[1], type=socket.SOCK_STREAM, flags=numeric)[0]
    except (socket.gaierror, UnicodeError):
        raise ValueError(f"{name}: no IP address: {address[0]!r}") from None
    family, found = info[0], info[4]
    if family == socket.AF_INET:
        return struct.pack("=H", family) + struct.pack("!H4s8x", found[1], socket.inet_pton(family, found[0]))
    # A zone may be in the text, as in fe80::1%eth0, or a number of its own.
    flow, scope = address[2:] if len(address) == 4 else (0, found[3])
    ip = socket.inet_pton(family, found[0].partition("%")[0])
    return struct.pack("=H", family) + struct.pack("!HI16s", found[1], flow, ip) + struct.pack("=I", scope)


def address_text(address: SocketAddress) -> str:
    """A socket address as a person writes it: 192.0.2.7:80, [2001:db8::7]:80."""
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
