"""Every model by name, as data: listing them imports none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from recli.errors import Exit, RecliError, nearest


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model: where its class is (``module:Class`` here), what it is in a line, its task, and parameters of its own.

    ``begins_with`` are the models beside itself that it can start from, all of them together if need be.
    ``deterministic`` says when the same seed gives the same bytes, where that is not always.
    """

    path: str
    summary: str
    task: str = "ranking"
    preset: Mapping[str, Any] = field(default_factory=dict)
    begins_with: tuple[str, ...] = ()
    deterministic: str = "always"


CATALOG: Final[Mapping[str, Entry]] = {
    "pop": Entry(path="baseline.pop:Pop", summary="the most popular items, for everybody"),
    "recentpop": Entry(
        path="baseline.pop:Pop", summary="the most popular items of the last tenth of the time", preset={"share": 0.1}
    ),
    "decaypop": Entry(
        path="baseline.pop:Pop",
        summary="the most popular items, a user of 30 days ago counting half",
        preset={"half_life": 30.0},
    ),
    "random": Entry(path="baseline.random:Random", summary="a random order for each user"),
    "itemknn": Entry(path="neighbor.itemknn:ItemKNN", summary="items similar to the history: cosine, jaccard, BM25, …"),
    "asymknn": Entry(
        path="neighbor.itemknn:ItemKNN",
        summary="items similar to the history by the asymmetric cosine",
        preset={"similarity": "asymmetric"},
    ),
    "userknn": Entry(path="neighbor.userknn:UserKNN", summary="items of the users who are most similar"),
    "sar": Entry(path="neighbor.sar:SAR", summary="items that go with the history, its recent events above all"),
    "rules": Entry(path="neighbor.rules:Rules", summary="association rules from one item to another"),
    "ease": Entry(path="linear.ease:EASE", summary="linear regression of each item on all others"),
    "slim": Entry(path="linear.slim:SLIM", summary="sparse linear regression of each item on all others"),
    "admmslim": Entry(
        path="linear.admmslim:ADMMSLIM", summary="the same by ADMM, for many users and not too many items"
    ),
    "rp3beta": Entry(path="graph.rp3beta:RP3beta", summary="walks of three steps, with the popular items held back"),
    "p3alpha": Entry(path="graph.rp3beta:RP3beta", summary="walks of three steps", preset={"beta": 0.0}),
    "puresvd": Entry(path="factor.puresvd:PureSVD", summary="the largest singular vectors of users and items"),
    "nceplrec": Entry(
        path="factor.nceplrec:NCEPLRec", summary="regression on singular vectors that popularity has been taken out of"
    ),
    "als": Entry(path="factor.als:ALS", summary="implicit matrix factorisation by alternating least squares"),
    "bpr": Entry(path="factor.bpr:BPR", summary="matrix factorisation by pairwise ranking"),
    "warp": Entry(path="factor.warp:WARP", summary="matrix factorisation that pulls up what stands low in the order"),
    "logmf": Entry(path="factor.logmf:LogMF", summary="matrix factorisation of the odds of an event"),
    "nmf": Entry(path="factor.nmf:NMF", summary="matrix factorisation without negative numbers"),
    "itemfeatures": Entry(
        path="feature.itemfeatures:ItemFeatures",
        summary="items whose columns say what those of the history say, by tf-idf and cosine",
    ),
    "lightfm": Entry(
        path="feature.lightfm:LightFM",
        summary="matrix factorisation in which users and items are the sums of their features",
    ),
    "baseline": Entry(
        path="rating.baseline:Baseline", summary="the mean rating, a user bias and an item bias", task="rating"
    ),
    "funksvd": Entry(
        path="rating.svd:SVD", summary="matrix factorisation of ratings", preset={"biased": False}, task="rating"
    ),
    "biasedsvd": Entry(
        path="rating.svd:SVD",
        summary="matrix factorisation of what the mean and the biases leave of the ratings",
        task="rating",
    ),
    "svdpp": Entry(
        path="rating.svdpp:SVDpp",
        summary="the same, where a user is also the sum of what they have rated",
        task="rating",
    ),
    "timesvd++": Entry(
        path="rating.timesvdpp:TimeSVDpp",
        summary="the same, where biases change with time and users drift",
        task="rating",
    ),
    "nmf-rating": Entry(
        path="rating.nmf:RatingNMF", summary="matrix factorisation of ratings without negative numbers", task="rating"
    ),
    "als-rating": Entry(
        path="rating.als:RatingALS",
        summary="matrix factorisation of ratings by alternating least squares",
        task="rating",
    ),
    "coclustering": Entry(
        path="rating.coclustering:CoClustering",
        summary="the mean ratings of the user, the item and the clusters they are in",
        task="rating",
    ),
    "normal": Entry(
        path="rating.normal:Normal", summary="a rating drawn from the normal distribution of all ratings", task="rating"
    ),
    "knn-basic": Entry(
        path="rating.knn:KNN", summary="the mean rating of the users who are most similar", task="rating"
    ),
    "knn-means": Entry(
        path="rating.knn:KNN",
        summary="the same, from each user's mean on",
        preset={"normalization": "mean"},
        task="rating",
    ),
    "knn-zscore": Entry(
        path="rating.knn:KNN",
        summary="the same, and in each user's deviations",
        preset={"normalization": "zscore"},
        task="rating",
    ),
    "knn-baseline": Entry(
        path="rating.knn:KNN",
        summary="the same, from the baseline on",
        preset={"normalization": "baseline"},
        task="rating",
    ),
    "slopeone": Entry(
        path="rating.slopeone:SlopeOne", summary="by how much each item is liked better than another", task="rating"
    ),
    "rbm-rating": Entry(
        path="rating.rbm:RBM",
        summary="a restricted Boltzmann machine whose visible units are a user's ratings",
        task="rating",
    ),
    "autorec": Entry(
        path="rating.autorec:AutoRec",
        summary="an autoencoder of each item's ratings, of one hidden layer",
        task="rating",
    ),
    "gmf": Entry(
        path="neural.neumf:NeuMF",
        summary="matrix factorisation as a network learns it, with a weight for each number",
        preset={"mlp_train": False},
    ),
    "mlp": Entry(
        path="neural.neumf:NeuMF",
        summary="a perceptron over the rows of the user and the item",
        preset={"mf_train": False},
    ),
    "multivae": Entry(path="autoencoder.multivae:MultiVAE", summary="a variational autoencoder of histories"),
    "multidae": Entry(
        path="autoencoder.multivae:MultiVAE",
        summary="a denoising autoencoder of histories",
        preset={"variational": False, "latent_dimension": 64},
    ),
    "rbm": Entry(path="autoencoder.rbm:RBM", summary="a restricted Boltzmann machine of histories"),
    "lightgcn": Entry(path="graph.lightgcn:LightGCN", summary="rows smoothed over the graph of users and items"),
    "bpr-torch": Entry(
        path="graph.lightgcn:LightGCN",
        summary="bpr as RecBole trains it: Adam on batches, no regularisation",
        preset={"n_layers": 0, "reg_weight": 0.0},
    ),
    "twotower": Entry(
        path="feature.twotower:TwoTower",
        summary="a network of a user's features, another of an item's, and the product of the two",
    ),
    "neumf": Entry(
        path="neural.neumf:NeuMF", summary="the two together: neural matrix factorisation", begins_with=("gmf", "mlp")
    ),
    "lr": Entry(path="context.lr:LR", summary="logistic regression on the fields", task="ctr"),
    "fm": Entry(path="context.fm:FM", summary="a factorisation machine: fields, and pairs of fields", task="ctr"),
    "libfm": Entry(path="context.libfm:LibFM", summary="the same by alternating least squares", task="ctr"),
    "deepfm": Entry(path="context.deepfm:DeepFM", summary="a factorisation machine beside a perceptron", task="ctr"),
    "widedeep": Entry(
        path="context.widedeep:WideDeep", summary="logistic regression beside a perceptron: wide & deep", task="ctr"
    ),
    "dcnv2": Entry(path="context.dcnv2:DCNV2", summary="layers that cross the fields, and a perceptron", task="ctr"),
    "xdeepfm": Entry(
        path="context.xdeepfm:XDeepFM",
        summary="compressed interactions of ever higher order, beside a perceptron",
        task="ctr",
    ),
    "autoint": Entry(
        path="context.autoint:AutoInt", summary="fields that attend to each other, beside a perceptron", task="ctr"
    ),
    "nfm": Entry(path="context.nfm:NFM", summary="a perceptron over the products of all pairs of fields", task="ctr"),
    "din": Entry(path="context.din:DIN", summary="what of the history is like the item, and a perceptron", task="ctr"),
    "lightgbm": Entry(path="context.lightgbm:LightGBM", summary="boosted trees on the fields", task="ctr"),
    "markov": Entry(path="sequence.markov:Markov", summary="what came next after the last event", task="sequential"),
    "sr": Entry(
        path="sequence.markov:Markov",
        summary="what came soon after the last event: sequential rules",
        preset={"steps": 10},
        task="sequential",
    ),
    "sknn": Entry(path="sequence.sknn:SKNN", summary="items of the sessions that are most similar", task="sequential"),
    "vsknn": Entry(
        path="sequence.sknn:SKNN",
        summary="the same, the last events counting most",
        preset={"similarity": "dot", "decay": True},
        task="sequential",
    ),
    "sasrec": Entry(path="sequence.sasrec:SASRec", summary="self-attention over the history", task="sequential"),
    "sasrec-bce": Entry(
        path="sequence.sasrec:SASRec",
        summary="the same with the loss of its paper, one negative for each event",
        preset={"loss_type": "BCE"},
        task="sequential",
    ),
    "gsasrec": Entry(
        path="sequence.sasrec:SASRec",
        summary="the same with 256 negatives, and scores set right for their number",
        preset={"loss_type": "BCE", "train_neg_sample_num": 256, "gbce_t": 0.75},
        task="sequential",
    ),
    "gru4rec": Entry(
        path="sequence.gru4rec:GRU4Rec", summary="a recurrent network over the history", task="sequential"
    ),
    "gru4rec-max": Entry(
        path="sequence.gru4rec:GRU4Rec",
        summary="the same in parallel sessions, each against the others' next items and popular ones",
        preset={
            "loss_type": "BPR-max",
            "train_neg_sample_num": 2048,
            "neg_sampling": "popularity",
            "neg_exponent": 0.5,
            "bpr_max_reg": 1.0,
        },
        task="sequential",
    ),
    "bert4rec": Entry(
        path="sequence.bert4rec:BERT4Rec",
        summary="attention both ways over the history, learned from hidden items",
        task="sequential",
    ),
    "narm": Entry(
        path="sequence.narm:NARM", summary="a recurrent network that looks back at its own states", task="sequential"
    ),
    "caser": Entry(path="sequence.caser:Caser", summary="convolutions over the last events", task="sequential"),
    "srgnn": Entry(
        path="sequence.srgnn:SRGNN", summary="the history as a graph of its items that pass messages", task="sequential"
    ),
    "fpmc": Entry(
        path="sequence.fpmc:FPMC", summary="matrix factorisation beside a factorised Markov chain", task="sequential"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A model's class, loaded. ``source`` is its file where it is none of recli's."""

    name: str
    cls: type
    preset: Mapping[str, Any]
    task: str
    module: str
    source: Path | None = None
    begins_with: tuple[str, ...] = ()


def find(name: str) -> Entry:
    """The entry of a model, case ignored; for ``FILE.py:CLASS`` one that is made up, if there is such a file.

    Raises:
        RecliError: there is no such model (exit 2).
    """
    if ".py:" in name:
        file, _, _ = name.rpartition(":")
        if not Path(file).is_file():
            raise RecliError(Exit.USAGE, "no such file", where=file)
        return Entry(path=name, summary="a model from outside")
    entry = CATALOG.get(name.lower())
    if entry is None:
        hint = f"{nearest(name, CATALOG)}; a model from outside is FILE.py:CLASS"
        raise RecliError(Exit.USAGE, f"no model {name!r}", hint=hint)
    return entry


def resolve(name: str) -> Chosen:
    """Load the class of a model.

    Raises:
        RecliError: there is no such model, or what is there is none (exit 2).
    """
    entry = find(name)
    where, _, word = entry.path.rpartition(":")
    if name.lower() in CATALOG:
        where = f"{__package__}.{where}"
        cls = getattr(import_module(where), word)
        return Chosen(
            name=name.lower(),
            cls=cls,
            preset=entry.preset,
            task=entry.task,
            module=where,
            begins_with=entry.begins_with,
        )
    source = Path(where)
    module = _load(source)
    cls = getattr(module, word, None)
    if not isinstance(cls, type) or not hasattr(cls, "fit") or not hasattr(cls, "__dataclass_fields__"):
        models = [key for key, value in vars(module).items() if isinstance(value, type) and hasattr(value, "fit")]
        hint = nearest(word, models) if models else "a model is a frozen dataclass with a method fit(data, run)"
        raise RecliError(Exit.USAGE, f"there is no model {word!r}", where=source, hint=hint)
    task = str(getattr(cls, "task", entry.task))
    return Chosen(name=word.lower(), cls=cls, preset={}, task=task, module=module.__name__, source=source)


def _load(source: Path) -> ModuleType:
    """Run a Python file as a module of its own."""
    import sys

    name = f"recli_model_{source.stem}"
    spec = spec_from_file_location(name, source)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)  # where dataclasses and their type hints look for it
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise RecliError(Exit.USAGE, f"{type(error).__name__}: {error}", where=source) from error
    return module
