"""Follows the pages that teach, word by word: writes their programs, runs their commands, compares the output.

    scripts/in-test-network follow_guides.py

In a page, "```c NAME" shows a file and "```console" commands ("$ ...") with what they print; a command that
ends with & stays until the page is through. "```console not-run" needs what a test has not: the network, or
root. The library is the one of make build, as if it were installed; the command is the one of make manual.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
# Seconds for a command, and for a server to listen, on a machine that is busy.
LIMIT = 60
KNOWN = {"c", "console", "ruby", "text", "json", ""}


def blocks(text):
    """(language, word, lines) of each code block."""
    for match in re.finditer(r"^```(\S*) ?(.*?)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        language, word, body = match.groups()
        if not language.startswith("{"):
            yield language, word, body.splitlines()


def commands(lines):
    """(command, what it prints) of a block."""
    found = []
    for line in lines:
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def install(directory):
    """The library and its pkg-config file, where programs find them."""
    stage = directory / "stage"
    subprocess.run(
        [
            "make",
            "-s",
            "install",
            f"DESTDIR={stage}",
            "PREFIX=/usr",
            "LIBDIR=/usr/lib",
            "STRIP=",
            "MANUAL=/nonexistent",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=LIMIT,
    )
    programs = directory / "bin"
    programs.mkdir()
    (programs / "happy").symlink_to(ROOT / "target/debug/happy")
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PKG_CONFIG_PATH": str(stage / "usr/lib/pkgconfig"),
        "PKG_CONFIG_SYSROOT_DIR": str(stage),
        "LD_LIBRARY_PATH": str(stage / "usr/lib"),
    }


def wait_for_listener(port):
    """Until somebody listens there."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(f"nobody listens on port {port}")


def follow(page, directory, environment):
    """Yields what is wrong with a page."""
    servers = []
    try:
        for language, word, lines in blocks(page.read_text(encoding="utf-8")):
            if language not in KNOWN:
                yield f"a block of {language}, which nobody checks"
            if language == "c" and word:
                (directory / word).write_text("\n".join(lines) + "\n", encoding="utf-8")
            if language != "console" or word == "not-run":
                continue
            for command, expected in commands(lines):
                if command.endswith("&"):
                    arguments = command.rstrip("& ").split()
                    servers.append(
                        subprocess.Popen(
                            arguments, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                        )
                    )
                    wait_for_listener(int(next(word for word in arguments if word.isdigit())))
                    continue
                done = subprocess.run(
                    ["sh", "-c", command],
                    cwd=directory,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=LIMIT,
                    check=False,
                )
                printed = (done.stdout + done.stderr).splitlines()
                if printed != expected:
                    yield f"$ {command}\n    prints {printed}\n    and not {expected}"
    finally:
        for server in servers:
            server.kill()
            server.wait()


def main():
    """Each page that has something to follow is one test."""
    failed = passed = 0
    directory = Path(tempfile.mkdtemp())
    try:
        environment = {**os.environ, **install(directory)}
        for page in sorted((DOCS / "guide").glob("*.md")):
            if not any(
                language == "console" and word != "not-run" for language, word, _ in blocks(page.read_text())
            ):
                continue
            work = directory / page.stem
            work.mkdir()
            wrong = list(follow(page, work, environment))
            passed, failed = passed + (not wrong), failed + bool(wrong)
            print(f"{'FAILED' if wrong else 'ok'} {page.name}", *wrong, sep="\n    ")
    finally:
        shutil.rmtree(directory)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
