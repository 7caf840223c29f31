"""Draws the pictures of the manual and of README, each for light and for dark pages, from what stands beside
this file: a recorded race (record) and plain data.

    draw.py            writes the pictures
    draw.py --check    ends with 1 if one is not what this draws
"""

import json
import sys
from pathlib import Path

from svg import Picture

HERE = Path(__file__).resolve().parent


# ---- A race ------------------------------------------------------------------------------------------------


class Timeline:
    """Rows of bars over a line of milliseconds."""

    LEFT, ROW, BAR = 118, 36, 20

    def __init__(self, picture, end_ms, top):
        self.picture, self.top = picture, top
        self.scale = (picture.size[0] - self.LEFT - 96) / end_ms

    def x(self, ms):
        """Where a time is."""
        return self.LEFT + ms * self.scale

    def y(self, row):
        """Where a row begins."""
        return self.top + row * self.ROW

    def bar(self, row, label, start, end, fill, note):
        """A bar with its name before it and what came of it behind it."""
        y = self.y(row)
        self.picture.text(self.LEFT - 10, y + 15, label, anchor="end", bold=True)
        self.picture.box(
            self.x(start),
            y,
            max(2.0, (end - start) * self.scale),
            self.BAR,
            fill=fill,
            stroke=fill_stroke(fill),
            radius=3,
        )
        self.picture.text(self.x(end) + 7, y + 15, note, size=13)

    def axis(self, end, bottom):
        """The marks of the milliseconds, every 50 of them."""
        for ms in range(0, int(end) + 1, 50):
            self.picture.line(self.x(ms), self.top - 6, self.x(ms), bottom, "rule")
            label = f"{ms}" + (" ms" if ms == 0 else "")
            self.picture.text(self.x(ms), bottom + 16, label, size=12, colour="faint", anchor="middle")

    def wait(self, row, start, end, says):
        """An arrow from a time to a later one, with what passes meanwhile."""
        y = self.y(row) + 11
        self.picture.line(self.x(start) + 2, y, self.x(end) - 3, y, "faint", 1.5, arrow=True)
        self.picture.line(self.x(start), y - 7, self.x(start), y + 7, "faint", 1.5)
        middle = self.x((start + end) / 2)
        self.picture.text(middle, y - 5, says, size=12, colour="faint", anchor="middle")


def fill_stroke(fill):
    """The edge of a bar."""
    return {"url(#hatch)": "orange", "url(#hatch-green)": "green"}.get(fill, fill)


def first(trace, **wanted):
    """The first step with these values."""
    return next(step for step in trace if all(step.get(key) == value for key, value in wanted.items()))


def race(theme):
    """The recorded race: IPv6 does not answer, IPv4 wins."""
    recorded = json.loads((HERE / "race.json").read_text(encoding="utf-8"))
    trace, (six, four) = recorded["trace"], recorded["attempts"]
    aaaa = first(trace, event="lookup_answered", family="IPv6")["time_ms"]
    a = first(trace, event="lookup_answered", family="IPv4")["time_ms"]
    delay = first(trace, event="next_attempt_timer_set")["delay_ms"]
    end = four["ended_ms"]
    picture = Picture(
        theme,
        680,
        300,
        f"A race: IPv6 does not answer, IPv4 starts {delay} ms later and is connected after {end:.0f} ms.",
    )
    picture.text(20, 30, "Connecting to a name whose IPv6 address does not answer", size=16, bold=True)
    line = Timeline(picture, end, 54)
    bottom = line.y(4) + 8
    line.axis(end, bottom)
    line.bar(0, "AAAA?", 0, aaaa, "violet", f"IPv6 address after {aaaa:.0f} ms")
    line.bar(1, "A?", 0, a, "violet", f"IPv4 address after {a:.0f} ms: it waits for its turn")
    line.bar(2, "IPv6", six["started_ms"], six["ended_ms"], "url(#hatch)", "given up")
    line.bar(3, "IPv4", four["started_ms"], four["ended_ms"], "green", "connected")
    line.wait(3, six["started_ms"], four["started_ms"], f"{delay} ms without an answer")
    picture.line(line.x(end), line.top - 6, line.x(end), bottom, "green", 2)
    picture.text(line.x(end), bottom + 16, f"{end:.0f}", size=13, colour="green", anchor="middle", bold=True)
    y = bottom + 46
    picture.text(line.LEFT - 10, y + 15, "without", anchor="end", bold=True)
    picture.box(line.LEFT, y, 680 - line.LEFT - 132, line.BAR, fill="url(#hatch)", stroke="orange", radius=3)
    picture.text(680 - 126, y + 15, "... 2 minutes", size=14, colour="red", bold=True)
    picture.text(
        line.LEFT,
        y + 38,
        "one address after the other: tcp(7) gives up the first after two minutes",
        size=12,
        colour="faint",
    )
    return picture


# ---- What a history changes --------------------------------------------------------------------------------


def history(theme):
    """The same race twice, the second time with what the first has taught: history.json."""
    races = json.loads((HERE / "history.json").read_text(encoding="utf-8"))[:2]
    end = max(race["result"]["total_ms"] for race in races)
    took = [race["result"]["total_ms"] for race in races]
    picture = Picture(
        theme,
        680,
        332,
        f"Two connects with a history: the first waits for IPv6 and takes {took[0]:.0f} ms, the second begins "
        f"with IPv4 and takes {took[1]:.0f} ms.",
    )
    top = 44
    for number, (race, title) in enumerate(zip(races, ("The first connect", "Every later one"))):
        picture.text(20, top - 14, f"{title}: {took[number]:.0f} ms", size=16, bold=True)
        line = Timeline(picture, end, top)
        line.bar(0, "lookups", 0, race["attempts"][0]["started_ms"], "violet", "")
        for row, attempt in enumerate(race["attempts"], start=1):
            won = attempt["outcome"] == "connected"
            family = "IPv6" if ":" in attempt["address"] else "IPv4"
            line.bar(
                row,
                family,
                attempt["started_ms"],
                attempt["ended_ms"],
                "green" if won else "url(#hatch)",
                "connected" if won else "no answer",
            )
        bottom = line.y(len(race["attempts"]) + 1) - 4
        picture.line(line.x(took[number]), top - 4, line.x(took[number]), bottom, "green", 2)
        top = bottom + 52
    picture.text(
        20,
        picture.size[1] - 14,
        "IPv6 is tried again by a host that has nothing else, and after ten minutes by every other.",
        size=12.5,
        colour="faint",
    )
    return picture


# ---- A success that is more than TCP -----------------------------------------------------------------------


def confirm(theme):
    """A race that is won by a TLS handshake, past an address that takes the connection alone: confirm.json."""
    race = json.loads((HERE / "confirm.json").read_text(encoding="utf-8"))
    six, four = race["attempts"]
    end, delay = race["result"]["total_ms"], four["started_ms"] - six["started_ms"]
    picture = Picture(
        theme,
        680,
        206,
        f"A race with confirm: IPv6 connects at once and never answers TLS, IPv4 starts {delay:.0f} ms later and "
        f"wins with its handshake after {end:.0f} ms.",
    )
    picture.text(20, 30, "An address that takes the connection and never answers TLS", size=16, bold=True)
    line = Timeline(picture, end, 54)
    bottom = line.y(2) + 2
    line.axis(end, bottom)
    for row, (label, attempt, colour, hatch, note) in enumerate(
        (
            ("IPv6", six, "orange", "url(#hatch)", "closed"),
            ("IPv4", four, "green", "url(#hatch-green)", "confirmed"),
        )
    ):
        line.bar(row, label, attempt["started_ms"], attempt["ended_ms"], hatch, note)
        width = max(5.0, (attempt["connected_ms"] - attempt["started_ms"]) * line.scale)
        picture.box(
            line.x(attempt["started_ms"]), line.y(row), width, line.BAR, fill=colour, stroke=colour, radius=0
        )
    line.wait(1, six["started_ms"], four["started_ms"], f"{delay:.0f} ms: the race goes on")
    y = bottom + 42
    for x, fill, says in (
        (line.LEFT, "faint", "TCP"),
        (line.LEFT + 90, "url(#hatch)", "connected, and held for its TLS handshake"),
    ):
        picture.box(x, y - 10, 24, 12, fill=fill, stroke=fill_stroke(fill), radius=0)
        picture.text(x + 32, y, says, size=12.5, colour="faint")
    return picture


# ---- The delay that fits -----------------------------------------------------------------------------------


def delays(theme):
    """The fixed delay beside the one that fits, as `lab delays` has measured: delays.json."""
    rows = json.loads((HERE / "delays.json").read_text(encoding="utf-8"))["rows"]
    picture = Picture(
        theme,
        680,
        330,
        "Needless SYNs of 100 connects by round trip: with the fixed delay nearly every connect over a path of "
        "300 ms sends one, with the delay that fits nearly none.",
    )
    picture.text(20, 30, "Needless SYNs of 100 connects, by round trip", size=16, bold=True)
    left, right, top, bottom = 60, 560, 56, 262
    longest = max(row["round_trip_ms"] for row in rows)

    def x(ms):
        return left + ms / longest * (right - left)

    def y(count):
        return bottom - count / 100 * (bottom - top)

    for mark in range(0, 101, 25):
        picture.line(left, y(mark), right, y(mark), "rule")
        picture.text(left - 8, y(mark) + 4, str(mark), size=12, colour="faint", anchor="end")
    for mark in range(0, int(longest) + 1, 100):
        picture.text(x(mark), bottom + 18, f"{mark}" + (" ms" if mark == 0 else ""), size=12, colour="faint",
                     anchor="middle")
    for loss, colour in ((0, "blue"), (10, "orange")):
        here = [row for row in rows if row["loss_percent"] == loss]
        for delay, width in (("fixed", 1.5), ("fitting", 3.5)):
            points = [(x(row["round_trip_ms"]), y(row[delay]["needless_per_100"])) for row in here]
            picture.path(points, colour, width, arrow=False)
            last_x, last_y = points[-1]
            shift = -7 if (delay, loss) == ("fitting", 10) else 4
            picture.text(last_x + 8, last_y + shift, f"{delay}, {loss} % lost", size=12, colour=colour)
    picture.text(
        20,
        bottom + 50,
        "Fixed: 250 ms. Fitting: when the handshake's first packet would be sent again, 100 ms to 2 s.",
        size=12.5,
        colour="faint",
    )
    return picture


# ---- The house ---------------------------------------------------------------------------------------------


def house(theme):
    """The rooms of the library and which uses which: house.json."""
    data = json.loads((HERE / "house.json").read_text(encoding="utf-8"))
    rows = data["rows"]
    picture = Picture(theme, 680, 40 + 92 * len(rows), data["title"])
    places = {}
    for level, row in enumerate(rows):
        unit = (680 - 40 - 18 * (len(row) - 1)) / sum(room.get("width", 1) for room in row)
        x = 20
        for room in row:
            places[room["name"]] = (x, 20 + level * 92, unit * room.get("width", 1))
            x += unit * room.get("width", 1) + 18
    for row in rows:
        for room in row:
            x, y, width = places[room["name"]]
            for used in room.get("uses", []):
                to_x, to_y, to_width = places[used]
                # From where the two stand above each other, else from the middle.
                left, right = max(x, to_x), min(x + width, to_x + to_width)
                middle = (left + right) / 2 if left < right else x + width / 2
                picture.path([(middle, y + 58), (middle if left < right else to_x + to_width / 2, to_y - 3)])
    for row in rows:
        for room in row:
            x, y, width = places[room["name"]]
            pure = room.get("pure", False)
            picture.box(x, y, width, 58, fill="panel", stroke="green" if pure else "rule")
            picture.text(
                x + 12, y + 24, room["name"], size=15, bold=True, mono=True, colour="green" if pure else "ink"
            )
            picture.text(x + 12, y + 44, room["says"], size=12.5, colour="faint")
    picture.text(20, picture.size[1] - 10, data["legend"], size=12.5, colour="green")
    return picture


# ---- The gate ----------------------------------------------------------------------------------------------


def gate(theme):
    """Where names come from: gate.json, asked from the top."""
    data = json.loads((HERE / "gate.json").read_text(encoding="utf-8"))
    gates, step, top = data["gates"], 62, 62
    bottom = top + step * (len(gates) - 1) + 46
    picture = Picture(theme, 680, bottom + 44, data["title"])
    picture.box(20, 14, 212, 30)
    picture.text(126, 34, data["from"], anchor="middle", bold=True)
    picture.line(126, 44, 126, top - 3, "faint", 1.5, arrow=True)
    picture.box(574, top, 86, bottom - top, stroke="green")
    for index, word in enumerate(data["to"]):
        middle = (top + bottom) / 2 - 9 * (len(data["to"]) - 1) + 5
        picture.text(
            617, middle + 18 * index, word, anchor="middle", size=13, bold=index == 0, colour="green"
        )
    for index, one in enumerate(gates):
        y = top + step * index
        last = index + 1 == len(gates)
        picture.box(20, y, 212, 46, dash="" if last else "5 3")
        picture.text(126, y + 28, one["asks"], anchor="middle", size=13.5)
        if not last:
            picture.line(126, y + 46, 126, y + step - 3, "faint", 1.5, arrow=True)
            picture.text(134, y + 58, "no", size=11.5, colour="faint")
            picture.text(238, y + 18, "yes", size=11.5, colour="faint")
        picture.line(232, y + 23, 268, y + 23, "faint", 1.5, arrow=True)
        picture.box(271, y, 266, 46, stroke=one["kind"])
        picture.text(283, y + 19, one["way"], size=13.5, bold=True)
        picture.text(
            283, y + 37, one["cost"], size=12.5, colour="amber" if one["kind"] == "orange" else one["kind"]
        )
        picture.line(537, y + 23, 571, y + 23, "faint", 1.5, arrow=True)
    picture.text(
        20, bottom + 28, "green: no thread; orange: a thread of the library", size=12.5, colour="faint"
    )
    return picture


PICTURES = {"race": race, "history": history, "confirm": confirm, "delays": delays, "house": house, "gate": gate}


def main():
    """Writes or compares."""
    wrong = 0
    for name, draw in PICTURES.items():
        for theme in ("light", "dark"):
            path = HERE / f"{name}-{theme}.svg"
            text = str(draw(theme))
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
            elif not path.exists() or path.read_text(encoding="utf-8") != text:
                print(f"{path.name} is not what draw.py draws; run make pictures")
                wrong += 1
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
