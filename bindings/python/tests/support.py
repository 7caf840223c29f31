"""What the tests have in common. They run in scripts/in-test-network, whose names and addresses they use.

Limits on time are wide: they tell milliseconds from the seconds of a connect or lookup that hangs.
"""

import contextlib
import itertools
import os
import socket
import threading
import time
import unittest

V4, V6 = "203.0.113.1", "2001:db8:1::1"
#: Where something hangs it does so for 30 seconds and more; a busy machine may stand still for some.
AT_ONCE = 10
_names = itertools.count()


def silent_name():
    """A name that DNS keeps silent about, not asked for before."""
    return f"n{os.getpid()}x{next(_names)}.example"


@contextlib.contextmanager
def silent_dns():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.53", 53))
        yield


@contextlib.contextmanager
def listening(*addresses, port=0):
    """Listeners at the addresses, all at one port, and that port."""
    with contextlib.ExitStack() as stack:
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = stack.enter_context(socket.create_server((address, port), family=family))
            port = listener.getsockname()[1]
        yield port


@contextlib.contextmanager
def http_server(address):
    """Answers each request with the address that it came to; yields the port."""
    listener = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while b"\r\n\r\n" not in connection.recv(65536):
                    pass
                body = address.encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        # close(2) alone does not wake a thread in accept(2).
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def closed_port():
    with listening("127.0.0.1") as port:
        return port


def descriptors():
    return len(os.listdir("/proc/self/fd"))


class TestCase(unittest.TestCase):
    @contextlib.contextmanager
    def at_once(self, least=0.0, most=AT_ONCE):
        start = time.monotonic()
        yield
        taken = time.monotonic() - start
        self.assertGreaterEqual(taken, least)
        self.assertLess(taken, most)

    def assert_descriptors(self, most):
        """That no more are open, or will be in a moment: a worker may be inside libc, which opens files of its own."""
        deadline = time.monotonic() + 10
        while descriptors() > most and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertLessEqual(descriptors(), most)
