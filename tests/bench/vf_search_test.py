#!/usr/bin/env python3
"""The search of bench/vf beside dumb oracles: devices that are simulated, whose capacity is known."""
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench" / "vf"))
from search import Found, Goal, Precision, Search, Trial

NDR, PDR = Goal("ndr", 0.0), Goal("pdr", 0.005)
WIDTH = 0.005


class Device:
    """Loses what is above its capacity, and the share `disturbed` of trials loses something at any rate."""

    def __init__(self, capacity, disturbed=0.0, seed=1, highest_offer=float("inf")):
        self.capacity, self.disturbed, self.random, self.highest_offer = capacity, disturbed, random.Random(seed), highest_offer
        self.trials, self.seconds = 0, 0.0

    def loss(self, rate):
        return max(0.0, 1 - self.capacity / rate)

    def __call__(self, rate, seconds):
        self.trials += 1
        self.seconds += seconds
        offered = rate <= self.highest_offer
        loss = self.loss(min(rate, self.highest_offer))
        if self.random.random() < self.disturbed:
            loss = max(loss, self.random.uniform(0.006, 0.3))
        return Trial(rate, seconds, loss, offered, min(rate, self.highest_offer) * (1 - loss))


def oracle(device, goal, highest):
    """Every rate from below, a tenth of the precision apart, until one does not keep the goal."""
    rate, kept = device.capacity / 2, 0.0
    while rate <= highest and device.loss(rate) <= goal.loss:
        kept, rate = rate, rate * (1 + WIDTH / 10)
    return kept


def search(device, goal, guess, highest=1e8, **precision):
    return Search(device, Precision(**{"width": WIDTH, "seconds": 1.0, **precision}), highest).find(goal, guess)


class AQuietDevice(unittest.TestCase):
    def test_agrees_with_the_oracle(self):
        draw = random.Random(7)
        for _ in range(40):
            device = Device(10 ** draw.uniform(4, 7.5))
            for goal in (NDR, PDR):
                found = search(device, goal, device.capacity * draw.uniform(0.3, 3))
                right = oracle(device, goal, 1e8)
                self.assertTrue(found.precise)
                self.assertLessEqual(found.rate, right * (1 + WIDTH / 10))
                self.assertGreaterEqual(found.rate, right * (1 - 1.2 * WIDTH))
                self.assertLessEqual(found.width, WIDTH)
                self.assertEqual(found.limit, "loss")

    def test_needs_few_trials(self):
        for guess in (0.98, 1.02, 0.5, 2.0):
            device = Device(1e6)
            search(device, NDR, 1e6 * guess)
            self.assertLess(device.trials, 40, guess)

    def test_each_bound_has_two_trials_on_its_side(self):
        device = Device(1e6)
        made = Search(device, Precision(WIDTH, 1.0), 1e8)
        found = made.find(NDR, 1e6)
        self.assertGreaterEqual(sum(trial.loss == 0 for trial in made.trials[found.rate]), 2)
        self.assertGreaterEqual(sum(trial.loss > 0 for trial in made.trials[found.above]), 2)

    def test_goals_share_their_trials(self):
        device = Device(1e6)
        made = Search(device, Precision(WIDTH, 1.0), 1e8)
        made.find(PDR, 1e6)
        before = device.trials
        made.find(NDR, 1e6)
        alone = Device(1e6)
        search(alone, NDR, 1e6)
        self.assertLess(device.trials - before, alone.trials)


class ADisturbedDevice(unittest.TestCase):
    def test_single_trials_decide_nothing(self):
        """A fifth of the trials is disturbed, so a rate is misjudged (two of three) about once in ten."""
        close = 0
        for seed in range(60):
            device = Device(1e6, disturbed=0.2, seed=seed)
            found = search(device, NDR, 2.3e6)
            self.assertLessEqual(found.rate, 1e6, "a disturbance never makes a device better")
            close += found.rate >= 0.98e6
        self.assertGreater(close, 40)

    def test_more_trials_are_better(self):
        def close(trials):
            return sum(search(Device(1e6, disturbed=0.2, seed=seed), NDR, 2.3e6, trials=trials).rate >= 0.98e6 for seed in range(60))
        one, three, seven = close(1), close(3), close(7)
        self.assertGreater(three, one)
        self.assertGreater(seven, three)
        self.assertGreater(seven, 52)


class TheEnds(unittest.TestCase):
    def test_a_device_that_loses_at_every_rate(self):
        found = search(Device(1e6, disturbed=1.0), NDR, 1e6)
        self.assertEqual(found.rate, 0.0)
        self.assertEqual(found.above, 1000.0)
        self.assertFalse(found.precise)

    def test_a_device_that_never_loses(self):
        found = search(Device(1e12), NDR, 1e6, highest=2e7)
        self.assertEqual((found.rate, found.above, found.limit), (2e7, None, "highest"))

    def test_a_generator_that_offers_less(self):
        found = search(Device(1e9, highest_offer=5e5), NDR, 1e6)
        self.assertEqual(found.limit, "generator")
        self.assertLessEqual(found.rate, 5e5)
        self.assertGreaterEqual(found.rate, 5e5 * (1 - 1.2 * WIDTH))

    def test_a_budget_ends_it_and_it_says_so(self):
        device = Device(1e6)
        found = Search(device, Precision(1e-9, 1.0, budget=20.0), 1e8, clock=lambda: device.seconds).find(NDR, 3e6)
        self.assertFalse(found.precise)
        self.assertLess(device.seconds, 24)
        self.assertIsInstance(found, Found)

    def test_a_rate_that_passes_above_one_that_does_not_counts_for_nothing(self):
        made = Search(Device(1e6), Precision(WIDTH, 1.0), 1e8)
        made.trials = {9e5: [Trial(9e5, 1, 0.1)] * 3, 9.5e5: [Trial(9.5e5, 1, 0.0)] * 3, 8e5: [Trial(8e5, 1, 0.0)] * 3}
        self.assertEqual(made.bounds(NDR), (8e5, 9e5))


if __name__ == "__main__":
    unittest.main()
