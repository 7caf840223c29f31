"""Many connects in a loop of one's own: own_loop.py PORT HOST..."""

import selectors
import sys

import happysock


def main(port, hosts):
    selector = selectors.DefaultSelector()
    for host in hosts:
        connect = happysock.Connect(host, port, timeout=5)
        selector.register(connect, selectors.EVENT_READ, host)
    while selector.get_map():
        for key, _ in selector.select():
            connect, host = key.fileobj, key.data
            # Timers are in the descriptor, so this is all there is to call.
            if not connect.dispatch():
                continue
            selector.unregister(connect)
            try:
                with connect.take() as sock:
                    print(f"{host}: {sock.getpeername()[0]}")
            except OSError as error:
                print(f"{host}: {error}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
