"""timeSVD++: matrix factorisation of ratings by users who drift and items that come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recli.errors import Exit, RecliError
from recli.model import param
from recli.models.rating.descent import end_epoch, first_rows, learned
from recli.models.rating.svdpp import ImplicitRatings, added, events_of
from recli.scorers import entries, shaped

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from recli.interactions import Interactions, Queries
    from recli.kernels.svdpp import Changing, Learned
    from recli.model import Run
    from recli.scorers import Floats, Ints, Longs

    Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Clock:
    """What the times of train, from ``first`` to ``last``, make of a time: days, and bins of equal length."""

    first: float
    last: float
    day: float
    bins: int

    def days(self, time: Doubles) -> Doubles:
        """Whole days from the first one on."""
        days: Doubles = np.floor(time / self.day) - np.floor(self.first / self.day)
        return days

    def bin(self, time: Doubles) -> Ints:
        """From 0 to bins - 1; what is before or after train is in the first or the last."""
        share = (time - self.first) / max(self.last - self.first, np.finfo(np.float64).tiny)
        return np.clip(share * self.bins, 0, self.bins - 1).astype(np.int32)


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """Of each rating the user and the day (n,), and whether it is their first of that day; and the users' mean days."""

    user: Longs
    day: Doubles
    opens: NDArray[np.bool_]
    centre: Doubles

    @classmethod
    def of(cls, data: Interactions, days: Doubles) -> Calendar:
        """From the day of each rating, users together and in order of time."""
        numbers = np.diff(data.indptr)
        user = np.repeat(np.arange(data.n_users), numbers)
        opens = np.append(True, (user[1:] != user[:-1]) | (days[1:] != days[:-1]))
        centre = np.bincount(user, days, data.n_users) / np.maximum(numbers, 1)
        return cls(user=user, day=days, opens=opens, centre=centre)

    def matrix(self, values: Floats) -> csr_matrix:
        """Users × days: a value for each of the days on which a user rates, in the order in which they are opened."""
        from scipy.sparse import csr_matrix

        indptr = np.append(0, np.cumsum(np.bincount(self.user[self.opens], minlength=len(self.centre))))
        shape = (len(self.centre), int(self.day.max()) + 1)
        return csr_matrix((values, self.day[self.opens].astype(np.int64), indptr), shape=shape)


def tempered(days: Doubles, beta: float) -> Floats:
    """dev_u: the sign of a number of days, times their number to the power of beta."""
    return (np.sign(days) * np.abs(days) ** beta).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class TimeRatings(ImplicitRatings):
    """Ratings at the time of the query, which is the last of train where none is given.

    An item's row is that of its factors and, beside it, its bias in each bin of time. ``centre`` (users,) is a user's
    mean day, ``drift`` and ``slope`` what a user's row and bias are moved by with time, ``day_bias`` the biases of
    their days. What is not known, user, item or day, has zeros.
    """

    user: Floats = shaped("users factors")
    own: Floats = shaped("users factors")
    drift: Floats = shaped("users factors")
    implicit: Floats = shaped("items factors")
    item: Floats = shaped("items width")
    slope: Floats = shaped("users")
    centre: Doubles = shaped("users", dtype=np.float64)
    day_bias: csr_matrix = shaped("users days")
    first: float
    last: float
    day: float
    beta: float

    def rows(self, queries: Queries) -> tuple[Floats, NDArray[np.bool_]]:
        """The users' rows at the time of the query, and a 1 for its bin; every query can be scored."""
        rows, cannot = super().rows(queries)
        rows += self._away(queries)[:, np.newaxis] * self.drift[queries.user]
        bins = np.zeros((len(queries), self._clock.bins), np.float32)
        bins[np.arange(len(queries)), self._clock.bin(self._time(queries))] = 1
        return np.hstack([rows, bins]), cannot

    def level(self, queries: Queries) -> Floats:
        """The mean rating of each query's user at its time, were all items alike."""
        days = self._clock.days(self._time(queries))
        rated = np.flatnonzero((queries.user >= 0) & (days >= 0) & (days < self.day_bias.shape[1]))
        level = super().level(queries) + self._away(queries) * self.slope[queries.user]
        level[rated] += entries(self.day_bias, queries.user[rated], days[rated].astype(np.int64)).astype(np.float32)
        return level

    def _time(self, queries: Queries) -> Doubles:
        """When each query is asked for."""
        if queries.at is None:
            return np.full(len(queries), self.last)
        return np.where(np.isfinite(queries.at), queries.at, self.last)

    def _away(self, queries: Queries) -> Floats:
        """How far each query is from its user's mean day, tempered; no further than train goes, and 0 of a stranger."""
        days = self._clock.days(np.clip(self._time(queries), self.first, self.last)) - self.centre[queries.user]
        return np.where(queries.user >= 0, tempered(days, self.beta), np.float32(0))

    @property
    def _clock(self) -> Clock:
        bins = self.item.shape[1] - self.user.shape[1]
        return Clock(first=self.first, last=self.last, day=self.day, bins=bins)


@dataclass(frozen=True, kw_only=True)
class TimeSVDpp:
    """SVD++ where the biases change with time, and users with the distance from their mean day.

    Koren 2009, "Collaborative filtering with temporal dynamics" (KDD), §3.2 and §4.2, by stochastic gradient descent:

        r_ui(t) = m + b_u + a_u dev_u(t) + b_u,day(t) + b_i + b_i,bin(t)
                  + q_i'(p_u + d_u dev_u(t) + |N(u)|^-1/2 sum over j in N(u) of y_j),
        dev_u(t) = sign(t - t_u) |t - t_u|^beta, in days, t_u the mean day of the user's ratings.

    Left out are the scale c_u(t) of the items' biases and the rows of a user's single days; the steps of slow changes
    are small, and those of days regularised more, as the defaults say. A pair is rated at its own time where it has
    one, else at the last of train; of a day on which the user has no rating b_u,day is 0, and nobody drifts further
    than train goes. Else as SVD++ here.
    """

    embedding_size: int = param(20, "numbers in the row of a user or an item", least=1)
    epochs: int = param(20, "times that every rating is taken", least=1)
    learning_rate: float = param(0.007, "size of a step", above=0)
    reg_weight: float = param(0.02, "regularisation of the rows and the biases in each step", least=0)
    day_reg: float = param(1.0, "regularisation of the biases of users' days in each step", least=0)
    bin_rate: float = param(2e-4, "size of a step of the biases of items' bins", least=0)
    drift_rate: float = param(1e-5, "size of a step of the users' drift", least=0)
    drift_reg: float = param(50.0, "regularisation of the drift in each step", least=0)
    beta: float = param(0.4, "power that tempers the days from a user's mean", above=0)
    bins: int = param(30, "parts of the time of train, each with a bias of every item", least=1)
    day: float = param(86400.0, "length of a day, in the unit of the timestamps", above=0)

    def fit(self, data: Interactions, run: Run) -> TimeRatings:
        """Epochs of steps, from rows of normal numbers of deviation 0.1, and no drift."""
        from recli.kernels import fixed, svdpp

        time = time_of(data)
        clock = Clock(first=float(time.min()), last=float(time.max()), day=self.day, bins=self.bins)
        calendar = Calendar.of(data, clock.days(time))
        place = np.cumsum(calendar.opens, dtype=np.int32) - np.int32(1)
        drifts = tempered(calendar.day - calendar.centre[calendar.user], self.beta)
        when = svdpp.Times(drifts, place, clock.bin(time))
        moved, changing = self._first(data, run, int(place[-1]) + 1)
        mean, events = events_of(data)
        steps = (self.learning_rate, self.reg_weight, self.day_reg, self.bin_rate, self.drift_rate, self.drift_reg)
        width = fixed(moved.user.shape[1])
        hint = (
            f"lower learning_rate={self.learning_rate:g}, drift_rate={self.drift_rate:g} or bin_rate={self.bin_rate:g}"
        )
        for epoch in range(self.epochs):
            error = svdpp.epoch_in_time(events, when, moved, changing, *steps, width)
            end_epoch(run, epoch, self.epochs, error / len(data), hint)
        size = self.embedding_size
        own, implicit, drift = (learned(rows, size, hint) for rows in (moved.user, moved.implicit, changing.user))
        item = np.hstack([moved.item[:, :size], changing.bin_bias])
        return TimeRatings(
            mean=mean,
            user=own + added(data.matrix, implicit),
            own=own,
            drift=drift,
            implicit=implicit,
            item=learned(item, size + self.bins, hint),
            bias=moved.item_bias,
            user_bias=moved.user_bias,
            slope=changing.slope,
            centre=calendar.centre,
            day_bias=calendar.matrix(changing.day_bias),
            first=clock.first,
            last=clock.last,
            day=self.day,
            beta=self.beta,
        )

    def _first(self, data: Interactions, run: Run, n_days: int) -> tuple[Learned, Changing]:
        """Rows of normal numbers of deviation 0.1, and neither biases nor drift."""
        from recli.kernels import aligned, svdpp

        rng = np.random.default_rng(run.seed)
        user, item, implicit = (first_rows(rng, n, self.embedding_size) for n in (data.n_users, *[data.n_items] * 2))
        biases = (np.zeros(data.n_users, np.float32), np.zeros(data.n_items, np.float32))
        slope, day_bias = np.zeros(data.n_users, np.float32), np.zeros(n_days, np.float32)
        bin_bias = np.zeros((data.n_items, self.bins), np.float32)
        moved = svdpp.Learned(user, item, implicit, *biases)
        return moved, svdpp.Changing(aligned(*user.shape), slope, day_bias, bin_bias)


def time_of(data: Interactions) -> Doubles:
    """The time of each event (n,).

    Raises:
        RecliError: there is none, or one is missing (exit 3).
    """
    if data.time is None:
        hint = "--time-col says which column holds it, where the source is read; svdpp needs none"
        raise RecliError(Exit.DATA, "the table has no timestamp to learn from", hint=hint)
    if not np.isfinite(data.time).all():
        hint = "recli filter --range 'timestamp=FROM,TO' keeps the others"
        raise RecliError(Exit.DATA, "a timestamp is missing, or infinite", hint=hint)
    return data.time
