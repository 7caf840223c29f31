"""Runs the programs that the manual shows and compares what they print with what it says they print.

    scripts/in-test-network run_examples.py DIRECTORY

DIRECTORY has the compiled programs. In the network a server takes every connection on a free port of both
families; at another port IPv6 is silent and IPv4 speaks TLS; a name server is asked in vain.
"""

import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(DOCS / "tools"))

import build
import pages

# Seconds that one may take on a machine that is busy.
LIMIT = 60


def serve():
    """Listens on both families, closes what connects; the port."""
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)

    def accept():
        while True:
            client, _ = listener.accept()
            client.close()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def make_certificate(directory):
    """A certificate of dual.test that vouches for itself, and its key: the two files."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=dual.test", "-addext", "subjectAltName=DNS:dual.test"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def serve_tls(certificate, key):
    """Takes connections on both families of loopback: IPv6 never answers, IPv4 greets by TLS. The port, and what to keep."""
    silent, port = None, 0
    while silent is None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        port = listener.getsockname()[1]
        try:
            silent = socket.create_server(("::1", port), family=socket.AF_INET6, backlog=64)
        except OSError:
            listener.close()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def accept():
        while True:
            client, _ = listener.accept()
            try:
                with context.wrap_socket(client, server_side=True) as secured:
                    secured.sendall(b"hello")
            except OSError as error:
                # The program was content with less: it says what it has seen.
                print(f"the TLS server: {error}", file=sys.stderr)

    threading.Thread(target=accept, daemon=True).start()
    return port, silent


def keep_silent():
    """The name server of the test network: asked, and silent."""
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.53", 53))
    return silent


def run(example, directory, words):
    """What is wrong with a program; None where all is right, "" where the system lacks something."""

    def put(text):
        for word, value in words.items():
            text = text.replace(word, value)
        return text

    command = [str(directory / example.name), *map(put, example.run)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return f"not finished after {LIMIT} seconds"
    # What the system does not have.
    if done.stdout.strip() in example.skips:
        print(f"skipped: {example.name}: {done.stdout.strip()}")
        return ""
    expected = [put(line) for line in example.prints]
    if done.returncode != 0 or done.stdout.splitlines() != expected:
        said = done.stdout + done.stderr
        return f"ended with {done.returncode} and printed\n{said}instead of\n" + "\n".join(expected)
    return None


def main():
    """Runs all of them."""
    directory = Path(sys.argv[1])
    silent = keep_silent()
    kept = tempfile.TemporaryDirectory()
    certificate, key = make_certificate(Path(kept.name))
    tls_port, silent_server = serve_tls(certificate, key)
    # The longer word first: PORT is part of it.
    words = {"TLS_PORT": str(tls_port), "TLS_CERTIFICATE": str(certificate)}
    words |= {"PORT": str(serve()), "VERSION": build.version()}
    passed = failed = 0
    for example in pages.read_examples(DOCS / "examples"):
        wrong = "it does not say what it prints" if not example.prints else run(example, directory, words)
        if wrong is None:
            passed += 1
        elif wrong:
            failed += 1
            print(f"FAILED {example.name}: {wrong}")
    silent.close()
    silent_server.close()
    kept.cleanup()
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
