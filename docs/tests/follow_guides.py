"""Follows the pages that teach, word by word: writes their programs, runs their commands, compares the output.

    scripts/in-test-network follow_guides.py

In a page, "```c NAME" shows a file, and so does a link to a program on a line of its own, which the manual shows in
full. "```console" has commands ("$ ...") with what they print; a command that ends with & stays until the page is
through. "```console not-run" needs what a test has not: the network, or root; "```console needs NAME" a library,
which pkg-config finds where it is. The library is the one of make build, as if it were installed; the command is the
one of make manual. The name server of the network is asked in vain.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
# Seconds for a command, and for a server to listen, on a machine that is busy.
LIMIT = 60
KNOWN = {"c", "console", "ruby", "text", "json", ""}


# What a system says that cannot do what a page shows.
CANNOT = {"io_uring_queue_init: Operation not permitted", "io_uring_queue_init: Function not implemented"}


def blocks(page):
    """(language, word, lines) of each code block, and of each program that is shown."""
    text = page.read_text(encoding="utf-8")
    pattern = r"^```(\S*) ?(.*?)\n(.*?)^```$|^\[[^\]\n]*\]\((\S*\.[ch])\)$"
    for match in re.finditer(pattern, text, re.DOTALL | re.MULTILINE):
        language, word, body, shown = match.groups()
        if shown:
            program = page.parent / shown
            yield "c", program.name, program.read_text(encoding="utf-8").splitlines()
        elif not language.startswith("{"):
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
            # Not empty, or the machine's own list of libraries would be made anew.
            "DESTDIR=/",
            f"PREFIX={stage}",
            f"LIBDIR={stage}/lib",
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
        "PKG_CONFIG_PATH": str(stage / "lib/pkgconfig"),
        "LD_LIBRARY_PATH": str(stage / "lib"),
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


def is_missing(word, page):
    """Whether a block needs what this system has not."""
    library = word.removeprefix("needs ")
    if library == word:
        return word == "not-run"
    found = subprocess.run(["pkg-config", "--exists", library], check=False).returncode == 0
    if not found:
        print(f"skipped: {page.name}: pkg-config finds no {library}")
    return not found


def follow(page, directory, environment):
    """Yields what is wrong with a page."""
    servers = []
    shown, words = [], set()
    try:
        for language, word, lines in blocks(page):
            if language not in KNOWN:
                yield f"a block of {language}, which nobody checks"
            if language == "c" and word:
                (directory / word).write_text("\n".join(lines) + "\n", encoding="utf-8")
                shown.append(word)
            if language == "console":
                words.update(" ".join(lines).split())
            if language != "console" or is_missing(word, page):
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
                if CANNOT.intersection(printed):
                    print(f"skipped: {page.name}: {printed[-1]}")
                elif printed != expected:
                    yield f"$ {command}\n    prints {printed}\n    and not {expected}"
        for program in shown:
            if program.endswith(".c") and program not in words:
                yield f"{program} is shown, and no command compiles it"
    finally:
        for server in servers:
            server.kill()
            server.wait()


def keep_silent(name_server):
    """A name server that is asked in vain, but for the machine's own name, which it does not know: Python's server asks for it."""
    own = b"".join(bytes([len(label)]) + label.encode() for label in socket.gethostname().split("."))
    while True:
        query, client = name_server.recvfrom(512)
        if own.lower() in query.lower():
            # NXDOMAIN (RFC 1035, section 4.1.1), with the question as it came.
            name_server.sendto(query[:2] + b"\x81\x83" + query[4:], client)


def main():
    """Each page that has something to follow is one test."""
    failed = passed = 0
    name_server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    name_server.bind(("127.0.0.53", 53))
    threading.Thread(target=keep_silent, args=(name_server,), daemon=True).start()
    directory = Path(tempfile.mkdtemp())
    try:
        environment = {**os.environ, **install(directory)}
        for page in sorted((DOCS / "guide").glob("*.md")):
            # Neither a program nor a command that could be tried.
            if all(word == "not-run" or (not word and language != "console") for language, word, _ in blocks(page)):
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
