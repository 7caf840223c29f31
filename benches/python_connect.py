"""What a connect costs in Python, beside the standard library's, in one run: make bench-python.

Three situations, as scripts/in-test-network has them: a name on the loopback that answers at once (microseconds a connect), a
name whose IPv6 address keeps silent (milliseconds), and a name whose addresses all do, with a limit of a second.
"""

import argparse
import asyncio
import socket
import statistics
import time

import happysock
from happysock import aio


def ours(host, port, timeout):
    happysock.create_connection((host, port), timeout).close()


def theirs(host, port, timeout):
    socket.create_connection((host, port), timeout).close()


async def ours_asyncio(host, port, timeout):
    _, writer = await aio.open_connection(host, port, timeout=timeout)
    writer.close()
    await writer.wait_closed()


def asyncio_with(delay):
    async def connect(host, port, timeout):
        opening = asyncio.open_connection(host, port, happy_eyeballs_delay=delay)
        _, writer = await asyncio.wait_for(opening, timeout)
        writer.close()
        await writer.wait_closed()

    return connect


WAYS = {
    "happysock.create_connection": ours,
    "socket.create_connection": theirs,
    "happysock.aio.open_connection": ours_asyncio,
    "asyncio, happy_eyeballs_delay=0.25": asyncio_with(0.25),
    "asyncio.open_connection": asyncio_with(None),
}


def seconds(way, loop, host, port, timeout=None):
    """How long one connect takes; None when it fails."""
    start = time.perf_counter()
    try:
        answer = way(host, port, timeout)
        if asyncio.iscoroutine(answer):
            loop.run_until_complete(answer)
    except OSError:
        pass
    except asyncio.TimeoutError:
        pass
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200, help="connects to the loopback, each way")
    arguments = parser.parse_args()
    loop = asyncio.new_event_loop()
    listeners = [
        socket.create_server(("::1", 9000), family=socket.AF_INET6, backlog=1000),
        socket.create_server(("127.0.0.1", 9000), backlog=1000),
        socket.create_server(("203.0.113.1", 9000), backlog=1000),
    ]
    taken = {name: [] for name in WAYS}
    for turn in range(arguments.rounds + 5):
        # One after the other within a turn, so that what else the machine does falls on all.
        for name, way in WAYS.items():
            spent = seconds(way, loop, "localhost", 9000)
            if turn >= 5:
                taken[name].append(spent)
        for listener in listeners[:2]:
            listener.setblocking(False)
            try:
                while True:
                    listener.accept()[0].close()
            except BlockingIOError:
                pass
    print(f"{'':36}{'localhost, us':>15}{'IPv6 dead, ms':>15}{'all dead, limit 1 s, ms':>25}")
    for name, way in WAYS.items():
        half = seconds(way, loop, "half.test", 9000, 10) * 1e3
        dead = seconds(way, loop, "silent.test", 9000, 1) * 1e3
        print(f"{name:36}{statistics.median(taken[name]) * 1e6:15.0f}{half:15.0f}{dead:25.0f}")
    loop.close()


if __name__ == "__main__":
    main()
