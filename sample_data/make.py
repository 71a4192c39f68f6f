"""Write the sample tables: `python sample_data/make.py [FOLDER]`. The same bytes every time.

An invented film service. Users belong to taste groups, which like some genres and dislike others, and drift towards a
second group; films differ in popularity and quality, come out over the years and are most in demand when new; who has
seen one part of a series tends to watch the next; ratings follow taste and quality.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

USERS, ITEMS, ROWS, TASTES = 500, 300, 20_000, 8
START, DAYS, DAY = 1609459200, 3 * 365, 86400  # from 2021-01-01 UTC
GENRES, OCCUPATIONS, FIRST, SECOND = map(
    str.split,
    (
        "Action Adventure Animation Comedy Crime Drama Family Horror Musical Mystery Romance SciFi War Western",
        "artist clerk cook doctor driver engineer farmer lawyer nurse retired student teacher",
        "Amber Brass Crooked Distant Empty Frozen Gentle Hollow Iron Last Midnight Paper Quiet Second Velvet",
        "Anchor Bridge Carnival Dynasty Engine Garden Harbor Island Lantern Mirror Orchard Railway Signal Tide",
    ),
)

# The stream of RandomState is frozen for good; that of a Generator may change with numpy.
Random = np.random.RandomState
Array = NDArray[Any]


@dataclass(frozen=True)
class Films:
    """``genres`` (films, genres) is 0 or 1; the parts of a series have one number in ``series`` and stand in order."""

    title: list[str]
    genres: Array
    year: Array
    series: Array


@dataclass(frozen=True)
class People:
    """``taste`` (people, 2): the first taste and the one that it drifts towards."""

    taste: Array
    age: Array
    gender: Array
    occupation: Array


def make_films(random: Random) -> Films:
    """Films in series of one to four parts, which share their genres and come out in different years."""
    title: list[str] = []
    genres, series = np.zeros((ITEMS, len(GENRES))), np.zeros(ITEMS, int)
    for number, name in enumerate(random.permutation([f"{first} {second}" for first in FIRST for second in SECOND])):
        some = random.choice(len(GENRES), 1 + random.randint(3), replace=False)
        for part in ("", " II", " III", " IV")[: min(random.choice([1, 1, 1, 2, 3, 4]), ITEMS - len(title))]:
            genres[len(title), some], series[len(title)] = 1, number
            title.append(name + part)
    year = 2023 - np.floor(45 * random.random_sample(ITEMS) ** 2).astype(int)
    for i in range(1, ITEMS):
        if series[i] == series[i - 1]:
            year[i] = min(year[i - 1] + 1 + random.randint(3), 2023)
    return Films(title, genres, year, series)


def make_people(random: Random) -> People:
    """Users; the first taste goes with age, gender and occupation with nothing."""
    taste = random.randint(TASTES, size=(USERS, 2))
    age = np.clip(np.rint(18 + 5 * taste[:, 0] + random.normal(0, 9, USERS)), 14, 80).astype(int)
    work = np.array(OCCUPATIONS)[random.randint(len(OCCUPATIONS), size=USERS)]
    return People(taste, age, random.choice(["F", "M"], USERS), np.where(age > 64, "retired", work))


def counts(random: Random) -> Array:
    """Rows a user: skewed, ten at least, ROWS in all."""
    share = np.exp(random.normal(0, 0.6, USERS))
    ends = np.rint(np.cumsum(share) / share.sum() * (ROWS - 10 * USERS)).astype(int)
    rows: Array = 10 + np.diff(ends, prepend=0)
    return rows


def make_events(random: Random, films: Films, people: People) -> list[tuple[int, int, int, int]]:
    """(time, user, item, rating), in the order of time."""
    loves = np.stack([random.permutation([3, 2, 2] + [0] * (len(GENRES) - 5) + [-1, -1]) for _ in range(TASTES)])
    fit = loves @ films.genres.T / films.genres.sum(axis=1)  # (tastes, items): the mean over a film's genres
    demand = (random.permutation(ITEMS) + 8.0) ** -0.7
    quality, mood = random.normal(0, 0.5, ITEMS), random.normal(0, 0.4, USERS)
    release = (films.year - 2021) * 365 + random.randint(300, size=ITEMS)  # the day
    sequel = np.append(films.series[1:] == films.series[:-1], False)
    events = []
    for user, n in enumerate(counts(random)):
        joined = random.randint(DAYS - 60)
        days = joined + np.sort(random.random_sample(n)) * (DAYS - joined)
        seen, last = np.zeros(ITEMS, bool), -1
        for day in days:
            drift = 0.5 * day / DAYS
            liking = (1 - drift) * fit[people.taste[user, 0]] + drift * fit[people.taste[user, 1]]
            age = day - release
            pull = demand * np.exp(1.6 * liking) * (1 + 3 * np.exp(-np.maximum(age, 0) / 120)) * (age >= 0) * ~seen
            if last >= 0 and sequel[last]:
                pull[last + 1] *= 10
            item = draw(random, pull)
            rating = 3.2 + quality[item] + mood[user] + 0.6 * liking[item] + random.normal(0, 0.6)
            events.append((START + int(day * DAY), user, item, int(np.clip(np.rint(rating), 1, 5))))
            seen[item], last = True, item
    return sorted(events)


def draw(random: Random, weights: Array) -> int:
    """An index, with odds as ``weights``: in whole numbers, so that no processor's last digit changes the choice."""
    bounds = np.cumsum(np.rint(1e6 * weights / weights.max()).astype(np.int64))
    return int(np.searchsorted(bounds, int(random.random_sample() * bounds[-1]), side="right"))


def write(path: Path, header: str, rows: list[tuple[object, ...]]) -> None:
    """An atomic file: tab-separated, its header `name:type`."""
    lines = [header.replace(" ", "\t"), *("\t".join(map(str, row)) for row in rows)]
    path.write_bytes(("\n".join(lines) + "\n").encode())


def main(folder: Path) -> None:
    """Draw everything from one seed and write the three files."""
    random = Random(2020)
    films, people = make_films(random), make_people(random)
    events = make_events(random, films, people)
    write(
        folder / "sample.inter",
        "user_id:token item_id:token rating:float timestamp:float",
        [(f"u{user + 1}", f"i{item + 1}", rating, time) for time, user, item, rating in events],
    )
    write(
        folder / "sample.user",
        "user_id:token age:float gender:token occupation:token",
        [(f"u{user + 1}", people.age[user], people.gender[user], people.occupation[user]) for user in range(USERS)],
    )
    genres = [" ".join(np.array(GENRES)[mine > 0]) for mine in films.genres]
    write(
        folder / "sample.item",
        "item_id:token title:token_seq release_year:float genres:token_seq",
        [(f"i{item + 1}", films.title[item], films.year[item], genres[item]) for item in range(ITEMS)],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
