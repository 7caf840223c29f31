"""getaddrinfo: the socket module's, with a limit that holds."""

import signal
import socket

import happysock
from support import TestCase, descriptors, silent_dns, silent_name


class Lookups(TestCase):
    def test_the_answers_are_the_socket_modules(self):
        for arguments in (
            ("dual.test", 80),
            ("dual.test", "80", socket.AF_INET6, socket.SOCK_STREAM),
            (None, 80, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE),
            ("live.test", None, socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP, socket.AI_CANONNAME),
            ("::1", 443),
            ("fe80::1%lo", 443),
            (b"127.1", b"8080"),
        ):
            with self.subTest(arguments):
                self.assertEqual(happysock.getaddrinfo(*arguments), socket.getaddrinfo(*arguments))

    def test_so_are_the_errors(self):
        for arguments in (("no.such.host.test", 80), ("dual.test", "no-such-service"), ("dual.test", 80, 0, 77)):
            with self.subTest(arguments):
                with self.assertRaises(socket.gaierror) as ours:
                    happysock.getaddrinfo(*arguments)
                with self.assertRaises(socket.gaierror) as theirs:
                    socket.getaddrinfo(*arguments)
                self.assertEqual(ours.exception.args, theirs.exception.args)

    def test_a_limit(self):
        with silent_dns(), self.at_once(least=0.2, most=10), self.assertRaises(TimeoutError):
            happysock.getaddrinfo(silent_name(), 80, timeout=0.2)

    def test_bad_arguments(self):
        for exception, arguments, more in (
            (TypeError, (80, 80), {}),
            (TypeError, ("localhost", 80.5), {}),
            (ValueError, ("localhost", 80), {"timeout": -1}),
            (ValueError, ("local\0host", 80), {}),
            (OverflowError, ("localhost", 80, 2**40), {}),
        ):
            with self.subTest(arguments), self.assertRaises(exception):
                happysock.getaddrinfo(*arguments, **more)

    def test_a_signal_ends_it_and_leaves_nothing(self):
        with silent_dns():
            before = descriptors()
            self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, signal.default_int_handler))
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with self.at_once(), self.assertRaises(KeyboardInterrupt):
                happysock.getaddrinfo(silent_name(), 80)
            self.assert_descriptors(before)
