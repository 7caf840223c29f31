"""trio and anyio, and gevent: what waits in their way for the one descriptor."""

import subprocess
import sys
import unittest

from support import V4, TestCase, closed_port, descriptors, http_server, listening, silent_dns, silent_name

# Only what is not ours may be missing.
try:
    import trio
except ImportError:
    trio = None
else:
    import happysock.trio
try:
    import anyio.abc

    why_no_anyio = "" if hasattr(anyio.abc.SocketStream, "from_socket") else "this anyio has no SocketStream.from_socket"
except ImportError:
    why_no_anyio = "anyio is not installed"
if not why_no_anyio:
    import happysock.anyio
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


@unittest.skipIf(trio is None, "trio is not installed")
class Trio(TestCase):
    def test_a_stream_over_a_half_dead_name(self):
        async def fetch(port):
            async with await happysock.trio.open_tcp_stream("half.test", port) as stream:
                await stream.send_all(REQUEST)
                return b"".join([part async for part in stream])

        with http_server(V4) as port, self.at_once(least=0.2, most=10):
            self.assertIn(V4.encode(), trio.run(fetch, port))

    def test_cancelled_with_the_scope(self):
        async def cancelled():
            before = descriptors()
            with trio.move_on_after(0.05) as scope:
                await happysock.trio.open_tcp_stream("silent.test", 80)
            self.assertTrue(scope.cancelled_caught)
            self.assert_descriptors(before)
            with trio.move_on_after(0.05) as scope:
                await happysock.trio.getaddrinfo(silent_name(), 80)
            self.assertTrue(scope.cancelled_caught)

        with silent_dns(), self.at_once():
            trio.run(cancelled)

    def test_errors_have_the_attempts(self):
        async def refused():
            await happysock.trio.open_tcp_stream("dual.test", closed_port())

        with self.assertRaises(ConnectionRefusedError) as caught:
            trio.run(refused)
        self.assertEqual(len(caught.exception.attempts), 2)


@unittest.skipIf(why_no_anyio, why_no_anyio)
class Anyio(TestCase):
    def test_a_stream_over_a_half_dead_name(self):
        async def fetch(port):
            async with await happysock.anyio.connect_tcp("half.test", port) as stream:
                await stream.send(REQUEST)
                return b"".join([part async for part in stream])

        for backend in ["asyncio"] + (["trio"] if trio else []):
            with self.subTest(backend), http_server(V4) as port, self.at_once(least=0.2, most=10):
                self.assertIn(V4.encode(), anyio.run(fetch, port, backend=backend))

    def test_cancelled_with_the_scope(self):
        async def cancelled():
            with anyio.move_on_after(0.05) as scope:
                await happysock.anyio.connect_tcp("silent.test", 80)
            self.assertTrue(scope.cancelled_caught)
            with anyio.move_on_after(0.05) as scope:
                await happysock.anyio.getaddrinfo(silent_name(), 80)
            self.assertTrue(scope.cancelled_caught)

        with silent_dns(), self.at_once():
            anyio.run(cancelled)


GEVENT = """
import gevent.monkey; gevent.monkey.patch_all()
import gevent, happysock, sys
ticks = []
def count():
    while True:
        ticks.append(True); gevent.sleep(0.01)
counter = gevent.spawn(count)
options = happysock.Options(connection_attempt_delay=2)
sock = happysock.create_connection(("half.test", int(sys.argv[1])), options=options)
print(sock.getpeername()[0], len(ticks) > 5)
"""


class Gevent(TestCase):
    def test_other_greenlets_run_meanwhile(self):
        try:
            import gevent  # noqa: F401
        except ImportError:
            raise unittest.SkipTest("gevent is not installed")
        with listening(V4) as port:
            output = subprocess.run([sys.executable, "-c", GEVENT, str(port)], stdout=subprocess.PIPE, timeout=60, check=True)
        self.assertEqual(output.stdout.decode().split(), [V4, "True"])
