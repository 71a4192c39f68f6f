"""RecBole 1.2.1's configuration keys: those that are carried out, and why the others are not."""

from typing import Any, Final

METRICS: Final = {
    "recall": "recall",
    "mrr": "mrr",
    "ndcg": "ndcg",
    "hit": "hit",
    "precision": "precision",
    "map": "map",
    "gauc": "gauc",
    "auc": "auc",
    "logloss": "logloss",
    "rmse": "rmse",
    "mae": "mae",
    "itemcoverage": "item-coverage",
    "averagepopularity": "popularity",
    "shannonentropy": "entropy",
    "giniindex": "gini",
    "tailpercentage": "tail",
}
# What is called otherwise here, and bpr as RecBole trains it; the others have RecBole's name in small letters.
MODELS: Final = {"slimelastic": "slim", "bpr": "bpr-torch"}
PARAMETERS: Final = {"MAX_ITEM_LIST_LENGTH": "max_seq_length"}

# By task, as RecBole's quick_start_config has them; whatever a file says of eval_args takes the place of all of it.
EVAL_ARGS: Final[dict[str, dict[str, Any]]] = {
    "sequential": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
    "ctr": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": None, "mode": "labeled"},
}
USUAL_EVAL_ARGS: Final[dict[str, Any]] = {
    "split": {"RS": [0.8, 0.1, 0.1]},
    "order": "RO",
    "group_by": "user",
    "mode": "full",
}
USUAL_METRICS: Final = {"ctr": ["AUC", "LogLoss"], "rating": ["RMSE", "MAE"]}
VALID_METRIC: Final = {"ctr": "AUC"}  # of the others MRR@10
# RecBole's context-aware_ml-100k.yaml, and its ml-100k.yaml.
FIELDS_OF_ML_100K: Final[dict[str, Any]] = {
    "threshold": {"rating": 4},
    "load_col": {
        "inter": ["user_id", "item_id", "rating", "timestamp"],
        "user": ["user_id", "age", "gender", "occupation"],
        "item": ["item_id", "release_year", "class"],
    },
    "normalize_all": True,
}
RANKING_METRICS: Final = ("Recall", "MRR", "NDCG", "Hit", "Precision")

_HONOURED: Final = """
model dataset config_files data_path seed reproducibility show_progress gpu_id use_gpu
epochs train_batch_size learner learning_rate train_neg_sample_args eval_step stopping_step clip_grad_norm
weight_decay require_pow enable_amp
eval_args repeatable metrics topk valid_metric
field_separator seq_separator USER_ID_FIELD ITEM_ID_FIELD RATING_FIELD TIME_FIELD threshold load_col
rm_dup_inter val_interval user_inter_num_interval item_inter_num_interval MAX_ITEM_LIST_LENGTH benchmark_filename
"""
HONOURED: Final = frozenset(_HONOURED.split())
# The values of those that ask for nothing, so that a model has no need of them.
NOTHING: Final[dict[str, Any]] = {"weight_decay": 0, "require_pow": False, "enable_amp": False}
_TEXT: Final = """
model dataset data_path gpu_id field_separator seq_separator USER_ID_FIELD ITEM_ID_FIELD RATING_FIELD TIME_FIELD
LABEL_FIELD user_inter_num_interval item_inter_num_interval
"""
TEXT: Final = frozenset(_TEXT.split())  # taken as they stand, though they may look like a Python literal

_NETWORKS: Final = "parameters of the training loop stand by their names"
_SAVED: Final = "the split is a file, and is taken again while it is up to date"
_COLUMNS: Final = "only models of fields, such as deepfm, read numbers of columns"
_INSIDE: Final = "it names a column inside RecBole"
_GRAPH: Final = "no model here reads a knowledge graph"
_PROCESSES: Final = "it trains in one process"
_STAGES: Final = "no model here is trained in stages"
_PRETRAINED: Final = "weights in RecBole's files are not read; recli train --init begins with a gmf and an mlp"
_OLD: Final = "RecBole 1.2.1 does not read it either; eval_args says it now"
_SHARED: Final = "no two columns share their ids here"

# Why, and the values with which nothing is lost, of which nothing is said.
IGNORED: Final[dict[str, tuple[str, tuple[Any, ...]]]] = {
    "worker": ("the data stay in memory, and no process loads them", (0,)),
    "state": ("-q and -v say how much is told", ("INFO",)),
    "checkpoint_dir": ("the model goes into the output directory", ()),
    "save_dataset": (_SAVED, (False,)),
    "dataset_save_path": (_SAVED, (None,)),
    "save_dataloaders": (_SAVED, (False,)),
    "dataloaders_save_path": (_SAVED, (None,)),
    "log_wandb": ("the log is TensorBoard's, or lines of JSON by recli train --log", (False,)),
    "wandb_project": ("the log is TensorBoard's, or lines of JSON by recli train --log", ()),
    "shuffle": ("the rows of an epoch are always shuffled", (True,)),
    "loss_decimal_place": ("a loss is not rounded", ()),
    "enable_scaler": (f"mixed precision scales by itself; {_NETWORKS}", (False,)),
    "transform": ("no model here changes its sequences", (None,)),
    "valid_metric_bigger": ("the metric says itself which way is better, in RecBole too", ()),
    "eval_batch_size": ("blocks of users are as large as memory has room for, which changes no figure", ()),
    "metric_decimal_place": ("values are kept in full, and the table shows four digits", (4,)),
    "seq_len": ("sequences are not cut when they are read", (None,)),
    "LABEL_FIELD": ("a label is what threshold says, or the column label", ("label",)),
    "NEG_PREFIX": (_INSIDE, ()),
    "numerical_features": (_COLUMNS, ([],)),
    "unload_col": ("columns that no step needs do no harm", (None,)),
    "unused_col": ("columns that no step needs do no harm", (None,)),
    "additional_feat_suffix": ("only .inter, .user, .item, .kg and .link are read", (None,)),
    "filter_inter_by_user_or_item": ("rows stay whether or not .user and .item describe them", (False,)),
    "alias_of_user_id": (_SHARED, (None,)),
    "alias_of_item_id": (_SHARED, (None,)),
    "alias_of_entity_id": (_SHARED, (None,)),
    "alias_of_relation_id": (_SHARED, (None,)),
    "preload_weight": ("no model here starts from a column of vectors", (None,)),
    "normalize_field": (_COLUMNS, (None,)),
    "normalize_all": (_COLUMNS, (None, False)),
    "discretization": (_COLUMNS, (None,)),
    "ITEM_LIST_LENGTH_FIELD": (_INSIDE, ()),
    "LIST_SUFFIX": (_INSIDE, ()),
    "POSITION_FIELD": (_INSIDE, ()),
    "HEAD_ENTITY_ID_FIELD": (_GRAPH, ()),
    "TAIL_ENTITY_ID_FIELD": (_GRAPH, ()),
    "RELATION_ID_FIELD": (_GRAPH, ()),
    "ENTITY_ID_FIELD": (_GRAPH, ()),
    "kg_reverse_r": (_GRAPH, (False,)),
    "entity_kg_num_interval": (_GRAPH, ("[0,inf)",)),
    "relation_kg_num_interval": (_GRAPH, ("[0,inf)",)),
    "encoding": ("text is UTF-8", (None, "utf-8", "utf8")),
    "tail_ratio": ("the tail is the least popular tenth", (0.1,)),
    "double_tower": ("no model here is asked for it", (None, False)),
    "nproc": (_PROCESSES, (1,)),
    "world_size": (_PROCESSES, (1, -1)),
    "ip": (_PROCESSES, ()),
    "port": (_PROCESSES, ()),
    "offset": (_PROCESSES, (0,)),
    "group_offset": (_PROCESSES, (0,)),
    "local_rank": (_PROCESSES, (0,)),
    "single_spec": (_PROCESSES, (True,)),
    "train_rec_step": (_STAGES, ()),
    "train_kg_step": (_STAGES, ()),
    "pretrain_epochs": (_STAGES, ()),
    "save_step": (_STAGES, ()),
    "train_stage": (_STAGES, ()),
    "pre_model_path": (_STAGES, ("", None)),
    "use_pretrain": (_PRETRAINED, (False, None)),
    "mf_pretrain_path": (_PRETRAINED, (None, "")),
    "mlp_pretrain_path": (_PRETRAINED, (None, "")),
    "verbose": ("-v says more", ()),
    "MODEL_TYPE": ("the model's task is known by its name", ()),
    "MODEL_INPUT_TYPE": ("the model's task is known by its name", ()),
    "MASK_ITEM_SEQ": (_INSIDE, ()),
    "neg_sampling": ("RecBole 1.2.1 has put train_neg_sample_args in its place", (None,)),
    "training_neg_sample_num": ("RecBole 1.2.1 has put train_neg_sample_args in its place", (None,)),
    "fill_nan": ("RecBole 1.2.1 does not read it either", ()),
    "eval_setting": (_OLD, ()),
    "split_ratio": (_OLD, ()),
    "group_by_user": (_OLD, ()),
    "leave_one_num": (_OLD, ()),
    "min_user_inter_num": ("RecBole 1.2.1 does not read it either; user_inter_num_interval says it now", ()),
    "lowest_val": ("RecBole 1.2.1 does not read it either; val_interval says it now", ()),
}
