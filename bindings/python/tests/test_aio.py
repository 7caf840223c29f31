"""asyncio: over one descriptor, cancelled with the task."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

import happysock
from happysock import aio
from support import V4, TestCase, closed_port, descriptors, http_server, listening, silent_dns, silent_name


def certify(case, host):
    """A key and a certificate for a host, as files that go away with the test."""
    folder = tempfile.mkdtemp()
    case.addCleanup(shutil.rmtree, folder)
    key, certificate = os.path.join(folder, "key"), os.path.join(folder, "certificate")
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={host}"
    command = [*command.split(), "-addext", f"subjectAltName=DNS:{host}", "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return key, certificate


class Asyncio(TestCase):
    def test_streams_over_a_half_dead_name(self):
        async def fetch(port):
            reader, writer = await aio.open_connection("half.test", port, timeout=10)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

        with http_server(V4) as port, self.at_once(least=0.2, most=10):
            self.assertIn(V4.encode(), asyncio.run(fetch(port)))

    def test_tls_checks_the_name_that_was_asked_for(self):
        key, certificate = certify(self, "half.test")
        ours, theirs = ssl.create_default_context(cafile=certificate), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        theirs.load_cert_chain(certificate, key)

        async def answer(_, writer):
            writer.write(b"hello")
            writer.close()

        async def read(host, port):
            reader, writer = await aio.open_connection(host, port, ssl=ours, timeout=10)
            answer = await reader.read()
            writer.close()
            return answer

        async def both():
            server = await asyncio.start_server(answer, V4, 0, ssl=theirs)
            port = server.sockets[0].getsockname()[1]
            before = descriptors()
            self.assertEqual(await read("half.test", port), b"hello")
            with self.assertRaises(ssl.SSLCertVerificationError):
                await read(V4, port)
            # The transports close in the next turns of the loop.
            for _ in range(500):
                await asyncio.sleep(0.01)
                if descriptors() <= before:
                    break
            self.assertLessEqual(descriptors(), before)
            server.close()
            await server.wait_closed()

        asyncio.run(both())

    def test_a_protocol_of_the_callers(self):
        async def connect(port):
            transport, protocol = await aio.create_connection(asyncio.Protocol, "localhost", port)
            peer = transport.get_extra_info("peername")
            transport.close()
            return peer, protocol

        with listening("127.0.0.1") as port:
            peer, protocol = asyncio.run(connect(port))
        self.assertEqual(peer, ("127.0.0.1", port))
        self.assertIsInstance(protocol, asyncio.Protocol)

    def test_asyncios_own_words(self):
        async def connect(port):
            sock = await aio.connect("half.test", port, happy_eyeballs_delay=0.02, interleave=1, local_addr=(V4, 0))
            with sock:
                return sock.getpeername()[0], sock.getsockname()[0], sock.gettimeout()

        with listening(V4) as port:
            self.assertEqual(asyncio.run(connect(port)), (V4, V4, 0))

    def test_the_loop_runs_on_while_a_name_is_looked_up(self):
        async def both():
            task = asyncio.ensure_future(aio.getaddrinfo(silent_name(), 80, timeout=60))
            for _ in range(10):
                await asyncio.sleep(0.005)
                self.assertFalse(task.done())
            self.assertEqual(threading.active_count(), 1)
            task.cancel()
            await task

        with silent_dns(), self.at_once(), self.assertRaises(asyncio.CancelledError):
            asyncio.run(both())

    def test_cancelled_with_the_task_and_nothing_left(self):
        async def cancelled(start):
            before = descriptors()
            for _ in range(5):
                task = asyncio.ensure_future(start())
                await asyncio.sleep(0.02)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
            return before

        async def both():
            before = await cancelled(lambda: aio.open_connection("silent.test", 80))
            self.assert_descriptors(before)
            await cancelled(lambda: aio.connect(silent_name(), 80))
            await cancelled(lambda: aio.getaddrinfo(silent_name(), 80))

        with silent_dns(), self.at_once():
            asyncio.run(both())

    def test_many_at_once(self):
        async def all_of_them(port):
            pairs = await asyncio.gather(*(aio.open_connection("half.test", port) for _ in range(50)))
            for _, writer in pairs:
                writer.close()
            return len(pairs)

        with listening(V4) as port, self.at_once(most=10):
            self.assertEqual(asyncio.run(all_of_them(port)), 50)

    def test_errors_have_the_attempts(self):
        with self.assertRaises(ConnectionRefusedError) as caught:
            asyncio.run(aio.open_connection("dual.test", closed_port()))
        self.assertEqual(len(caught.exception.attempts), 2)
        with self.assertRaises(socket.gaierror):
            asyncio.run(aio.open_connection("no.such.host.test", 80))

    def test_the_answers_are_the_loops(self):
        async def both():
            ours = await aio.getaddrinfo("live.test", 80, type=socket.SOCK_STREAM)
            theirs = await asyncio.get_running_loop().getaddrinfo("live.test", 80, type=socket.SOCK_STREAM)
            return ours, theirs

        ours, theirs = asyncio.run(both())
        self.assertEqual(ours, theirs)


class Uvloop(TestCase):
    def test_uvloop(self):
        try:
            import uvloop
        except ImportError:
            raise unittest.SkipTest("uvloop is not installed")

        async def connect(port):
            _, writer = await aio.open_connection("half.test", port)
            peer = writer.get_extra_info("peername")
            writer.close()
            return peer

        with listening(V4) as port:
            loop = uvloop.new_event_loop()
            self.assertEqual(loop.run_until_complete(connect(port)), (V4, port))
            loop.close()


class Confirmed(TestCase):
    """An address takes connections and never answers."""

    def test_the_handshake_of_tls_that_is_done_first_wins(self):
        key, certificate = certify(self, "dual.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        async def answer(_, writer):
            writer.write(b"hello from 127.0.0.1")
            writer.close()

        async def run():
            server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
            port = server.sockets[0].getsockname()[1]
            with listening("::1", port=port):
                example = Path(__file__).parent.parent / "examples" / "tls.py"
                command = [sys.executable, str(example), "dual.test", str(port), certificate]
                process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
                output, _ = await asyncio.wait_for(process.communicate(), 60)
            server.close()
            return output

        self.assertEqual(asyncio.run(run()), b"hello from 127.0.0.1\n")

    def test_the_others_are_cancelled_and_nothing_is_left(self):
        cancelled, silent = [], None

        async def confirm(sock):
            host = sock.getpeername()[0]
            if host == "127.0.0.1":
                # Whichever is attempted first, the other one is held too.
                await silent.wait()
                return sock
            silent.set()
            try:
                return await asyncio.get_running_loop().sock_recv(sock, 1)
            except asyncio.CancelledError:
                cancelled.append(host)
                raise

        async def run(port):
            nonlocal silent
            silent = asyncio.Event()
            before = descriptors()
            with await aio.confirmed(confirm, "dual.test", port) as sock:
                self.assertEqual((sock.getpeername()[0], sock.gettimeout()), ("127.0.0.1", 0))
            self.assertEqual(cancelled, ["::1"])
            self.assertEqual(len(asyncio.all_tasks()), 1)
            self.assert_descriptors(before)

        with listening("127.0.0.1", "::1") as port:
            asyncio.run(run(port))

    def test_a_limit_and_a_cancel_end_it(self):
        async def confirm(sock):
            await asyncio.get_running_loop().sock_recv(sock, 1)

        async def run(port):
            before = descriptors()
            with self.assertRaises(happysock.Timeout):
                await aio.confirmed(confirm, "dual.test", port, timeout=0.1)
            task = asyncio.ensure_future(aio.confirmed(confirm, "dual.test", port))
            await asyncio.sleep(0.02)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertEqual(len(asyncio.all_tasks()), 1)
            self.assert_descriptors(before)

        with listening("127.0.0.1", "::1") as port:
            asyncio.run(run(port))

    def test_when_none_is_confirmed_the_exception_says_why(self):
        async def confirm(sock):
            raise EOFError(sock.getpeername()[0])

        with listening("127.0.0.1", "::1") as port, self.assertRaises(ConnectionAbortedError) as caught:
            asyncio.run(aio.confirmed(confirm, "dual.test", port))
        self.assertIsInstance(caught.exception.__cause__, EOFError)
        self.assertEqual([attempt.outcome for attempt in caught.exception.attempts], ["failed", "failed"])
