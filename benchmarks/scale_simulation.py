"""Simulate how rate and number of shards affect throughput and throttling, without waiting.

`python benchmarks/scale_simulation.py` prints a table; `--write` puts it into
docs/explanation/rate-limits.md and draws its plot. The shards use the limiters and the retry policy
of wps-run on a simulated clock, against a service that accepts a number of requests per second and
responds with 429 to the rest. Random choices are seeded, so the same arguments give the same table.
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
"""Requests per second that one unit of the service accepts."""

LATENCY = 0.02
"""Seconds to a response; each varies by up to a quarter."""

WORK = 20
"""Seconds that the plan needs at the service's limit."""

SPREAD = 2.0
"""Seconds in which the orchestrator starts all shards."""

SHARDS = (1, 10, 100, 1000)
RATES = (0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, None)
"""`rate` as a share of the service's limit; None for no `rate`."""

Event = Callable[[float], None]
"""Called at a moment of the simulated clock, with that moment."""

JOIN = ACTIONS["addUserToGroup"]
DOCS = Path(__file__).parent.parent / "docs"
DOCUMENT = DOCS / "explanation" / "rate-limits.md"
PLOT = DOCS / "scale-out" / "simulation.svg"

OK = Reply(200)
THROTTLED = Reply(429)


@dataclass(frozen=True, slots=True)
class Case:
    """One simulated run.

    Attributes:
        units: Units of the service.
        shards: The number of shards.
        part: `rate` as a share of the limit, or None for no `rate`.
    """

    units: int
    shards: int
    part: float | None

    @property
    def limit(self) -> int:
        """Requests per second that the service accepts."""
        return self.units * UNIT


@dataclass(slots=True)
class Outcome:
    """The outcome of a case.

    Attributes:
        done: When each action was applied, in seconds from the start of the first shard.
        requests: The number of requests.
        refused: The number of responses with 429.
        statuses: The count of each status.
        ended: When the last action ended.
    """

    done: list[float] = field(default_factory=list)
    requests: int = 0
    refused: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    ended: float = 0.0

    @property
    def useful(self) -> float:
        """Actions applied per second between a tenth and half of them.

        This excludes the start, and the end, when only the largest shards run.
        """
        count = len(self.done)
        return 0.4 * count / (self.done[count // 2] - self.done[count // 10])

    @property
    def refused_part(self) -> float:
        """The share of refused requests."""
        return self.refused / self.requests


class Service:
    """Accepts a number of requests in each second of its clock, and refuses the rest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._second = 0
        self._taken = 0

    def reply_to(self, now: float) -> Reply:
        """Return the reply to a request that arrives now."""
        if int(now) != self._second:
            self._second, self._taken = int(now), 0
        if self._taken >= self._limit:
            return THROTTLED
        self._taken += 1
        return OK


class Process:
    """One shard: what may start when, as in the executor, without an event loop.

    Args:
        options: Its options, with its share of the rate.
        actions: The number of its actions.
    """

    def __init__(self, options: RunOptions, actions: int) -> None:
        self._rate = RateLimiter(options.rate)
        self._limiter = ConcurrencyLimiter(options.concurrency)
        self._policy = RetryPolicy(options.retry)
        self._fresh = actions
        self._due: list[tuple[float, int, AttemptHistory]] = []
        self._number = 0

    def start(self, now: float) -> AttemptHistory | None:
        """Start the next attempt if one may start now; return its history."""
        if self._limiter.is_full or self._next_at > now:
            return None
        if self._due and self._due[0][0] <= now:
            history = heapq.heappop(self._due)[2]
        elif self._fresh:
            self._fresh -= 1
            history = AttemptHistory()
        else:
            return None
        self._rate.reserve(now)
        self._limiter.in_flight += 1
        return history

    def next_moment(self) -> float | None:
        """Return when the next attempt may start without a further reply, or None."""
        if self._limiter.is_full or not (self._fresh or self._due):
            return None
        return self._next_at if self._fresh else max(self._next_at, self._due[0][0])

    def end(
        self,
        history: AttemptHistory,
        reply: Reply,
        sent: float,
        now: float,
        chance: Callable[[], float],
    ) -> Status | None:
        """Process a reply.

        Returns:
            The status of its action, or None if another attempt follows.
        """
        history = history.after(JOIN, reply)
        if is_throttling(reply):
            self._limiter.throttled(sent, now, self._policy.throttle_pause(history, chance()))
        else:
            self._limiter.accepted(sent)
        self._limiter.in_flight -= 1
        decision = self._policy.decide(JOIN, Delivery.AT_MOST_ONCE, history, chance())
        if isinstance(decision, Finish):
            return decision.status
        self._number += 1
        heapq.heappush(self._due, (now + decision.delay, self._number, history))
        return None

    @property
    def _next_at(self) -> float:
        return max(self._rate.next_at, self._limiter.next_at)


def simulate(case: Case, seed: int = 8) -> Outcome:
    """Simulate a case."""
    return _Simulation(case, random.Random(seed)).run()  # noqa: S311 -- repeatable


class _Simulation:
    """A simulated clock with a heap of events: a shard's turn, a request, or a reply."""

    def __init__(self, case: Case, chance: random.Random) -> None:
        rate = case.part and case.part * case.limit
        whole = RunOptions(rate=rate, concurrency=16, retry=RetryOptions())
        shares = _shares(WORK * case.limit, case.shards)
        self._chance = chance.random
        self._service = Service(case.limit)
        self._outcome = Outcome()
        self._events: list[tuple[float, int, Event]] = []
        self._number = 0
        for number, actions in enumerate(shares, start=1):
            process = Process(Shard(number, case.shards).limit_rate(whole), actions)
            self._at(self._chance() * SPREAD, self._turn(process))

    def run(self) -> Outcome:
        """Process all events in order."""
        while self._events:
            now, _, event = heapq.heappop(self._events)
            event(now)
        return self._outcome

    def _at(self, moment: float, event: Event) -> None:
        self._number += 1
        heapq.heappush(self._events, (moment, self._number, event))

    def _turn(self, process: Process) -> Event:
        """Return the event that starts all attempts that may start, and schedules the next turn."""
        next_turn = math.inf

        def turn(now: float) -> None:
            nonlocal next_turn
            if next_turn <= now:
                next_turn = math.inf
            while (history := process.start(now)) is not None:
                self._send(process, history, now, turn)
            moment = process.next_moment()
            if moment is not None and moment < next_turn:
                next_turn = max(now, moment)
                self._at(next_turn, turn)

        return turn

    def _send(self, process: Process, history: AttemptHistory, sent: float, turn: Event) -> None:
        """Send a request; process its reply after the latency, then give the shard a turn."""
        one_way = LATENCY * (0.75 + self._chance() / 2) / 2

        def arrive(now: float) -> None:
            reply = self._service.reply_to(now)
            self._outcome.requests += 1
            self._outcome.refused += reply is THROTTLED
            self._at(now + one_way, lambda then: process_reply(reply, then))

        def process_reply(reply: Reply, now: float) -> None:
            status = process.end(history, reply, sent, now, self._chance)
            if status:
                self._outcome.statuses[status] += 1
                self._outcome.ended = now
                if status is Status.OK:
                    self._outcome.done.append(now)
            turn(now)

        self._at(sent + one_way, arrive)


def _shares(actions: int, shards: int) -> list[int]:
    """Return the number of actions of each shard, as a hash distributes them."""
    chance = random.Random(shards)  # noqa: S311 -- repeatable
    sizes = Counter(chance.randrange(shards) for _ in range(actions))
    return [sizes[number] for number in range(shards)]


HEAD = (
    "| shards | rate / limit | seconds | done a second | of the limit | 429s | failed |\n"
    "|--:|--:|--:|--:|--:|--:|--:|\n"
)


def row(case: Case, outcome: Outcome) -> str:
    """Return a row of the table."""
    part = "none" if case.part is None else f"{case.part:.2f}"
    failed = outcome.statuses.total() - outcome.statuses[Status.OK]
    return (
        f"| {case.shards:,} | {part} | {outcome.ended:.1f} | {outcome.useful:,.0f} | "
        f"{outcome.useful / case.limit:.2f} | {outcome.refused_part:.1%} | {failed:,} |\n"
    )


WIDTH, HEIGHT, LEFT, TOP, GAP = 340, 240, 60, 50, 90
COLORS = ("#1b6ca8", "#2a9d5c", "#d98200", "#b3261e")


def plot(outcomes: Sequence[tuple[Case, Outcome]]) -> str:
    """Draw two charts side by side: the throughput, and the share of refused requests."""
    size = f'width="{2 * (LEFT + WIDTH) + GAP}" height="{TOP + HEIGHT + 80}"'
    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        *_chart(
            0, "Done a second, of the limit", outcomes, lambda pair: pair[1].useful / pair[0].limit
        ),
        *_chart(LEFT + WIDTH + GAP // 2, "Requests refused (429)", outcomes, _refused_part),
        "</svg>\n",
    ]
    return "\n".join(pieces)


def _refused_part(pair: tuple[Case, Outcome]) -> float:
    return pair[1].refused_part


def _chart(
    x: int,
    title: str,
    outcomes: Iterable[tuple[Case, Outcome]],
    value: Callable[[tuple[Case, Outcome]], float],
) -> Iterator[str]:
    lines: dict[int, deque[tuple[float, float]]] = {}
    for pair in outcomes:
        case = pair[0]
        if case.part is not None:
            lines.setdefault(case.shards, deque()).append((case.part, value(pair)))
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
    for place, ((shards, points), color) in enumerate(zip(lines.items(), COLORS, strict=False)):
        path = " ".join(f"{_x(x, part)},{_y(high)}" for part, high in points)
        yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'
        key = x + LEFT + place * 88
        name = f"{shards:,} {'shard' if shards == 1 else 'shards'}"
        yield f'<text x="{key}" y="{TOP + HEIGHT + 62}" fill="{color}">{name}</text>'


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
    parser.add_argument(
        "--write", action="store_true", help="write the table into docs/explanation/rate-limits.md"
    )
    args = parser.parse_args()
    outcomes = []
    print(HEAD, end="")
    for shards in args.shards:
        for part in args.rates:
            case = Case(args.units, shards, part)
            outcomes.append((case, simulate(case)))
            print(row(*outcomes[-1]), end="", flush=True)
    if args.write:
        table = HEAD + "".join(row(*pair) for pair in outcomes)
        DOCUMENT.write_text(_between_marks(DOCUMENT.read_text("utf-8"), table), "utf-8")
        PLOT.write_text(plot(outcomes), "utf-8")


if __name__ == "__main__":
    main()
