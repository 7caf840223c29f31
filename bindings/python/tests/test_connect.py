"""create_connection: as socket.create_connection, but that a dead address holds it up for a quarter of a second at most."""

import errno
import math
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import happysock
from support import V4, V6, TestCase, closed_port, descriptors, listening, silent_dns, silent_name


class Connects(TestCase):
    def test_a_name_becomes_a_socket_that_carries_bytes(self):
        with listening("127.0.0.1", "::1") as port, happysock.create_connection(("localhost", port)) as sock:
            self.assertEqual(sock.getpeername()[:2], ("::1", port))
            self.assertEqual((sock.family, sock.type), (socket.AF_INET6, socket.SOCK_STREAM))
            self.assertIsNone(sock.gettimeout())
            self.assertFalse(os.get_inheritable(sock.fileno()))

    def test_a_half_dead_name_costs_a_quarter_of_a_second(self):
        steps = []
        with listening(V4) as port, self.at_once(least=0.2, most=10):
            options = happysock.Options(trace=steps.append)
            with happysock.create_connection(("half.test", port), timeout=10, options=options) as sock:
                self.assertEqual(sock.getpeername(), (V4, port))
                self.assertEqual(sock.gettimeout(), 10)
        started = [step.address[0] for step in steps if step.kind == "attempt started"]
        self.assertEqual(started, ["2001:db8::77", V4])
        ended = {step.address[0]: step.outcome for step in steps if step.kind == "attempt ended"}
        self.assertEqual(ended, {"2001:db8::77": "abandoned", V4: "connected"})

    def test_it_takes_what_socket_create_connection_takes(self):
        with listening("127.0.0.1") as port:
            for host in ("127.0.0.1", b"127.0.0.1", None, "localhost", "four.test"):
                for service in (port, str(port), str(port).encode()):
                    with happysock.create_connection((host, service), 5.0, ("", 0)) as sock:
                        self.assertEqual(sock.getpeername(), ("127.0.0.1", port))

    def test_the_default_timeout_is_the_socket_modules(self):
        socket.setdefaulttimeout(7)
        self.addCleanup(socket.setdefaulttimeout, None)
        with listening("127.0.0.1") as port:
            for arguments in ({}, {"timeout": socket._GLOBAL_DEFAULT_TIMEOUT}):
                with happysock.create_connection(("127.0.0.1", port), **arguments) as sock:
                    self.assertEqual(sock.gettimeout(), 7)
            with happysock.create_connection(("127.0.0.1", port), timeout=None) as sock:
                self.assertIsNone(sock.gettimeout())

    def test_a_source_address_is_bound_to_and_leaves_the_other_family_out(self):
        with listening(V4, V6) as port:
            for source in (V4, V6):
                with happysock.create_connection(("live.test", port), source_address=(source, 0)) as sock:
                    self.assertEqual(sock.getsockname()[0], source)
            with self.assertRaises(OSError) as caught:
                happysock.create_connection(("live.test", port), source_address=("198.51.100.9", 0))
            self.assertEqual(caught.exception.errno, errno.EADDRNOTAVAIL)

    def test_a_family_can_be_chosen(self):
        with listening(V4, V6) as port:
            for family, host in ((socket.AF_INET, V4), (socket.AF_INET6, V6)):
                with happysock.create_connection(("live.test", port), family=family) as sock:
                    self.assertEqual(sock.getpeername()[0], host)
            options = happysock.Options(preferred_family=socket.AF_INET)
            with happysock.create_connection(("live.test", port), options=options) as sock:
                self.assertEqual(sock.getpeername()[0], V4)

    def test_known_addresses_are_attempted_instead_of_a_lookup(self):
        with listening(V4) as port:
            # The delay is long: what comes first is refused, and so the next one has its turn at once.
            options = happysock.Options(addresses=[(V6, port), (V4, port)], connection_attempt_delay=2)
            with happysock.create_connection(("no.such.host.test", 1), options=options) as sock:
                self.assertEqual(sock.getpeername(), (V4, port))
        with self.assertRaises(ConnectionRefusedError) as caught:
            options = happysock.Options(addresses=[("127.0.0.1", 1), ("::1", 2, 3, 0)], fast_fallback=False)
            happysock.create_connection((None, None), options=options)
        self.assertEqual([attempt.address for attempt in caught.exception.attempts], [("127.0.0.1", 1), ("::1", 2, 3, 0)])

    def test_a_local_address_for_each_family(self):
        options = happysock.Options(local_v4=("127.0.0.9", 0), local_v6=(V6, 0))
        with listening("127.0.0.1", "::1") as port:
            for family, own in ((socket.AF_INET, "127.0.0.9"), (socket.AF_INET6, V6)):
                with happysock.create_connection(("dual.test", port), family=family, options=options) as sock:
                    self.assertEqual(sock.getsockname()[0], own)

    def test_what_is_no_address_is_refused(self):
        for exception, text, chosen in (
            (ValueError, "^addresses: at least one", {"addresses": []}),
            (ValueError, "^addresses: no IP address: 'localhost'", {"addresses": [("localhost", 80)]}),
            (ValueError, "^addresses: the port", {"addresses": [("127.0.0.1", 65536)]}),
            (TypeError, "^addresses: an address is", {"addresses": ["127.0.0.1"]}),
            (TypeError, "^addresses: a port is", {"addresses": [("127.0.0.1", "80")]}),
            (ValueError, "^local_v4: an address of the other", {"local_v4": ("::1", 0)}),
            (ValueError, "^local_v6: no IP address", {"local_v6": ("::g", 0)}),
        ):
            with self.subTest(chosen), self.assertRaisesRegex(exception, text):
                happysock.create_connection(("127.0.0.1", 80), options=happysock.Options(**chosen))

    def test_socket_options_are_set_before_the_connect(self):
        options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        with listening("127.0.0.1") as port:
            with happysock.create_connection(("localhost", port), socket_options=options) as sock:
                for level, option, _ in options:
                    self.assertTrue(sock.getsockopt(level, option))
            with self.assertRaises(OSError) as caught:
                happysock.create_connection(("localhost", port), socket_options=[(socket.SOL_SOCKET, 9999, 1)])
            self.assertEqual(caught.exception.errno, errno.ENOPROTOOPT)
            before = descriptors()
            with self.assertRaises(TypeError):
                happysock.create_connection(("localhost", port), socket_options=[("no", "such", "option")])
            self.assert_descriptors(before)


class Confirms(TestCase):
    def test_what_completes_tcp_and_says_nothing_wins_nothing(self):
        asked = []

        def confirm(sock):
            asked.append(sock.getpeername()[0])
            # The first one keeps silent: an OSError, as a handshake that fails would be.
            sock.settimeout(0.05)
            if asked[-1] == "::1":
                sock.recv(1)
            return asked[-1] == "127.0.0.1"

        hosts = ["::1", "127.0.0.2", "127.0.0.1"]
        with listening(*hosts) as port:
            addresses = [(host, port) for host in hosts]
            options = happysock.Options(confirm=confirm, addresses=addresses, fast_fallback=False)
            with happysock.create_connection((None, None), timeout=60, options=options) as sock:
                self.assertEqual(sock.getpeername()[0], "127.0.0.1")
                self.assertEqual(sock.gettimeout(), 60)
        self.assertEqual(asked, hosts)

    def test_an_exception_ends_the_connect(self):
        before = descriptors()
        options = happysock.Options(confirm=lambda sock: {}["no such key"])
        with listening("127.0.0.1", "::1") as port, self.assertRaises(KeyError):
            happysock.create_connection(("dual.test", port), options=options)
        self.assert_descriptors(before)

    def test_one_that_is_held_is_taken_back(self):
        held, released = [], []
        options = happysock.Options(confirm=lambda sock: held.append(sock.fileno()), release_socket=released.append)
        with listening("127.0.0.1") as port:
            connect = happysock.Connect("127.0.0.1", port, options=options)
            while not held:
                select.select([connect], [], [])
                self.assertFalse(connect.dispatch())
            self.assertFalse(connect.confirm(10_000, True))
            self.assertEqual(released, [])
            del connect
            self.assertEqual(released, held)


class Fails(TestCase):
    def test_refused_with_the_attempts(self):
        port = closed_port()
        with self.assertRaises(ConnectionRefusedError) as caught:
            happysock.create_connection(("dual.test", port))
        error = caught.exception
        self.assertIsInstance(error, happysock.Error)
        self.assertEqual(error.errno, errno.ECONNREFUSED)
        # In either order: addresses of the loopback do not wait for the other family's answer.
        self.assertEqual({attempt.address[:2] for attempt in error.attempts}, {("::1", port), ("127.0.0.1", port)})
        for attempt in error.attempts:
            self.assertEqual(attempt.outcome, "failed")
            self.assertIsInstance(attempt.error, ConnectionRefusedError)
            self.assertLessEqual(attempt.started, attempt.ended)
        self.assertRegex(str(error), rf"connect\(2\) to (127.0.0.1|\[::1\]):{port}: Connection refused")
        copy = pickle.loads(pickle.dumps(error))
        self.assertEqual(repr((copy, copy.attempts)), repr((error, error.attempts)))

    def test_all_errors(self):
        def connect():
            happysock.create_connection(("dual.test", closed_port()), all_errors=True)

        if sys.version_info >= (3, 11):
            with self.assertRaises(ExceptionGroup) as caught:
                connect()
            self.assertEqual([type(error) for error in caught.exception.exceptions], [happysock.Refused] * 2)
        else:
            # There are no groups of exceptions: refused before anything is done.
            self.assertRaises(ValueError, connect)

    def test_an_unknown_name_is_a_gaierror(self):
        with self.assertRaises(socket.gaierror) as ours:
            happysock.create_connection(("no.such.host.test", 80))
        with self.assertRaises(socket.gaierror) as theirs:
            socket.create_connection(("no.such.host.test", 80))
        self.assertEqual(ours.exception.args, theirs.exception.args)
        self.assertEqual(ours.exception.attempts, ())

    def test_a_limit_on_addresses_that_keep_silent(self):
        options = happysock.Options(connection_attempt_delay=0.02)
        with self.at_once(least=3, most=30), self.assertRaises(TimeoutError) as caught:
            happysock.create_connection(("silent.test", 80), timeout=3, options=options)
        error = caught.exception
        self.assertIsInstance(error, socket.timeout)
        self.assertEqual(error.errno, errno.ETIMEDOUT)
        self.assertEqual([attempt.address[0] for attempt in error.attempts], ["2001:db8::77", "192.0.2.77"])

    def test_a_limit_on_a_lookup_that_hangs(self):
        with silent_dns(), self.at_once(least=0.2, most=10), self.assertRaises(TimeoutError) as caught:
            happysock.create_connection((silent_name(), 80), timeout=0.2)
        self.assertEqual(caught.exception.attempts, ())

    def test_limits_of_their_own(self):
        options = happysock.Options(connect_timeout=0.3)
        with self.at_once(least=0.5, most=10), self.assertRaises(happysock.Timeout):
            happysock.create_connection(("silent.test", 80), options=options)
        with self.assertRaises(ValueError):
            happysock.create_connection(("silent.test", 80), timeout=1, options=options)

    def test_libc_is_asked_where_it_is_to_be(self):
        for by_libc, source in ((False, "hosts"), (True, "libc")):
            with self.assertRaises(ConnectionRefusedError) as caught:
                happysock.create_connection(("dual.test", closed_port()), options=happysock.Options(lookup_by_libc=by_libc))
            self.assertEqual(caught.exception.source, source)

    def test_what_is_no_prefix_of_a_translator_is_refused(self):
        for wrong in ("", "64:ff9b::/95", "discover\0"):
            with self.assertRaisesRegex(ValueError, "^nat64: "):
                happysock.create_connection(("127.0.0.1", 80), options=happysock.Options(nat64=wrong))

    def test_nothing_is_left_open(self):
        with self.assertRaises(OSError):
            happysock.create_connection(("no.such.host.test", 80))
        before = descriptors()
        for _ in range(20):
            with self.assertRaises(OSError):
                happysock.create_connection(("dual.test", closed_port()))
            with self.assertRaises(TimeoutError):
                happysock.create_connection(("silent.test", 80), timeout=0.02)
        self.assert_descriptors(before)


class Refuses(TestCase):
    """What is wrong is said before anything is done."""

    def test_bad_arguments(self):
        for exception, arguments in (
            (TypeError, {"address": (80, 80)}),
            (TypeError, {"address": ("localhost", 80.5)}),
            (TypeError, {"address": ("localhost", 80), "timeout": "5"}),
            (ValueError, {"address": ("localhost", 80), "timeout": -1}),
            (ValueError, {"address": ("localhost", 80), "timeout": math.nan}),
            (ValueError, {"address": ("local\0host", 80)}),
            (socket.gaierror, {"address": ("localhost", 80), "family": 77}),
            (OverflowError, {"address": ("localhost", 80), "family": 2**40}),
            (socket.gaierror, {"address": ("local host", 80)}),
            (socket.gaierror, {"address": ("localhost", 65536)}),
            (socket.gaierror, {"address": ("localhost", "no-such-service")}),
            (UnicodeError, {"address": ("\u00fc" * 64, 80)}),
        ):
            with self.subTest(arguments), self.assertRaises(exception):
                happysock.create_connection(**arguments)

    def test_a_name_in_another_script_is_encoded(self):
        with self.assertRaises(socket.gaierror) as caught:
            happysock.create_connection(("b\u00fccher.test", 80))
        self.assertIn(caught.exception.errno, (socket.EAI_NONAME, socket.EAI_AGAIN))

    def test_endless_limits(self):
        with listening("127.0.0.1") as port:
            for timeout in (1e6, 2**31):
                happysock.create_connection(("127.0.0.1", port), timeout=timeout).close()

    def test_a_limit_of_0_is_over_at_once(self):
        with self.at_once(), self.assertRaises(TimeoutError):
            happysock.create_connection(("silent.test", 80), timeout=0)


class Interrupts(TestCase):
    """Signal handlers run while it waits."""

    def alarm(self, handler):
        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, handler))
        signal.setitimer(signal.ITIMER_REAL, 0.1)

    def test_an_exception_of_a_handler_ends_a_connect(self):
        before = descriptors()
        with self.at_once(), self.assertRaises(KeyboardInterrupt):
            self.alarm(signal.default_int_handler)
            happysock.create_connection(("silent.test", 80), timeout=20)
        self.assert_descriptors(before)

    def test_and_a_lookup(self):
        with silent_dns():
            with self.at_once(), self.assertRaises(KeyboardInterrupt):
                self.alarm(signal.default_int_handler)
                happysock.create_connection((silent_name(), 80))

    def test_a_handler_that_returns_ends_nothing(self):
        seen = []
        self.alarm(lambda *_: seen.append(True))
        with listening(V4) as port:
            happysock.create_connection(("half.test", port)).close()
        self.assertEqual(seen, [True])

    def test_other_threads_run_meanwhile(self):
        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, signal.default_int_handler))
        began = threading.Event()

        def end_it():
            began.wait(60)
            for _ in range(10):
                time.sleep(0.001)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)

        def trace(step):
            began.set()

        thread = threading.Thread(target=end_it)
        thread.start()
        with self.assertRaises(KeyboardInterrupt):
            happysock.create_connection(("silent.test", 80), timeout=60, options=happysock.Options(trace=trace))
        thread.join()

    def test_an_exception_of_the_trace_ends_the_connect(self):
        def trace(step):
            raise LookupError("enough")

        with self.at_once(), self.assertRaisesRegex(LookupError, "enough"):
            happysock.create_connection(("silent.test", 80), options=happysock.Options(trace=trace))


class Histories(TestCase):
    def test_a_dead_family_costs_one_delay_and_not_one_a_connect(self):
        # The winner takes less than the delay: otherwise the other one does not pass for unanswered.
        options = happysock.Options(history=happysock.History(), connection_attempt_delay=2)
        with listening(V4) as port:
            with self.at_once(least=1.9, most=30):
                happysock.create_connection(("half.test", port), options=options).close()
            report = options.history.report()
            self.assertEqual((report.networks >= 1, report.unanswered_v6, report.unanswered_v4), (True, 1, 0))
            steps = []
            with happysock.create_connection(("half.test", port), options=replace(options, trace=steps.append)) as sock:
                self.assertEqual(sock.getpeername()[0], V4)
        # By the order of the attempts, not by the clock.
        self.assertEqual([step.address[0] for step in steps if step.kind == "attempt started"], [V4])
        options.history.flush()
        self.assertEqual(options.history.report(), happysock.HistoryReport(0, 0, 0, 0))


class Objects(TestCase):
    def test_without_a_race_a_silent_address_leaves_the_others_their_share(self):
        options = happysock.Options(fast_fallback=False, share_timeout=True, growing_delay=True, only_connected_families=True)
        # Without its share of 4 s the silent address would have all of the time.
        with listening(V4) as port, happysock.create_connection(("half.test", port), timeout=8, options=options) as sock:
            self.assertEqual(sock.getpeername(), (V4, port))

    def test_a_child_of_a_fork_connects_and_has_none_of_the_parents(self):
        with listening("127.0.0.1") as port:
            connect = happysock.Connect("silent.test", 80)
            self.addCleanup(connect.close)
            self.assertFalse(connect.dispatch())
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    happysock.create_connection(("localhost", port), timeout=10).close()
                    try:
                        connect.dispatch()
                    except OSError as error:
                        status = 0 if error.errno == errno.ESTALE else 2
                finally:
                    os._exit(status)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
            self.assertFalse(connect.dispatch())

    def test_a_closed_connect_answers_with_an_exception(self):
        connect = happysock.Connect("127.0.0.1", 80)
        connect.close()
        connect.close()
        for call in (connect.dispatch, connect.fileno, connect.take):
            with self.assertRaisesRegex(ValueError, "closed"):
                call()

    def test_a_connect_that_runs_has_no_socket_yet(self):
        connect = happysock.Connect("silent.test", 80)
        with self.assertRaises(BlockingIOError):
            connect.take()
        self.assertFalse(connect.dispatch())
        connect.close()

    def test_the_example_of_a_loop_of_ones_own(self):
        example = Path(__file__).parent.parent / "examples" / "own_loop.py"
        with listening(V4) as port:
            command = [sys.executable, str(example), str(port), "half.test", "no.such.host.test"]
            output = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().splitlines()
        self.assertIn(f"half.test: {V4}", output)
        self.assertEqual([line.split(":")[0] for line in sorted(output)], ["half.test", "no.such.host.test"])
