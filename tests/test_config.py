"""Configurations: what a file comes to, and what is said of the rest."""

import re
from pathlib import Path
from typing import Any

import pytest

from recli.errors import Exit, RecliError
from recli.pipeline.config import Plan, assignments_of, keys, open_plan

TRAIN = ("model", "param", "seed", "device", "valid_metric", "patience", "eval_every")
OPTIONS = {
    "data": ("format", "sep", "user_col", "item_col"),
    "split": ("strategy", "ratios", "order", "user_kcore", "seed"),
    "train": TRAIN,
    "recommend": ("k", "phase"),
    "evaluate": ("metrics", "candidates", "seed"),
}
# The keys of RecBole 1.2.1: overall.yaml, dataset/sample.yaml, and what its code reads beside them.
RECBOLE = """
gpu_id worker use_gpu seed state reproducibility data_path checkpoint_dir show_progress save_dataset dataset_save_path
save_dataloaders dataloaders_save_path log_wandb wandb_project shuffle
epochs train_batch_size learner learning_rate train_neg_sample_args eval_step stopping_step clip_grad_norm weight_decay
loss_decimal_place require_pow enable_amp enable_scaler transform
eval_args repeatable metrics topk valid_metric valid_metric_bigger eval_batch_size metric_decimal_place
field_separator seq_separator
USER_ID_FIELD ITEM_ID_FIELD RATING_FIELD TIME_FIELD seq_len LABEL_FIELD threshold NEG_PREFIX numerical_features
load_col unload_col unused_col additional_feat_suffix
rm_dup_inter val_interval filter_inter_by_user_or_item user_inter_num_interval item_inter_num_interval
alias_of_user_id alias_of_item_id alias_of_entity_id alias_of_relation_id preload_weight normalize_field normalize_all
discretization
ITEM_LIST_LENGTH_FIELD LIST_SUFFIX MAX_ITEM_LIST_LENGTH POSITION_FIELD
HEAD_ENTITY_ID_FIELD TAIL_ENTITY_ID_FIELD RELATION_ID_FIELD ENTITY_ID_FIELD kg_reverse_r entity_kg_num_interval
relation_kg_num_interval benchmark_filename
encoding tail_ratio double_tower nproc world_size ip port offset local_rank single_spec train_rec_step train_kg_step
pretrain_epochs save_step train_stage pre_model_path config_files verbose MODEL_TYPE MODEL_INPUT_TYPE MASK_ITEM_SEQ
neg_sampling training_neg_sample_num
fill_nan eval_setting split_ratio group_by_user leave_one_num min_user_inter_num lowest_val
"""


@pytest.fixture
def data(tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as RecBole has it: dataset/tiny/tiny.inter; it is the current one."""
    folder = tmp_path / "dataset" / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny.inter").write_bytes(sample.read_bytes())
    monkeypatch.chdir(tmp_path)
    return folder


def planned(text: str, **given: str) -> Plan:
    Path("config.yaml").write_text(text)
    return open_plan([Path("config.yaml")], given, OPTIONS)


def of_ease(text: str, **given: str) -> Plan:
    return planned(f"model: EASE\ndataset: tiny\n{text}", **given)


def refused(text: str, **given: str) -> RecliError:
    with pytest.raises(RecliError) as caught:
        planned(text, **given)
    return caught.value


# RecBole's


def test_every_key_of_recboles_is_carried_out_or_has_a_reason() -> None:
    assert not [name for name in RECBOLE.split() if (name in keys.HONOURED) == (name in keys.IGNORED)]


def test_an_empty_configuration_means_recboles_defaults(data: Path) -> None:
    plan = of_ease("")
    assert plan.data == Path("dataset/tiny/tiny.inter")
    shares = {"ratios": "0.8,0.1,0.1", "group_by": "user", "order": "random"}
    assert plan.split == {"strategy": "ratio", **shares, "dialect": "recbole", "seed": 2020}
    assert list(plan.train) == [{"model": "ease", "params": {}, "seed": 2020}]
    metrics = "recall@10,mrr@10,ndcg@10,hit@10,precision@10"
    assert plan.evaluate == {"metrics": metrics, "dialect": "recbole", "seed": 2020}
    assert plan.recommend is None and not plan.warnings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("eval_args: {split: {RS: [7, 2, 1]}, group_by: ~}", {"ratios": "7,2,1", "group_by": "none"}),
        ("eval_args: {order: TO}", {"ratios": "0.8,0.1,0.1", "order": "time", "group_by": "user"}),
        ("eval_args: \"{'order': 'TO'}\"", {"order": "time"}),
        ("eval_args: {split: {LS: test_only}, order: TO}", {"strategy": "leave-one-out", "leave": "test_only"}),
        ("eval_args: {split: {TS: [8, 1, 1]}, order: TO}", {"strategy": "time", "at": "0.8,0.9"}),
        ("seed: 7", {"seed": 7}),
        ("user_inter_num_interval: '[5,inf)'\nitem_inter_num_interval: '(4,inf)'", {"user_kcore": 5, "item_kcore": 5}),
        ("user_inter_num_interval: '[0,inf)'", {"user_kcore": None}),
        ("item_inter_num_interval: '[2,9]'", {"item_kcore": "2.0,9.0"}),
        ("item_inter_num_interval: '[2,4];[8,inf)'", {"item_kcore": "2.0,4.0;8.0,inf"}),
        ("val_interval: {rating: '[1,2];[4,5]'}", {"range": ["rating=1.0,2.0;4.0,5.0"]}),
        ("val_interval: {genre: [a, 'b, c']}", {"only": ['genre=["a", "b, c"]']}),
        ("val_interval: {rating: '[3,inf)'}", {"range": ["rating=3.0,inf"]}),
        ("val_interval: {rating: '(3,5)'}", {"range": ["rating=3.0000000000000004,4.999999999999999"]}),
        ("val_interval: {when: '[1,2]'}\nTIME_FIELD: when", {"range": ["timestamp=1.0,2.0"], "time_col": "when"}),
        ("rm_dup_inter: last", {"dedup": "last"}),
        ("field_separator: ','\nUSER_ID_FIELD: uid", {"sep": ",", "user_col": "uid"}),
    ],
)
def test_the_rows_are_recboles(data: Path, text: str, expected: dict[str, Any]) -> None:
    split = of_ease(text).split
    assert split is not None
    assert {name: split.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics: NDCG\ntopk: [5, 20]", {"metrics": "ndcg@5,ndcg@20"}),
        ("metrics: [ItemCoverage, GiniIndex, TailPercentage]", {"metrics": "item-coverage@10,gini@10,tail@10"}),
        ("metrics: [RMSE, MAE]\neval_args: {mode: labeled}", {"metrics": "rmse,mae", "candidates": None}),
        ("eval_args: {mode: uni100}", {"candidates": "sampled:100"}),
        ("eval_args: {mode: {valid: pop50, test: pop50}}", {"candidates": "sampled:50:popularity"}),
        ("eval_args: {mode: labeled}\nthreshold: {rating: 4}", {"candidates": "labeled", "relevant": None}),
        ("metrics: [AUC]\neval_args: {mode: labeled}\nthreshold: {rating: 4}", {"candidates": None, "relevant": None}),
        ("repeatable: True", {"allow_seen": True}),
    ],
)
def test_what_is_measured_is_recboles(data: Path, text: str, expected: dict[str, Any]) -> None:
    evaluate = of_ease(text).evaluate
    assert {name: evaluate.get(name) for name in expected} == expected


@pytest.mark.parametrize("of", ["metrics: [AUC]\n", ""])
def test_a_threshold_writes_labels_for_a_model_that_learns_no_ratings(data: Path, of: str) -> None:
    text = f"{of}eval_args: {{mode: labeled}}\nRATING_FIELD: stars\nthreshold: {{stars: 4}}"
    plan = of_ease(text)
    assert plan.split is not None and plan.split["threshold"] == "rating=4" and "relevant" not in plan.evaluate
    plan = planned(f"model: biasedsvd\ndataset: tiny\n{text}")
    assert plan.split is not None and "threshold" not in plan.split and plan.evaluate["relevant"] == "rating>=4"


@pytest.mark.parametrize("name", sorted(keys.IGNORED))
def test_a_key_that_is_ignored_is_told_in_one_line_with_its_reason(data: Path, name: str) -> None:
    [warning] = of_ease(f"{name}: something").warnings
    assert warning.startswith(f"config.yaml:3: {name} is ignored: {keys.IGNORED[name][0]}")


@pytest.mark.parametrize(
    "text", ["nproc: 1", "use_gpu: True\ngpu_id: ''", "shuffle: True", "log_wandb: False", "metric_decimal_place: 4"]
)
def test_a_key_that_asks_for_what_is_done_anyway_is_not_told(data: Path, text: str) -> None:
    assert not of_ease(text).warnings


def test_one_is_not_true_and_zero_is_not_false(data: Path) -> None:
    assert of_ease("shuffle: 0").warnings and of_ease("nproc: 2").warnings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs: 500", "epochs is ignored: ease has no such parameter"),
        ("valid_metric: MRR@10", "valid_metric is ignored: ease does not stop by a validation"),
        ("train_neg_sample_args: {sample_num: 2}", "train_neg_sample_args is ignored in sample_num: ease has no such"),
        ("clip_grad_norm: {max_norm: 5}", "clip_grad_norm is ignored: ease has no gradient to clip"),
        ("reg_weigth: 3", "it is no parameter of ease and no key of RecBole's; did you mean reg_weight?"),
        ("reproducibility: False", "reproducibility is ignored: the same seed gives the same bytes, always"),
        ("threshold: {rating: 4}", "threshold is ignored: all held-out rows count in a full ranking"),
        ("eval_args: {mode: uni10}", "as many negatives as RecBole draws"),
    ],
)
def test_what_cannot_be_carried_out_for_the_model_is_told(data: Path, text: str, said: str) -> None:
    [warning] = of_ease(text).warnings
    assert said in warning and warning.startswith("config.yaml:3: ")


def test_parameters_are_the_models_own(data: Path) -> None:
    plan = planned("model: SLIMElastic\ndataset: tiny\nalpha: '0.5'\nl1_ratio: 1e-2\nhide_item: True\n")
    assert plan.train[0]["model"] == "slim" and plan.train[0]["params"] == {"alpha": 0.5, "l1_ratio": 0.01}
    assert [warning.partition(" is ")[0] for warning in plan.warnings] == ["config.yaml:5: hide_item"]


def test_bpr_is_trained_as_recbole_does(data: Path) -> None:
    plan = planned("model: BPR\ndataset: tiny\nembedding_size: 32\nlearning_rate: 0.01\nrequire_pow: False\n")
    assert plan.train[0]["model"] == "bpr-torch" and not plan.warnings
    assert plan.train[0]["params"] == {"embedding_size": 32, "learning_rate": 0.01, "require_pow": False}
    stopping = {name: plan.train[0][name] for name in ("valid_metric", "eval_every", "patience")}
    assert stopping == {"valid_metric": "mrr@10", "eval_every": 1, "patience": 11}


def test_without_a_validation_where_recbole_has_none(data: Path) -> None:
    train = planned("model: BPR\ndataset: tiny\neval_step: 0\n").train[0]
    assert train["valid_metric"] == "none" and "patience" not in train
    train = planned("model: BPR\ndataset: tiny\neval_args: {split: {RS: [8, 0, 2]}}\n").train[0]
    assert "valid_metric" not in train


def test_a_network_is_validated_and_stopped_as_recbole_does_it(data: Path) -> None:
    text = "model: NeuMF\ndataset: tiny\nstopping_step: 5\neval_step: 2\nvalid_metric: NDCG@5\ngpu_id: ''\n"
    negatives = "train_neg_sample_args: \"{'distribution': 'popularity', 'sample_num': 3, 'alpha': 0.5}\"\n"
    train = planned(
        f"{text}{negatives}clip_grad_norm: {{max_norm: 5.0, norm_type: 2}}\nmlp_hidden_size: '[8, 4]'\n"
    ).train[0]
    assert train["params"] == {
        "neg_sampling": "popularity",
        "train_neg_sample_num": 3,
        "neg_exponent": 0.5,
        "clip_grad_norm": 5.0,
        "mlp_hidden_size": [8, 4],
    }
    stopping = {name: train[name] for name in ("valid_metric", "eval_every", "patience", "device")}
    # RecBole stops at the sixth value in a row that is no better.
    assert stopping == {"valid_metric": "ndcg@5", "eval_every": 2, "patience": 6, "device": "cpu"}


def test_files_go_before_earlier_ones_and_the_command_line_before_all(data: Path) -> None:
    Path("a.yaml").write_text("model: Pop\ndataset: other\nseed: 1\ntopk: 3\n")
    Path("b.yaml").write_text("seed: 2\ntopk: 4\n")
    given = {"dataset": "tiny", **assignments_of(["--model=EASE", "--topk=[5]"])}
    plan = open_plan([Path("a.yaml"), Path("b.yaml")], given, OPTIONS)
    assert (plan.train[0]["model"], plan.train[0]["seed"]) == ("ease", 2)
    assert plan.evaluate["metrics"].startswith("recall@5,")


@pytest.mark.parametrize("text", ["--epochs", "--=3", "-x=1"])
def test_only_key_equals_value_overrides(text: str) -> None:
    with pytest.raises(RecliError) as caught:
        open_plan([], assignments_of([text]), OPTIONS)
    assert caught.value.code is Exit.USAGE


@pytest.mark.parametrize("where", ["elsewhere/tiny", "elsewhere", "dataset/tiny", "tiny"])
def test_a_data_set_is_found_where_recbole_looks_for_it(data: Path, tmp_path: Path, where: str) -> None:
    (data / "tiny.inter").rename(tmp_path / "tiny.inter")
    folder = tmp_path / where
    folder.mkdir(parents=True, exist_ok=True)
    (tmp_path / "tiny.inter").rename(folder / "tiny.inter")
    assert of_ease("data_path: elsewhere").data == Path(where) / "tiny.inter"


def test_a_data_set_that_is_not_there_is_not_fetched(data: Path) -> None:
    error = refused("model: EASE\ndataset: ml-1m\n")
    assert error.code is Exit.IO and error.where == "config.yaml:2"
    assert error.hint is not None and "nothing is downloaded" in error.hint


def test_files_that_are_the_parts_take_the_place_of_the_draw(data: Path) -> None:
    for part in ("train", "valid", "test"):
        (data / f"tiny.{part}.inter").write_bytes((data / "tiny.inter").read_bytes())
    plan = of_ease("benchmark_filename: [train, valid, test]\nuser_inter_num_interval: '[5,inf)'")
    assert plan.data is None and plan.split is not None
    assert {name: str(value) for name, value in plan.split.items()} == {
        "strategy": "given",
        **{part: f"dataset/tiny/tiny.{part}.inter" for part in ("train", "valid", "test")},
    }
    assert ["benchmark_filename leaves the rows" in warning for warning in plan.warnings] == [True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset: tiny\nmodel: EASEE", "no model 'EASEE'; did you mean ease"),
        ("dataset: tiny", "no model is named"),
        ("model: EASE", "no data set is named"),
        ("model: EASE\ndataset: tiny\nmetrics: [NDGC]", "there is no metric 'NDGC'; did you mean ndcg?"),
        ("model: EASE\ndataset: tiny\neval_args: {splt: 1}", "eval_args has no 'splt'; did you mean split?"),
        ("model: EASE\ndataset: tiny\neval_args: {mode: uni}", "mode cannot be 'uni'"),
        ("model: EASE\ndataset: tiny\neval_args: {split: {XS: 1}}", "split is one of RS, LS and TS"),
        ("model: EASE\ndataset: tiny\nval_interval: {rating: 3}", "'3' is no interval"),
        ("model: EASE\ndataset: tiny\nseed: abc", "seed takes a whole number, not 'abc'"),
        (
            "model: EASE\ndataset: tiny\nload_col: {inter: [user_id, itm_id]}",
            "no column 'itm_id'; did you mean item_id?",
        ),
        ("modle: EASE", "there is no key 'modle'; did you mean model?"),
        ("nothing: known", "there is no key 'nothing'"),
        ("", "says nothing"),
    ],
)
def test_what_is_wrong_in_recboles_is_refused(data: Path, text: str, message: str) -> None:
    error = refused(text)
    assert error.code is Exit.USAGE
    assert message in f"{error.message}; {error.hint}"


# recli's own


def test_our_sections_are_the_commands_options(data: Path) -> None:
    plan = planned(
        "data: {path: a.csv, format: csv, user-col: u}\n"
        "split: {ratios: [0.8, 0.1, 0.1], user-kcore: 5}\n"
        "train: [pop, {model: ease, params: {reg_weight: 1e2}, seed: 3}]\n"
        "recommend: {k: 20}\nevaluate: {metrics: [ndcg@10]}\nseed: 7\n"
    )
    assert plan.data == Path("a.csv")
    assert plan.split == {"seed": 7, "format": "csv", "user_col": "u", "ratios": [0.8, 0.1, 0.1], "user_kcore": 5}
    ease = {"seed": 3, "model": "ease", "params": {"reg_weight": 100.0}}
    assert list(plan.train) == [{"seed": 7, "model": "pop"}, ease]
    assert plan.recommend == {"k": 20} and plan.evaluate == {"seed": 7, "metrics": ["ndcg@10"]}


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("data: a\nsplt: 1\ntrain: pop", 2, "there is no key 'splt'; did you mean split?"),
        ("data: a\nsplit:\n  ratois: 1\ntrain: pop", 3, "there is no key 'ratois' of split; did you mean ratios?"),
        ("data: a\ntrain:\n  - pop\n  - modl: ease", 4, "there is no key 'modl' of train; did you mean model?"),
        ("data: a\ntrain: pop\nepochs: 3", 3, "there is no key 'epochs'"),
        ("data: {path: a, train: b}\ntrain: pop", 1, "data takes path, or train and test"),
        ("data: 3\ntrain: pop", 1, "data names no file"),
        ("data: a\ntrain: {params: {k: 1}}", 2, "no model is named"),
        ("data: a\ntrain: {model: ease, params: 3}", 2, "params are a mapping"),
        ("data: a\ntrain: pop\nsplit: {user-kcore: 1, user_kcore: 2}", 3, "user_kcore is there in two spellings"),
    ],
)
def test_what_is_wrong_in_ours_is_refused_with_its_line(data: Path, text: str, where: int, message: str) -> None:
    error = refused(text)
    assert (error.code, error.where) == (Exit.USAGE, f"config.yaml:{where}")
    assert message in f"{error.message}; {error.hint}"


def test_recboles_overrides_are_not_for_ours(data: Path) -> None:
    assert "--epochs is of RecBole's keys" in refused("data: a\ntrain: pop", epochs="3").message


def test_the_schema_in_the_docstring_is_accepted(data: Path) -> None:
    from recli.pipeline.config import ours

    text = re.findall(r"\n((?:    .*\n)+)", ours.__doc__ or "")[0]
    plan = planned("\n".join(line[4:] for line in text.splitlines()).replace("assert:", "candidates:"))
    assert [one["model"] for one in plan.train] == ["ease", "als"] and plan.recommend == {"k": 20}


# Columns that become fields


def test_recbole_s_columns_become_fields(data: Path) -> None:
    (data / "tiny.user").write_text("user_id:token\tage:float\tgender:token\tzip:token\nu1\t3\tM\t1\n")
    (data / "tiny.item").write_text("item_id:token\tclass:token_seq\tyear:float\ni1\ta b\t3\n")
    text = """
model: DeepFM
dataset: tiny
load_col: {inter: [user_id, item_id, rating, timestamp], user: [user_id, age, gender], item: '*'}
numerical_features: [age, year]
discretization: {age: {method: ED, bucket: 5}, rating: {method: LD}}
normalize_field: [year, timestamp]
seq_len: {class: 2}
threshold: {rating: 4}
"""
    plan = planned(text)
    [train] = plan.train
    assert train["columns"] == "age,gender,class,year"
    assert train["field"] == ["age=bucket:5", "class=first:2"]
    assert (train["numerical"], train["normalize"]) == ("year", "year")
    assert train["valid_metric"] == "auc"
    assert plan.split["threshold"] == "rating=4"
    assert plan.evaluate["metrics"] == "auc,logloss"
    assert any("discretization of rating is ignored" in line for line in plan.warnings)
    assert planned("model: FM\ndataset: tiny").train[0]["columns"] == ""  # RecBole loads ids alone


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("normalize_all: True\nnormalize_field: [age]", "normalize_field and normalize_all are both set"),
        ("discretization: {age: {method: XD}}", "age has the method 'XD'"),
        ("discretization: [age]", "discretization is by column"),
        ("load_col: {user: [user_id, aeg]}", "the users' table has no column aeg"),
    ],
)
def test_columns_that_cannot_be_fields(data: Path, text: str, message: str) -> None:
    (data / "tiny.user").write_text("user_id:token\tage:float\nu1\t3\n")
    assert message in refused(f"model: LR\ndataset: tiny\n{text}").message


def test_ml_100k_has_columns_of_its_own(data: Path) -> None:
    folder = data.with_name("ml-100k")
    folder.mkdir()
    (folder / "ml-100k.inter").write_bytes((data / "tiny.inter").read_bytes())
    plan = planned("model: LR\ndataset: ml-100k")
    assert plan.train[0]["columns"] == "age,gender,occupation,release_year,class"
    assert plan.split["threshold"] == "rating=4"
    assert planned("model: EASE\ndataset: ml-100k").split.get("threshold") is None
