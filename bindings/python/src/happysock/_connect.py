"""One race: the object that every way to wait drives."""

import builtins
import errno
import os
import socket
import struct
import sys
from dataclasses import dataclass
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple, Union

from ._errors import Attempt, Error, ResolveError, SocketAddress, Timeout, system_error
from ._history import History
from ._names import Host, Port, address_bytes, address_of, address_text, host_bytes, milliseconds, port_bytes
from ._native import ffi, lib

SocketOption = Union[Tuple[int, int, Union[int, bytes]], Tuple[int, int, None, int]]

# How many attempts an exception tells at most; hosts with more addresses are rare.
_ATTEMPTS = 64


class Step(NamedTuple):
    """One step of a race, as Options.trace is told it. Fields that say nothing of the step are None."""

    #: What happened, in a few English words: "lookup started", "attempt ended", ...
    kind: str
    #: Seconds since the race began.
    time: float
    family: Optional[int]
    #: The attempt's number, from 0 in the order of start.
    attempt: Optional[int]
    address: SocketAddress
    outcome: Optional[str]
    error: Optional[OSError]
    #: The length of a timer, in seconds.
    delay: Optional[float]
    #: How many addresses an answer has.
    addresses: int


@dataclass(frozen=True)
class Options:
    """How to race, for those who want it otherwise than RFC 8305 recommends. Times are in seconds."""

    #: Limit for the lookups, from the start. Not together with a timeout.
    resolv_timeout: Optional[float] = None
    #: Limit for connecting, from the start of the last address's attempt. Not together with a timeout.
    connect_timeout: Optional[float] = None
    #: How long an IPv4 answer waits for the IPv6 answer (RFC 8305, section 3).
    resolution_delay: float = 0.05
    #: The time between two attempts (RFC 8305, section 5), held within 0.01 to 2.
    connection_attempt_delay: float = 0.25
    #: How many addresses of the first family come before the families alternate (RFC 8305, section 4).
    first_address_family_count: int = 1
    #: The family whose addresses go first: socket.AF_INET or AF_INET6; AF_UNSPEC: as the system says.
    preferred_family: int = socket.AF_UNSPEC
    #: The greatest number of attempts in flight; 0: no cap.
    max_attempts: int = 0
    #: False: one address after the other, without a race.
    fast_fallback: bool = True
    #: Without a race, each address gets an equal share of what is left of the timeout, 2 s at least.
    share_timeout: bool = False
    #: Each delay between attempts is twice the one before it, up to 2 s.
    growing_delay: bool = False
    #: A family without a network is not asked for.
    only_connected_families: bool = False
    #: The host is looked up by libc, on a thread of the library's, also where the library could do it without one.
    lookup_by_libc: bool = False
    #: Attempted instead of what a lookup finds, each as socket.getpeername() would give it: (host, port) or (host, port, flowinfo,
    #: scope_id). Sorted and raced as an answer is, and in the order given without a race.
    addresses: Optional[Sequence[SocketAddress]] = None
    #: What attempts over IPv4 are bound to, (host, port). Not together with a source address.
    local_v4: Optional[SocketAddress] = None
    #: The same for IPv6.
    local_v6: Optional[SocketAddress] = None
    #: What earlier connects have learnt, and where this one adds what it learns.
    history: Optional[History] = None
    #: On a network without IPv4, reach IPv4 addresses through its translator (NAT64): "discover" asks the network for its
    #: prefix; or prefixes with commas between, such as "64:ff9b::/96".
    nat64: Optional[str] = None
    #: Asked whether a connection is wanted, where to be connected is not all that counts: True: it wins; False or an OSError: this
    #: attempt has failed, and the race goes on; None: it is held, and the race goes on, until Connect.confirm answers for it. The
    #: socket is lent for the call, in non-blocking mode. While it runs nothing else of the race does: set a time-out on the socket.
    confirm: Optional[Callable[[socket.socket], Optional[bool]]] = None
    #: Called with the descriptor of a socket that is held and will be closed without an answer: another has won, or a limit was
    #: reached.
    release_socket: Optional[Callable[[int], object]] = None
    #: Called with each step of the race.
    trace: Optional[Callable[[Step], object]] = None


_DEFAULTS = Options()


class _Hooks:
    """What the library calls while a race runs, and the exception that one of the calls ended in."""

    def __init__(self, socket_options: Sequence[SocketOption], options: Options) -> None:
        self.socket_options = socket_options
        self.trace = options.trace
        self.confirm = options.confirm
        self.release_socket = options.release_socket
        self.exception: Optional[BaseException] = None


def _configure_socket(fd: int, address: Any, length: int, userdata: Any) -> int:
    hooks: _Hooks = ffi.from_handle(userdata)
    try:
        borrowed = socket.socket(fileno=fd)
        try:
            for option in hooks.socket_options:
                borrowed.setsockopt(*option)
        finally:
            borrowed.detach()
    except OSError as error:
        # One attempt fails; the next address may be of a family that has the option.
        return error.errno or -1
    except BaseException as exception:
        hooks.exception = exception
        return errno.ECANCELED
    return 0


def _confirm(fd: int, address: Any, length: int, userdata: Any) -> int:
    hooks: _Hooks = ffi.from_handle(userdata)
    try:
        lent = socket.socket(fileno=fd)
        try:
            assert hooks.confirm is not None
            wanted = hooks.confirm(lent)
        finally:
            lent.detach()
    except OSError:
        wanted = False
    except BaseException as exception:
        hooks.exception = exception
        wanted = False
    answer: int = lib.HAPPY_CONFIRM_LATER if wanted is None else lib.HAPPY_CONFIRM_YES if wanted else lib.HAPPY_CONFIRM_NO
    return answer


def _release_socket(fd: int, userdata: Any) -> None:
    hooks: _Hooks = ffi.from_handle(userdata)
    try:
        if hooks.release_socket is not None:
            hooks.release_socket(fd)
    except BaseException as exception:
        hooks.exception = exception


def _trace(event: Any, userdata: Any) -> None:
    hooks: _Hooks = ffi.from_handle(userdata)
    try:
        error: Optional[OSError] = None
        if event.gai_error:
            error = ResolveError(event.gai_error, text_of(lib.gai_strerror(event.gai_error)))
        elif event.sys_errno:
            error = system_error(event.sys_errno, os.strerror(event.sys_errno))
        step = Step(
            kind=text_of(lib.happy_trace_kind_str(event.kind)),
            time=event.time_ns / 1e9,
            family=event.family if event.family >= 0 else None,
            attempt=event.attempt if event.attempt >= 0 else None,
            address=address_of(ffi, event.address, event.address_length),
            outcome=text_of(lib.happy_outcome_str(event.outcome)) if event.outcome >= 0 else None,
            error=error,
            delay=event.delay_ms / 1e3 if event.delay_ms >= 0 else None,
            addresses=event.count,
        )
        assert hooks.trace is not None
        hooks.trace(step)
    except BaseException as exception:
        hooks.exception = exception


ffi.def_extern("confirm")(_confirm)
ffi.def_extern("release_socket")(_release_socket)
ffi.def_extern("configure_socket")(_configure_socket)
ffi.def_extern("trace")(_trace)


class Connect:
    """One connect under way, for a loop that waits for descriptors.

    Watch fileno() for reading and call dispatch() whenever it is readable, until that answers True; then take() gives the
    socket or raises. Timers are in the descriptor: nothing else has to be waited for. close() ends it at any time, at once.
    One thread at a time.
    """

    _connect: Any = ffi.NULL

    def __init__(
        self,
        host: Host,
        port: Port,
        *,
        timeout: Optional[float] = None,
        source_address: Optional[Tuple[Host, Port]] = None,
        family: int = socket.AF_UNSPEC,
        socket_options: Optional[Sequence[SocketOption]] = None,
        options: Optional[Options] = None,
    ) -> None:
        chosen = options or _DEFAULTS
        native = ffi.new("happy_options *")
        lib.options_init(native)
        native.open_timeout_ms = milliseconds("timeout", timeout)
        native.resolv_timeout_ms = milliseconds("resolv_timeout", chosen.resolv_timeout)
        native.connect_timeout_ms = milliseconds("connect_timeout", chosen.connect_timeout)
        native.resolution_delay_ms = milliseconds("resolution_delay", chosen.resolution_delay)
        native.connection_attempt_delay_ms = milliseconds("connection_attempt_delay", chosen.connection_attempt_delay)
        native.first_address_family_count = chosen.first_address_family_count
        native.preferred_family = chosen.preferred_family
        native.max_attempts = chosen.max_attempts
        native.family = family
        if not chosen.fast_fallback:
            native.flags |= lib.HAPPY_FLAG_NO_FAST_FALLBACK
        if chosen.share_timeout:
            native.flags |= lib.HAPPY_FLAG_SHARE_TIMEOUT
        if chosen.growing_delay:
            native.flags |= lib.HAPPY_FLAG_GROWING_DELAY
        if chosen.only_connected_families:
            native.flags |= lib.HAPPY_FLAG_ONLY_CONNECTED_FAMILIES
        if chosen.lookup_by_libc:
            native.flags |= lib.HAPPY_FLAG_LOOKUP_BY_LIBC
        if chosen.history is not None:
            # The library takes a reference of its own.
            native.history = chosen.history._history
        kept: List[Any] = []

        def text(value: Optional[bytes]) -> Any:
            if value is None:
                return ffi.NULL
            kept.append(ffi.new("char[]", value))
            return kept[-1]

        if chosen.nat64 is not None:
            if "\0" in chosen.nat64:
                raise ValueError("nat64: embedded null character")
            native.nat64 = text(chosen.nat64.encode("utf-8"))
        if chosen.addresses is not None:
            native.addresses = _address_list(chosen.addresses, kept)
        for name, own_family, kind in (("local_v4", socket.AF_INET, "in"), ("local_v6", socket.AF_INET6, "in6")):
            local = getattr(chosen, name)
            if local is not None:
                data = address_bytes(name, local)
                if data[:2] != struct.pack("=H", own_family):
                    raise ValueError(f"{name}: an address of the other family: {local!r}")
                kept.append(ffi.from_buffer(data))
                setattr(native, name, ffi.cast(f"struct sockaddr_{kind} *", kept[-1]))
        if source_address is not None:
            local_host, local_port = source_address
            # As bind(2) of the socket module takes it: '' is every address.
            native.local_host = text(host_bytes(local_host) or None)
            native.local_service = text(port_bytes(local_port))
        self._hooks = _Hooks(list(socket_options or ()), chosen)
        self._handle = ffi.new_handle(self._hooks)
        native.userdata = self._handle
        if self._hooks.socket_options:
            native.configure_socket = lib.configure_socket
        if chosen.confirm is not None:
            native.confirm, native.release_socket = lib.confirm, lib.release_socket
            # The mode is the connection's, and may be shared with a duplicate that `confirm` has made.
            native.flags |= lib.HAPPY_FLAG_NONBLOCKING
        if chosen.trace is not None:
            native.trace = lib.trace
        connect = ffi.new("happy_connect **")
        result = ffi.new("happy_result *")
        lib.result_init(result)
        status = lib.happy_connect_new(text(host_bytes(host)), text(port_bytes(port)), native, connect, result)
        if status != lib.HAPPY_OK:
            raise _exception(result, ())
        self._connect = connect[0]

    def __del__(self) -> None:
        # What is called on the way out needs the handle, so that this is not left to a collector that takes both in any order.
        self.close()

    def fileno(self) -> int:
        """The descriptor, which is the connect's own: it is watched, and neither read nor closed."""
        fd: int = lib.happy_connect_get_fd(self._open())
        if fd < 0:
            raise system_error(ffi.errno, os.strerror(ffi.errno))
        return fd

    def dispatch(self) -> bool:
        """Does what is due, without waiting. True once it is finished."""
        status: int = lib.happy_connect_dispatch(self._open())
        self._raise()
        return is_finished(status)

    def confirm(self, fd: int, wanted: bool) -> bool:
        """Answers for the socket with this descriptor, for which Options.confirm has answered None; then dispatch as ever.

        Wanted, it wins; else it is closed. False: it is not held any more, and nothing has changed.
        """
        answer = lib.HAPPY_CONFIRM_YES if wanted else lib.HAPPY_CONFIRM_NO
        status: int = lib.happy_connect_confirm(self._open(), fd, answer)
        self._raise()
        if status == lib.HAPPY_ENOENT:
            return False
        return is_finished(status)

    def take(self, all_errors: bool = False) -> socket.socket:
        """The connected socket, in blocking mode (with Options.confirm in non-blocking mode); or an exception, with `all_errors` a group of every attempt's.

        It is closed then. BlockingIOError: it is not finished, and goes on.
        """
        connect = self._open()
        room = ffi.new("happy_attempt[]", _ATTEMPTS)
        result = ffi.new("happy_result *")
        lib.result_init(result)
        result.attempts = room
        result.attempts_capacity = _ATTEMPTS
        fd: int = lib.happy_connect_take_result(connect, result)
        if result.status == lib.HAPPY_EAGAIN:
            raise BlockingIOError(errno.EAGAIN, "the connect is not finished")
        self.close()
        if fd >= 0:
            return socket.socket(fileno=fd)
        attempts = tuple(_attempt(room[index]) for index in range(min(result.attempts_count, _ATTEMPTS)))
        error = _exception(result, attempts)
        errors = [attempt.error for attempt in attempts if attempt.error is not None]
        if all_errors and errors:
            raise _group()("create_connection failed", errors) from error
        raise error

    def close(self) -> None:
        """Ends it, and closes what is left of it. Never waits."""
        connect, self._connect = self._connect, ffi.NULL
        if connect:
            lib.happy_connect_free(connect)

    def _raise(self) -> None:
        exception, self._hooks.exception = self._hooks.exception, None
        if exception is not None:
            self.close()
            raise exception

    def _open(self) -> Any:
        if not self._connect:
            raise ValueError("the connect is closed")
        return self._connect


def _address_list(addresses: Sequence[SocketAddress], kept: List[Any]) -> Any:
    """Addresses as a list of C, which lives as long as what is put into `kept`."""
    if isinstance(addresses, (str, bytes)) or not addresses:
        raise ValueError("addresses: at least one (host, port)")
    nodes = ffi.new("struct addrinfo[]", len(addresses))
    kept.append(nodes)
    for index, address in enumerate(addresses):
        data = address_bytes("addresses", address)
        kept.append(ffi.from_buffer(data))
        nodes[index].ai_addr, nodes[index].ai_addrlen = ffi.cast("struct sockaddr *", kept[-1]), len(data)
        nodes[index].ai_family = int.from_bytes(data[:2], sys.byteorder)
        if index > 0:
            nodes[index - 1].ai_next = nodes + index
    return nodes


def check_all_errors(all_errors: bool) -> None:
    """Refused before anything is done, where Python has no groups of exceptions."""
    if all_errors:
        _group()


def _group() -> Any:
    group = getattr(builtins, "ExceptionGroup", None)
    if group is None:
        raise ValueError("all_errors needs Python 3.11 or newer, which has ExceptionGroup")
    return group


def text_of(pointer: Any) -> str:
    data: bytes = ffi.string(pointer)
    return data.decode("utf-8", "replace")


def _attempt(attempt: Any) -> Attempt:
    address = address_of(ffi, ffi.addressof(attempt, "address"), attempt.address_length)
    error: Optional[OSError] = None
    if attempt.outcome in (lib.HAPPY_OUTCOME_FAILED, lib.HAPPY_OUTCOME_TIMED_OUT):
        call = text_of(attempt.syscall) if attempt.syscall else "connect(2)"
        error = system_error(attempt.sys_errno, f"{call} to {address_text(address)}: {os.strerror(attempt.sys_errno)}")
    return Attempt(
        address=address,
        family=attempt.family,
        outcome=text_of(lib.happy_outcome_str(attempt.outcome)),
        error=error,
        started=attempt.started_ns / 1e9,
        ended=attempt.ended_ns / 1e9,
    )


def _message(result: Any) -> str:
    buffer = ffi.new("char[]", 512)
    lib.happy_result_message(result, buffer, 512)
    return text_of(buffer)


def _exception(result: Any, attempts: Tuple[Attempt, ...]) -> Exception:
    error: Error
    if result.status == lib.HAPPY_ENOMEM:
        return MemoryError()
    if result.status == lib.HAPPY_EINVALID and not result.gai_error:
        return ValueError(_message(result))
    if result.gai_error:
        error = gai_error(result.gai_error, result.sys_errno)
    elif result.status == lib.HAPPY_ETIMEOUT:
        error = Timeout(result.sys_errno, _message(result))
    elif result.status == lib.HAPPY_ESYSCALL:
        error = system_error(result.sys_errno, _message(result))
    else:
        return RuntimeError(_message(result))
    error.attempts = attempts
    error.source = text_of(result.source) if result.source else None
    return error


def gai_error(code: int, sys_errno: int) -> Error:
    """The exception for an EAI_* code, with the errno behind EAI_SYSTEM: as the socket module raises it."""
    if code == socket.EAI_SYSTEM:
        return system_error(sys_errno, os.strerror(sys_errno))
    return ResolveError(code, text_of(lib.gai_strerror(code)))


def is_finished(status: int) -> bool:
    """What a dispatch answered; an exception for what it should not have."""
    if status == lib.HAPPY_EFORKED:
        raise system_error(errno.ESTALE, "made before a fork")
    if status not in (lib.HAPPY_OK, lib.HAPPY_EAGAIN):
        raise RuntimeError(text_of(lib.happy_status_str(status)))
    return bool(status == lib.HAPPY_OK)
