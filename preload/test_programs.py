"""Programs that know nothing of happysock, on a name whose IPv6 address is dead: without the library and with it.

    scripts/in-test-network python3 preload/test_programs.py LIBRARY HAPPY

Without it a program that waits for one address after the other is still waiting after three seconds; the kernel gives up
after two minutes. With it the program has to be through in less time than that by far.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

LIBRARY, HAPPY = (os.path.abspath(path) for path in sys.argv[1:3])
# half.test is 2001:db8::77, where nobody answers, and this.
LIVE = "203.0.113.1"
STILL_WAITING_S = 3
THROUGH_S = 60
# Nothing of whoever runs this: proxies, configurations.
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C"}


class Server:
    """Takes connections one after the other, answers each, and keeps the first line that each has sent."""

    def __init__(self, answer, speaks_first):
        self.socket = socket.create_server((LIVE, 0))
        self.port = self.socket.getsockname()[1]
        self.answer, self.speaks_first = answer, speaks_first
        self.lines = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.talk, args=[connection], daemon=True).start()

    def talk(self, connection):
        with connection, connection.makefile("rwb") as stream:
            try:
                if self.speaks_first:
                    stream.write(self.answer)
                    stream.flush()
                line = stream.readline()
                # The head of a request ends with an empty line.
                while not self.speaks_first and stream.readline().strip():
                    pass
                self.lines.append(line)
                if not self.speaks_first:
                    stream.write(self.answer)
            except OSError:
                pass


def run(command, limit, preload=False):
    """What it wrote, or None where it was still running at the limit."""
    environment = ENVIRONMENT | ({"LD_PRELOAD": LIBRARY} if preload else {})
    try:
        ended = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return None
    return ended.stdout.decode(errors="replace")


def programs():
    """Name, whether it waits for one address after the other, command, server, and what it must say or the server must hear."""
    page = b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\nContent-Type: text/plain\r\n\r\nhello\n"
    fetch = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read())"
    for name, waits, arguments in [
        ("wget", True, ["wget", "--no-config", "-q", "-O", "-", "{url}"]),
        ("python3", True, ["/usr/bin/python3", "-c", fetch, "{url}"]),
        # It races by itself, with sockets in non-blocking mode, which are left alone.
        ("curl", False, ["curl", "-q", "-sS", "{url}"]),
    ]:
        server = Server(page, speaks_first=False)
        url = f"http://half.test:{server.port}/"
        yield name, waits, [argument.format(url=url) for argument in arguments], server, "hello", b""
    server = Server(b"SSH-2.0-test\r\n", speaks_first=True)
    ssh = ["ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "UserKnownHostsFile=/dev/null", "-o", "GlobalKnownHostsFile=/dev/null"]
    yield "ssh", True, ssh + ["-p", str(server.port), "half.test", "true"], server, "", b"SSH-2.0-"


def try_program(program):
    """A list of (what was tried, why it failed or "")."""
    name, waits, command, server, said, heard = program
    if not shutil.which(command[0]):
        return [(f"skipped: {name}: it is not installed", None)]

    def judge(output):
        if output is None:
            return "it was still running"
        if said:
            return "" if said in output else f"it said {output!r}"
        # Heard before the server closed, which is what the program has ended with.
        return "" if any(line.startswith(heard) for line in server.lines) else f"the server has heard {server.lines}; it said {output!r}"

    results = []
    if waits:
        output = run(command, STILL_WAITING_S)
        results.append((f"{name} waits for the dead address without the library", "" if output is None else f"it said {output!r}"))
    else:
        results.append((f"{name} connects without the library", judge(run(command, THROUGH_S))))
    server.lines.clear()
    results.append((f"{name} connects with the library", judge(run(command, THROUGH_S, preload=True))))
    return results


def main():
    def with_happy(program):
        name, _, command, _, said, _ = program
        output = run([HAPPY, "run", "--preload", LIBRARY, "--", *command], THROUGH_S)
        fine = output is not None and said in output
        return [(f"happy run -- {name} connects", "" if fine else f"it said {output!r}")]

    tried = list(programs())
    with ThreadPoolExecutor(8) as pool:
        parts = [pool.submit(try_program, program) for program in tried]
        parts.append(pool.submit(with_happy, next(programs())))
        results = [result for part in parts for result in part.result()]
    failed = 0
    for what, why in results:
        if why is None:
            print(what)
        else:
            print(f"{'FAILED' if why else 'ok'} {what}{': ' if why else ''}{why}")
            failed += bool(why)
    counted = sum(why is not None for _, why in results)
    print(f"{counted - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
