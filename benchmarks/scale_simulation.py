"""What rate and how many shards give, and where throttling begins: a simulation, without waiting.

`python benchmarks/scale_simulation.py` prints a table; `--write` puts it into docs/scale-out.md and
draws the plot beside it. The shards are our own pace, throttle and retry policy on a simulated
clock, against a service that takes so many requests in each second and answers 429 to the rest.
Chance is seeded, so the same words give the same table.
"""

import argparse
import heapq
import math
import random
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wps_run.actions.table import ACTIONS
from wps_run.connect.reply import Reply
from wps_run.execution.limits import ConcurrencyLimiter, RateLimiter, is_throttling
from wps_run.execution.result import Status
from wps_run.execution.retry import AttemptHistory, Finish, RetryPolicy
from wps_run.playbook.options import Delivery, RetryOptions, RunOptions
from wps_run.playbook.shards import Shard

UNIT = 1000
"""Requests a second that one unit of the service takes."""

LATENCY = 0.02
"""Seconds to an answer, whatever it is; each has up to a quarter more or less."""

WORK = 20
"""Seconds that the plan takes at the service's limit."""

SPREAD = 2.0
"""Seconds within which an engine has started all shards."""

SHARDS = (1, 10, 100, 1000)
RATES = (0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, None)
"""Parts of the service's limit that `rate` asks for; None for no `rate` at all."""

Happen = Callable[[float], None]
"""What happens at a moment of the clock, given that moment."""

JOIN = ACTIONS["addUserToGroup"]
DOCUMENT = Path(__file__).parent.parent / "docs" / "scale-out.md"
PLOT = DOCUMENT.parent / "scale-out" / "simulation.svg"

OK = Reply(200)
TOO_MUCH = Reply(429)


@dataclass(frozen=True, slots=True)
class Case:
    """One simulated run.

    Attributes:
        units: Units of the service.
        shards: How many shards carry the plan out.
        part: The part of the limit that `rate` asks for, or None for no `rate`.
    """

    units: int
    shards: int
    part: float | None

    @property
    def limit(self) -> int:
        """Requests a second that the service takes."""
        return self.units * UNIT


@dataclass(slots=True)
class Outcome:
    """What came of a case.

    Attributes:
        done: When each action was carried out, in seconds from the start of the first shard.
        requests: How many were sent.
        refused: How many of them were answered with 429.
        statuses: How the actions ended.
        ended: When the last of them did.
    """

    done: list[float] = field(default_factory=list)
    requests: int = 0
    refused: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    ended: float = 0.0

    @property
    def useful(self) -> float:
        """Actions carried out a second, from a tenth of them done to half of them done.

        So neither the start counts nor the end, when only the largest shards are left.
        """
        count = len(self.done)
        return 0.4 * count / (self.done[count // 2] - self.done[count // 10])

    @property
    def refused_part(self) -> float:
        """The part of the requests that was refused."""
        return self.refused / self.requests


class Service:
    """Takes so many requests in each second of its clock, and refuses the rest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._second = 0
        self._taken = 0

    def answer(self, now: float) -> Reply:
        """What it says to a request that reaches it now."""
        if int(now) != self._second:
            self._second, self._taken = int(now), 0
        if self._taken >= self._limit:
            return TOO_MUCH
        self._taken += 1
        return OK


class Process:
    """One shard: what may start when, as in the executor, without an event loop.

    Args:
        options: Its options, the rate divided.
        actions: How many actions are its own.
    """

    def __init__(self, options: RunOptions, actions: int) -> None:
        self._pace = RateLimiter(options.rate)
        self._throttle = ConcurrencyLimiter(options.concurrency)
        self._policy = RetryPolicy(options.retry)
        self._fresh = actions
        self._due: list[tuple[float, int, AttemptHistory]] = []
        self._number = 0

    def start(self, now: float) -> AttemptHistory | None:
        """The next attempt, if one may start now; counted as in flight."""
        if self._throttle.full or self._opens > now:
            return None
        if self._due and self._due[0][0] <= now:
            trail = heapq.heappop(self._due)[2]
        elif self._fresh:
            self._fresh -= 1
            trail = AttemptHistory()
        else:
            return None
        self._pace.start(now)
        self._throttle.in_flight += 1
        return trail

    def next_moment(self) -> float | None:
        """When something may start even if no answer comes before; None when nothing may."""
        if self._throttle.full or not (self._fresh or self._due):
            return None
        return self._opens if self._fresh else max(self._opens, self._due[0][0])

    def end(
        self,
        trail: AttemptHistory,
        reply: Reply,
        sent: float,
        now: float,
        chance: Callable[[], float],
    ) -> Status | None:
        """Take in an answer.

        Returns:
            How its action ended, or None when there is to be another attempt.
        """
        trail = trail.after(reply)
        if is_throttling(reply):
            self._throttle.refused(sent, now, self._policy.hold(trail, chance()))
        else:
            self._throttle.borne(sent)
        self._throttle.in_flight -= 1
        decision = self._policy.decide(JOIN, Delivery.AT_MOST_ONCE, trail, chance())
        if isinstance(decision, Finish):
            return decision.status
        self._number += 1
        heapq.heappush(self._due, (now + decision.after, self._number, trail))
        return None

    @property
    def _opens(self) -> float:
        return max(self._pace.opens, self._throttle.opens)


def simulate(case: Case, seed: int = 8) -> Outcome:
    """Run a case to its end."""
    return _Simulation(case, random.Random(seed)).run()  # noqa: S311 -- to be repeated


class _Simulation:
    """The clock: a heap of what happens next. A shard's turn, a request, or an answer."""

    def __init__(self, case: Case, chance: random.Random) -> None:
        rate = case.part and case.part * case.limit
        whole = RunOptions(rate=rate, concurrency=16, retry=RetryOptions())
        shares = _shares(WORK * case.limit, case.shards)
        self._chance = chance.random
        self._service = Service(case.limit)
        self._outcome = Outcome()
        self._events: list[tuple[float, int, Happen]] = []
        self._number = 0
        for number, actions in enumerate(shares, start=1):
            process = Process(Shard(number, case.shards).limit_rate(whole), actions)
            self._at(self._chance() * SPREAD, self._turn(process))

    def run(self) -> Outcome:
        """Let everything happen, in order."""
        while self._events:
            now, _, happen = heapq.heappop(self._events)
            happen(now)
        return self._outcome

    def _at(self, moment: float, happen: Happen) -> None:
        self._number += 1
        heapq.heappush(self._events, (moment, self._number, happen))

    def _turn(self, process: Process) -> Happen:
        """What starts what may start in a shard, and comes again when more may."""
        wakes = math.inf

        def turn(now: float) -> None:
            nonlocal wakes
            if wakes <= now:
                wakes = math.inf
            while (trail := process.start(now)) is not None:
                self._send(process, trail, now, turn)
            moment = process.next_moment()
            if moment is not None and moment < wakes:
                wakes = max(now, moment)
                self._at(wakes, turn)

        return turn

    def _send(self, process: Process, trail: AttemptHistory, sent: float, turn: Happen) -> None:
        """A request goes its way; its answer comes back, and the shard goes on."""
        way = LATENCY * (0.75 + self._chance() / 2) / 2

        def arrive(now: float) -> None:
            reply = self._service.answer(now)
            self._outcome.requests += 1
            self._outcome.refused += reply is TOO_MUCH
            self._at(now + way, lambda back: answered(reply, back))

        def answered(reply: Reply, now: float) -> None:
            status = process.end(trail, reply, sent, now, self._chance)
            if status:
                self._outcome.statuses[status] += 1
                self._outcome.ended = now
                if status is Status.OK:
                    self._outcome.done.append(now)
            turn(now)

        self._at(sent + way, arrive)


def _shares(actions: int, shards: int) -> list[int]:
    """How many actions each shard has, as a hash deals them: not quite as many each."""
    deal = random.Random(shards)  # noqa: S311 -- to be repeated
    sizes = Counter(deal.randrange(shards) for _ in range(actions))
    return [sizes[number] for number in range(shards)]


HEAD = (
    "| shards | rate / limit | seconds | done a second | of the limit | 429s | failed |\n"
    "|--:|--:|--:|--:|--:|--:|--:|\n"
)


def row(case: Case, outcome: Outcome) -> str:
    """A line of the table."""
    part = "none" if case.part is None else f"{case.part:.2f}"
    failed = outcome.statuses.total() - outcome.statuses[Status.OK]
    return (
        f"| {case.shards:,} | {part} | {outcome.ended:.1f} | {outcome.useful:,.0f} | "
        f"{outcome.useful / case.limit:.2f} | {outcome.refused_part:.1%} | {failed:,} |\n"
    )


WIDTH, HEIGHT, LEFT, TOP, GAP = 340, 240, 60, 50, 90
INKS = ("#1b6ca8", "#2a9d5c", "#d98200", "#b3261e")


def plot(found: Sequence[tuple[Case, Outcome]]) -> str:
    """Two charts side by side: what is done a second, and how much is refused."""
    size = f'width="{2 * (LEFT + WIDTH) + GAP}" height="{TOP + HEIGHT + 80}"'
    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        *_chart(0, "Done a second, of the limit", found, lambda one: one[1].useful / one[0].limit),
        *_chart(LEFT + WIDTH + GAP // 2, "Requests refused (429)", found, _refused_part),
        "</svg>\n",
    ]
    return "\n".join(pieces)


def _refused_part(one: tuple[Case, Outcome]) -> float:
    return one[1].refused_part


def _chart(
    x: int,
    title: str,
    found: Iterable[tuple[Case, Outcome]],
    value: Callable[[tuple[Case, Outcome]], float],
) -> Iterator[str]:
    lines: dict[int, deque[tuple[float, float]]] = {}
    for one in found:
        if one[0].part is not None:
            lines.setdefault(one[0].shards, deque()).append((one[0].part, value(one)))
    yield f'<text x="{x + LEFT}" y="{TOP - 20}" font-weight="bold">{title}</text>'
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(tick)
        yield f'<path d="M{x + LEFT} {y}h{WIDTH}" stroke="#ddd"/>'
        yield f'<text x="{x + LEFT - 8}" y="{y + 4}" text-anchor="end">{tick:.0%}</text>'
    for part in RATES[:-1]:
        yield (
            f'<text x="{_x(x, part or 0)}" y="{TOP + HEIGHT + 18}" '
            f'text-anchor="middle">{part}</text>'
        )
    limit = _x(x, 1.0)
    yield f'<path d="M{limit} {TOP}v{HEIGHT}" stroke="#999" stroke-dasharray="4 3"/>'
    yield (
        f'<text x="{x + LEFT + WIDTH // 2}" y="{TOP + HEIGHT + 38}" '
        'text-anchor="middle">rate, as a part of the limit</text>'
    )
    for place, ((shards, points), ink) in enumerate(zip(lines.items(), INKS, strict=False)):
        path = " ".join(f"{_x(x, part)},{_y(high)}" for part, high in points)
        yield f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="2"/>'
        key = x + LEFT + place * 88
        name = f"{shards:,} {'shard' if shards == 1 else 'shards'}"
        yield f'<text x="{key}" y="{TOP + HEIGHT + 62}" fill="{ink}">{name}</text>'


def _x(left: int, part: float) -> float:
    return round(left + LEFT + (part - 0.5) / 1.5 * WIDTH, 1)


def _y(value: float) -> float:
    return round(TOP + HEIGHT * (1 - value), 1)


def _between_marks(text: str, table: str) -> str:
    marks = re.compile(r"(?<=<!-- simulation -->\n).*?(?=<!-- end of simulation -->)", re.DOTALL)
    return marks.sub(lambda _: table, text)


def main() -> None:
    """Print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=1)
    parser.add_argument("--shards", type=int, nargs="+", default=SHARDS)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--write", action="store_true", help="into docs/scale-out.md")
    words = parser.parse_args()
    found = []
    print(HEAD, end="")
    for shards in words.shards:
        for part in words.rates:
            case = Case(words.units, shards, part)
            found.append((case, simulate(case)))
            print(row(*found[-1]), end="", flush=True)
    if words.write:
        table = HEAD + "".join(row(*one) for one in found)
        DOCUMENT.write_text(_between_marks(DOCUMENT.read_text("utf-8"), table), "utf-8")
        PLOT.write_text(plot(found), "utf-8")


if __name__ == "__main__":
    main()
