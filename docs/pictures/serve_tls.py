"""Runs a command beside two servers at one port: the one at 2001:db8:1::1 takes connections and never says a word, the
one at 203.0.113.1 speaks TLS, each step after as long as a path of 60 ms takes.

    scripts/in-test-network serve_tls.py DIRECTORY COMMAND...

In the command PORT is their port and CERTIFICATE a file with the certificate of live.test to trust.
"""

import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

ROUND_TRIP = 0.06


def make_certificate(directory):
    """A certificate of live.test that vouches for itself, and for nobody else, and its key: the two files."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=live.test".split()
    command += ["-addext", "subjectAltName=DNS:live.test", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def serve(listener, context):
    """One client after the other, until the program ends."""
    while True:
        client, _ = listener.accept()
        # The machine is asked through memory, so the answer has to be held back where the picture is made.
        secured = context.wrap_bio(incoming := ssl.MemoryBIO(), outgoing := ssl.MemoryBIO(), server_side=True)
        while True:
            data = client.recv(16384)
            time.sleep(ROUND_TRIP)
            incoming.write(data) if data else incoming.write_eof()
            try:
                secured.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.sendall(outgoing.read())
        client.close()


def main():
    """Ends as the command does."""
    directory, command = Path(sys.argv[1]), sys.argv[2:]
    certificate, key = make_certificate(directory)
    speaking = socket.create_server(("203.0.113.1", 0))
    port = speaking.getsockname()[1]
    # Every port of it is free in this network.
    silent = socket.create_server(("2001:db8:1::1", port), family=socket.AF_INET6)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    threading.Thread(target=serve, args=(speaking, context), daemon=True).start()
    words = {"PORT": str(port), "CERTIFICATE": str(certificate)}
    status = subprocess.run([words.get(word, word) for word in command], check=False).returncode
    silent.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
