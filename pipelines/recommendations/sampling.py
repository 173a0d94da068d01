"""Made-up visits to a shop, in the statistics of Retailrocket's events: see `events` for what is alike.

Nothing here reads or resembles a real visitor; the models are told none of the hidden traits.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

import numpy as np

FIRST_MS, DAYS = 1_430_622_000_000, 138
DAY_MS = 86_400_000
EVENTS_PER_VISITOR, EVENTS_PER_ITEM = 1.96, 11.7
ONE_EVENT = 0.71
ITEMS_PER_CATEGORY, TIERS = 40, 3
WEEKS = DAYS // 7 + 1
Event = tuple[int, int, str, int, str]


class Shop:
    """Items in categories and price tiers, whose appeal changes from week to week."""

    def __init__(self, random: np.random.Generator, items: int) -> None:
        self.ids = random.permutation(items * 2)[:items].tolist()
        categories = max(6, items // ITEMS_PER_CATEGORY)
        size = 1.0 / (np.arange(categories) + 4.0)
        category = random.choice(categories, items, p=size / size.sum())
        cell = category * TIERS + random.choice(TIERS, items, p=(0.45, 0.35, 0.2))
        appeal = np.exp(random.normal(0, 1.0, items))
        # Four items in ten are launched during the period; most cool down, some slowly come into fashion.
        launch = np.where(
            random.random(items) < 0.4, random.uniform(0, WEEKS, items), -random.exponential(15, items)
        )
        trend = random.normal(-0.08, 0.11, items)
        self.cells: list[list[int]] = [np.flatnonzero(cell == c).tolist() for c in range(categories * TIERS)]
        self.categories, self.cell = categories, cell.tolist()
        self._sums: list[list[list[float]]] = []
        for week in range(WEEKS):
            age = week - launch
            weight = appeal * np.exp(trend * np.clip(age, 0, 20)) * (age >= 0)
            self._sums.append([list(accumulate(weight[members].tolist())) for members in self.cells])
        self.weight = np.array([[sums[-1] if sums else 0.0 for sums in week] for week in self._sums])

    def draw(self, cell: int, week: int, u: float) -> int:
        """An item of the cell by its appeal in that week, for u uniform in [0, 1); -1 from an empty shelf."""
        sums = self._sums[week][cell]
        if not sums or sums[-1] <= 0:
            return -1
        return self.cells[cell][min(bisect_right(sums, u * sums[-1]), len(sums) - 1)]

    def beside(self, item: int, u: float) -> int:
        """One of the six items shown on an item's page: its neighbours on the shelf."""
        shelf = self.cells[self.cell[item]]
        place = shelf.index(item) + (-3, -2, -1, 1, 2, 3)[int(u * 6)]
        return shelf[place % len(shelf)]


class Crowd:
    """Taste clusters: each likes a few categories, one of the price tiers, and buys more or less readily."""

    def __init__(self, random: np.random.Generator, shop: Shop) -> None:
        clusters = max(4, shop.categories // 3)
        popular = np.array([len(members) for members in shop.cells]).reshape(-1, TIERS).sum(axis=1) + 1.0
        liked = [
            random.choice(shop.categories, 4, replace=False, p=popular / popular.sum())
            for _ in range(clusters)
        ]
        self.liked = [c.tolist() for c in liked]
        share = np.array([popular[c].sum() for c in liked])
        self.share = share / share.sum()


def events(rows: int, seed: int) -> list[Event]:
    """`rows` events (ms, visitor, kind, item, transaction), in no order of time, as in the official file.

    Alike: 1.96 events per visitor and 71 % of visitors with a single one, the others with a heavy tail; 11.7 events
    per item, spread over items with a long tail; 96.7 / 2.5 / 0.8 % views, carts and purchases, in that order and
    more of them from some visitors than from others; sessions of minutes, returns after days, views repeated;
    categories, of which a visitor likes a few with others of the same taste; pages that show similar items;
    items that are launched, come into fashion and go; quiet nights.
    """
    random = np.random.default_rng(seed)
    shop = Shop(random, max(60, round(rows / EVENTS_PER_ITEM)))
    crowd = Crowd(random, shop)
    count = round(1.15 * rows / EVENTS_PER_VISITOR) + 10
    ids = random.permutation(count).tolist()
    events: list[Event] = []
    sizes = np.where(
        random.random(count) < ONE_EVENT, 1, 2 + np.minimum(random.pareto(1.9, count) * 2.4, 200).astype(int)
    )
    clusters = random.choice(len(crowd.liked), count, p=crowd.share)
    starts = random.uniform(0, DAYS, count)
    for visitor in range(count):
        if len(events) >= rows:
            break
        visit = Visit(random, shop, crowd.liked[clusters[visitor]], float(starts[visitor]))
        events += visit.events(ids[visitor], int(sizes[visitor]), len(events))
    return [events[i] for i in random.permutation(len(events))[:rows]]


class Visit:
    """One visitor's way through the shop."""

    def __init__(self, random: np.random.Generator, shop: Shop, liked: list[int], start: float) -> None:
        self._random, self._shop, self._liked = random, shop, liked
        self._tier = int(random.choice(TIERS, p=(0.45, 0.35, 0.2)))
        self._buys = random.beta(0.35, 12.5)
        # Around six in the evening, as the period begins at three in the night.
        self._day = int(start) + float(random.normal(0.6, 0.18)) % 1.0

    def events(self, visitor: int, size: int, transaction: int) -> list[Event]:
        """Up to `size` events and the carts and purchases that follow; fewer where the period ends before."""
        events: list[Event] = []
        item = cell = -1
        draws = self._random.random((size, 7)).tolist()
        for u in draws:
            if item >= 0 and u[0] < 0.3:
                # Comes back another day, often for something else that it likes.
                self._day += self._random.lognormal(1.2, 1.3)
                cell = cell if u[1] < 0.45 else -1
                item = item if u[2] < 0.25 else -1
            if self._day >= DAYS:
                break
            cell, item = self._next(cell, item, u)
            if item < 0:
                continue
            events += self._look(visitor, item, u, transaction + len(events))
        return events

    def _next(self, cell: int, item: int, u: list[float]) -> tuple[int, int]:
        week = int(self._day) // 7
        if item >= 0 and u[3] < 0.18:
            return cell, item
        if item >= 0 and u[3] < 0.45:
            return cell, self._shop.beside(item, u[4])
        if cell < 0 or u[3] > 0.9:
            # The first of its tastes most; anything, now and then.
            taste = self._liked[min(int(u[5] ** 1.6 * 4), 3)]
            category = taste if u[6] < 0.9 else int(u[4] * self._shop.categories)
            tier = self._tier if u[2] < 0.75 else int(u[1] * TIERS)
            cell = category * TIERS + tier
        return cell, self._shop.draw(cell, week, self._random.random())

    def _look(self, visitor: int, item: int, u: list[float], transaction: int) -> list[Event]:
        def at(minutes: float) -> int:
            self._day += minutes / 1440
            return FIRST_MS + int(self._day * DAY_MS)

        name = self._shop.ids[item]
        events: list[Event] = [(at(1 + 4 * u[1]), visitor, "view", name, "")]
        if self._random.random() < self._buys:
            events.append((at(1), visitor, "addtocart", name, ""))
            if self._random.random() < 0.32:
                events.append((at(5), visitor, "transaction", name, str(transaction)))
        return events
