"""The search for a rate that is carried without loss (RFC 2544 section 26.1), in the manner of MLRsearch
(draft-ietf-bmwg-mlrsearch): trials are repeated, and a rate is judged by most of them, so that one disturbed trial
decides nothing. It knows no gateway: `measure` is any function of a rate and a length."""
import time
from typing import Callable, NamedTuple, Optional


class Trial(NamedTuple):
    rate: float  # packets a second, intended
    seconds: float
    loss: float  # share of what was offered
    offered: bool = True  # the generator sent what was intended
    received: float = 0.0  # packets a second that arrived while it sent


class Goal(NamedTuple):
    name: str
    loss: float  # the largest share that may be lost


class Precision(NamedTuple):
    width: float = 0.005  # of the interval between the bounds, as a share of the upper one
    seconds: float = 60.0  # length of a trial that counts
    trials: int = 3  # of which most decide, so that each bound has two on its side
    budget: float = float("inf")  # seconds for a goal; what is found until then is given, and said to be no better


class Found(NamedTuple):
    goal: Goal
    rate: float  # the highest that keeps the goal; 0: none does
    above: Optional[float]  # the lowest known not to keep it; None: even the highest rate does
    trials: int
    precise: bool  # the interval is as narrow as was asked for
    limit: str  # what the upper bound is: "loss", "generator" (it did not offer more) or "highest"

    @property
    def width(self):
        return 1.0 if self.above is None or self.above == 0 else (self.above - self.rate) / self.above


class Search:
    """One for all goals of a device: they share their trials."""

    def __init__(self, measure: Callable[[float, float], Trial], precision: Precision, highest: float, lowest: float = 1000.0,
                 clock: Callable[[], float] = time.monotonic):
        self.measure, self.precision, self.highest, self.lowest, self.clock = measure, precision, highest, lowest, clock
        self.trials: dict[float, list[Trial]] = {}

    def verdict(self, rate: float, goal: Goal) -> Optional[bool]:
        """True: the rate keeps the goal. False: it does not. None: more trials are needed."""
        made = self.trials.get(rate, [])
        wanted = max(self.precision.trials, len(made))
        bad = sum(1 for trial in made if trial.loss > goal.loss or not trial.offered)
        if (bad + wanted - len(made)) * 2 < wanted:
            return True
        return False if bad * 2 >= wanted else None

    def judge(self, rate: float, goal: Goal) -> bool:
        while (keeps := self.verdict(rate, goal)) is None:
            self.trials.setdefault(rate, []).append(self.measure(rate, self.precision.seconds))
        return keeps

    def bounds(self, goal: Goal):
        """A rate that does not keep the goal outweighs all above it that do."""
        above = min((rate for rate in self.trials if self.verdict(rate, goal) is False), default=None)
        below = max((rate for rate in self.trials if self.verdict(rate, goal) and (above is None or rate < above)), default=None)
        return below, above

    def find(self, goal: Goal, guess: float) -> Found:
        end = self.clock() + self.precision.budget
        step = 2 * self.precision.width
        rate = min(max(guess, self.lowest), self.highest)
        while True:
            below, above = self.bounds(goal)
            if below is not None and above is not None:
                if (above - below) / above <= self.precision.width or self.clock() >= end:
                    break
                rate = (below + above) / 2
            elif below is not None:
                if below >= self.highest or self.clock() >= end:
                    break
                rate, step = min(below * (1 + step), self.highest), step * 2
            elif above is not None:
                if above <= self.lowest or self.clock() >= end:
                    break
                rate, step = max(above * (1 - min(step, 0.5)), self.lowest), step * 2
            self.judge(rate, goal)
        return self.result(goal)

    def result(self, goal: Goal) -> Found:
        below, above = self.bounds(goal)
        count = sum(len(made) for made in self.trials.values())
        precise = above is None if below is None or above is None else (above - below) / above <= self.precision.width
        limit = "highest" if above is None else self.limit_at(above, goal)
        return Found(goal, below or 0.0, above, count, precise, limit)

    def limit_at(self, rate: float, goal: Goal) -> str:
        return "loss" if any(trial.loss > goal.loss for trial in self.trials[rate]) else "generator"
