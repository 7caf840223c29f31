"""What real-programs has built, on a name whose first address is dead: scripts/in-test-network python3 measure.py DIRECTORY

Before: nothing after three seconds. After: a connection that took the Connection Attempt Delay, 250 ms. Then a second one of the
same process, whose history knows by now that the family does not answer: one round trip, which takes no time on this network.
"""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

WORK = pathlib.Path(sys.argv[1])
LIVE = {"half.test": "203.0.113.1", "half4.test": "2001:db8:1::1"}
BEFORE_S = 3
# A busy machine adds to what a connect takes; three seconds are more by far.
FIRST_MS, SECOND_MS = (250, 1500), (0, 150)
TRIES = 5
failed = 0


class Server:
    """Answers whatever it is sent, and keeps when each connection came."""

    def __init__(self, host, answer):
        family = socket.AF_INET6 if ":" in LIVE[host] else socket.AF_INET
        self.socket = socket.create_server((LIVE[host], 0), family=family)
        self.port, self.answer, self.came = self.socket.getsockname()[1], answer, []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.socket.accept()
            self.came.append(time.monotonic())
            threading.Thread(target=self.talk, args=[connection], daemon=True).start()

    def talk(self, connection):
        with connection:
            if connection.recv(4096):
                connection.sendall(self.answer)


def say(what, measure):
    """`measure` gives the times of the patched program's two connects in milliseconds, or None where the plain one came through."""
    global failed
    # A machine that stands still for a moment makes one try late, but not each of them.
    for _ in range(TRIES):
        times = measure()
        fine = times is not None and all(low <= ms <= high for ms, (low, high) in zip(times, [FIRST_MS, SECOND_MS]))
        if fine:
            break
    failed += not fine
    told = "the plain program did not wait" if times is None else "before > 3000 ms, after %.0f ms, with a history %.1f ms" % tuple(times)
    print(f"{'ok' if fine else 'FAILED'} {what}: {told}", flush=True)


def still_waits(command):
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=BEFORE_S, check=False)
    except subprocess.TimeoutExpired:
        return True
    return False


def redis(kind):
    server = Server("half4.test", b"+PONG\r\n")
    plain, patched = ([str(WORK / name), kind, "half4.test", str(server.port)] for name in ["redis-ping", "redis-ping-patched"])
    if not still_waits(plain):
        return None
    return [float(line) for line in subprocess.run(patched, check=True, stdout=subprocess.PIPE, timeout=60).stdout.split()]


PAGE = b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n"


def wget():
    server = Server("half.test", PAGE)
    urls = [f"http://half.test:{server.port}/{page}" for page in "ab"]
    command = ["--no-config", "--no-proxy", "-q", "-O", "/dev/null", *urls]
    if not still_waits([str(WORK / "wget/src/wget"), *command]):
        return None
    began = time.monotonic()
    subprocess.run([str(WORK / "wget-patched/src/wget"), *command], check=True, timeout=60)
    # From one connection to the next: all that is between is one page.
    return [(server.came[0] - began) * 1e3, (server.came[1] - server.came[0]) * 1e3]


def wait_for_listener(program, port):
    until = time.monotonic() + 30
    while program.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("203.0.113.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise RuntimeError("tinyproxy does not listen")


def through_proxy(proxy, server):
    began = time.monotonic()
    with socket.create_connection(("203.0.113.1", proxy)) as connection:
        connection.sendall(f"GET http://half.test:{server.port}/ HTTP/1.0\r\n\r\n".encode())
        while not connection.recv(4096).endswith(b"hello\n"):
            pass
    return (time.monotonic() - began) * 1e3


def tinyproxy():
    server, times = Server("half.test", PAGE), []
    for kind in ["", "-patched"]:
        with tempfile.NamedTemporaryFile("w") as settings, socket.socket() as free:
            # Nobody else is in this network.
            free.bind(("203.0.113.1", 0))
            proxy = free.getsockname()[1]
            free.close()
            settings.write(f"Port {proxy}\nListen 203.0.113.1\nTimeout 600\nMaxClients 10\nLogLevel Error\n")
            settings.flush()
            program = subprocess.Popen([str(WORK / f"tinyproxy{kind}/src/tinyproxy"), "-d", "-c", settings.name],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_for_listener(program, proxy)
                if kind:
                    times = [through_proxy(proxy, server) for _ in range(2)]
                else:
                    client = threading.Thread(target=lambda: quietly(through_proxy, proxy, server), daemon=True)
                    client.start()
                    client.join(BEFORE_S)
                    if not client.is_alive():
                        return None
            finally:
                program.kill()
                program.wait()
    return times


def quietly(function, *arguments):
    try:
        function(*arguments)
    except OSError:
        pass


def main():
    with open("/etc/hosts", "a", encoding="ascii") as hosts:
        # Of hiredis, which asks for IPv4 first.
        hosts.write("192.0.2.77 half4.test\n2001:db8:1::1 half4.test\n")
    if (WORK / "redis-ping-patched").exists():
        say("hiredis, blocking", lambda: redis("sync"))
        say("hiredis, asynchronous", lambda: redis("async"))
    for name, measure in [("tinyproxy", tinyproxy), ("wget", wget)]:
        if os.access(WORK / f"{name}-patched/src/{name}", os.X_OK):
            say(name, measure)
    return 1 if failed else 0


sys.exit(main())
