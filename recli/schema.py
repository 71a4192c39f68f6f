"""The names and types of every table's columns, once.

Types are RecBole's four atomic types. Nothing heavy is imported here: the commands read this module to build
their help.
"""

from typing import Final, Literal

USER: Final = "user_id"
ITEM: Final = "item_id"
RATING: Final = "rating"
TIME: Final = "timestamp"
LABEL: Final = "label"
POSITION: Final = "position"  # 0, 1, … within the user: the order, where a source has one but no clock
SPLIT: Final = "split"
SCORE: Final = "score"
QUERY: Final = "query"  # 0, 1, … within the user: which of several lists, where a user has several

Type = Literal["token", "token_seq", "float", "float_seq"]
TYPES: Final[tuple[Type, ...]] = ("token", "token_seq", "float", "float_seq")

# What an atomic file holds is said by its suffix; these columns must be there.
REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "inter": (USER, ITEM),
    "user": (USER,),
    "item": (ITEM,),
    "kg": ("head_id", "relation_id", "tail_id"),
    "link": (ITEM, "entity_id"),
    "net": ("source_id", "target_id"),
}
COMPANIONS: Final = ("user", "item", "kg", "link", "net")
KEYS: Final = {"user": USER, "item": ITEM}  # what a table of users, or of items, has a row of

# Columns that are numbers whatever table they stand in, and the columns that identify (never blank).
FLOATS: Final = frozenset({RATING, TIME, LABEL, POSITION})
IDS: Final = frozenset({USER, ITEM, "head_id", "relation_id", "tail_id", "entity_id", "source_id", "target_id"})

PARTS: Final = ("train", "valid", "test")
FORMATS: Final = (
    *("atomic", "movielens", "csv", "tsv", "jsonl", "parquet"),
    *("adjacency", "pairs", "sessions", "prefix", "matrix", "trec", "libfm"),
)
