"""Runs the programs that the manual shows and compares what they print with what it says they print.

    scripts/in-test-network run_examples.py DIRECTORY

DIRECTORY has the compiled programs. In the network a server takes every connection on a free port of both
families, and a name server is asked in vain.
"""

import socket
import subprocess
import sys
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
    words = {"PORT": str(serve()), "VERSION": build.version()}
    passed = failed = 0
    for example in pages.read_examples(DOCS / "examples"):
        wrong = "it does not say what it prints" if not example.prints else run(example, directory, words)
        if wrong is None:
            passed += 1
        elif wrong:
            failed += 1
            print(f"FAILED {example.name}: {wrong}")
    silent.close()
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
