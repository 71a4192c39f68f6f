"""The table of metrics: the one line that makes a metric known.

To add a metric: a function in the file of its kind, and an entry here.
"""

from functools import partial
from typing import Final

from recli.metrics import beyond, ranking, rating, reliability
from recli.metrics.metric import Metric

_lists = partial(Metric, kind="lists", population="listed")
_pairs = partial(Metric, kind="pairs", population="pairs", per_user=False, larger_is_better=False)

METRICS: Final[dict[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric(
            name="hit",
            function=ranking.hit,
            definition="hit/binary/any",
            summary="users with a relevant item among the first k",
            source="RecBole 1.2.1 Hit",
        ),
        Metric(
            name="recall",
            function=ranking.recall,
            definition="recall/binary/denominator=R",
            summary="share of the user's relevant items among the first k",
            source="Manning et al. 2008, section 8.3; RecBole 1.2.1 Recall",
        ),
        Metric(
            name="precision",
            function=ranking.precision,
            definition="precision/binary/denominator=k",
            summary="share of the first k that is relevant",
            source="Manning et al. 2008, section 8.3; RecBole 1.2.1 Precision",
        ),
        Metric(
            name="f1",
            function=ranking.f1,
            definition="f1/binary/by-user",
            summary="harmonic mean of precision and recall",
            source="van Rijsbergen 1979, chapter 7; ranx f1",
        ),
        Metric(
            name="r-precision",
            function=ranking.r_precision,
            definition="r-precision/binary/denominator=min(k,R)",
            summary="share of the first min(k, R) that is relevant",
            source="Manning et al. 2008, section 8.4",
        ),
        Metric(
            name="mrr",
            function=ranking.mrr,
            definition="mrr/binary/first-hit",
            summary="1 / the place of the first relevant item",
            source="Voorhees 1999; RecBole 1.2.1 MRR",
        ),
        Metric(
            name="map",
            function=ranking.average_precision,
            definition="map/binary/denominator=min(k,R)",
            summary="mean precision at the places of the relevant items",
            source="Manning et al. 2008, section 8.4; RecBole 1.2.1 MAP",
        ),
        Metric(
            name="dcg",
            function=ranking.dcg,
            definition="dcg/binary/log2",
            summary="gain discounted by the logarithm of the place",
            source="Järvelin and Kekäläinen 2002; Burges et al. 2005; Jeunen et al. 2024",
            graded=True,
        ),
        Metric(
            name="ndcg",
            function=ranking.ndcg,
            definition="ndcg/binary/log2/ideal=min(k,R)",
            summary="gain discounted by the logarithm of the place, as a share of the best list's",
            source="Järvelin and Kekäläinen 2002; RecBole 1.2.1 NDCG",
            graded=True,
        ),
        Metric(
            name="rbp",
            function=ranking.rbp,
            definition="rbp/binary/p=0.8",
            summary="what a reader finds who goes on to the next item with probability 0.8",
            source="Moffat and Zobel 2008",
        ),
        _lists(
            name="item-coverage",
            function=beyond.item_coverage,
            definition="item-coverage/denominator=n",
            summary="share of train's items that stand in any list",
            source="Ge et al. 2010",
            needs=("train",),
            per_user=False,
        ),
        _lists(
            name="user-coverage",
            function=beyond.user_coverage,
            definition="user-coverage/any",
            summary="share of users that have a list",
            source="Gunawardana and Shani 2015, section 8.3.2",
            population="relevant",
        ),
        _lists(
            name="gini",
            function=beyond.gini,
            definition="gini/universe=n",
            summary="how unequally the lists fall to train's items",
            source="Gunawardana and Shani 2015, section 8.3.2; RecBole 1.2.1 GiniIndex",
            needs=("train",),
            per_user=False,
            larger_is_better=False,
        ),
        _lists(
            name="entropy",
            function=beyond.entropy,
            definition="entropy/nats",
            summary="how evenly the lists fall to the items they hold",
            source="Shannon 1948; RecBole 1.2.1 ShannonEntropy's formula",
            per_user=False,
        ),
        _lists(
            name="popularity",
            function=beyond.popularity,
            definition="popularity/train-users",
            summary="users of train that have an item of the list, on average",
            source="Yin et al. 2012; RecBole 1.2.1 AveragePopularity",
            needs=("train",),
            larger_is_better=False,
        ),
        _lists(
            name="tail",
            function=beyond.tail,
            definition="tail/least-popular=0.1",
            summary="share of the list that is among the tenth least popular",
            source="RecBole 1.2.1 TailPercentage",
            needs=("train",),
        ),
        _lists(
            name="novelty",
            function=beyond.novelty,
            definition="novelty/log2/cold=1",
            summary="mean inverse user frequency of the list's items",
            source="Zhou et al. 2010; RecTools MeanInvUserFreq",
            needs=("train",),
        ),
        _lists(
            name="serendipity",
            function=beyond.serendipity,
            definition="serendipity/popularity-rank",
            summary="relevant items that popularity would not have put there",
            source="Murakami et al. 2008; RecTools Serendipity",
            needs=("train", "gains"),
        ),
        _lists(
            name="diversity",
            function=beyond.diversity,
            definition="diversity/cosine-distance",
            summary="mean distance between the features of two items of a list",
            source="Ziegler et al. 2005; RecTools IntraListDiversity",
            needs=("features",),
        ),
        _lists(
            name="calibration",
            function=beyond.calibration,
            definition="calibration/kl/smoothing=0.01",
            summary="how far the list's categories stray from the user's own",
            source="Steck 2018",
            needs=("categories", "history"),
            larger_is_better=False,
        ),
        _pairs(
            name="rmse",
            function=rating.rmse,
            definition="rmse/pairs",
            summary="root of the mean squared error",
            source="Bennett and Lanning 2007; RecBole 1.2.1 RMSE",
        ),
        _pairs(
            name="mae",
            function=rating.mae,
            definition="mae/pairs",
            summary="mean absolute error",
            source="Shardanand and Maes 1995; RecBole 1.2.1 MAE",
        ),
        _pairs(
            name="mse",
            function=rating.mse,
            definition="mse/pairs",
            summary="mean squared error",
            source="scikit-learn mean_squared_error",
        ),
        _pairs(
            name="r2",
            function=rating.r2,
            definition="r2/pairs",
            summary="share of the truth's variance that the scores explain",
            source="scikit-learn r2_score",
            larger_is_better=True,
        ),
        _pairs(
            name="auc",
            function=rating.auc,
            definition="auc/global/ties=half",
            summary="share of positive and negative pairs in the right order, over all users",
            source="Fawcett 2006; RecBole 1.2.1 AUC",
            larger_is_better=True,
        ),
        _pairs(
            name="gauc",
            function=rating.gauc,
            definition="gauc/by-user/weight=positives/ties=half",
            summary="mean of every user's AUC, weighted by their positives",
            source="Zhu et al. 2017; RecBole 1.2.1 GAUC",
            needs=("users",),
            larger_is_better=True,
        ),
        _pairs(
            name="logloss",
            function=rating.logloss,
            definition="logloss/clip=1e-15",
            summary="mean negative log-likelihood of the labels",
            source="RecBole 1.2.1 LogLoss",
        ),
        _pairs(
            name="ece",
            function=reliability.ece,
            definition="ece/bins=10/equal-width",
            summary="expected calibration error: how far probabilities are from what comes true",
            source="Naeini et al. 2015",
        ),
    )
}
