"""GroupLens' own files, known by their names: MovieLens-100K, -1M, -10M (``.dat``) and the later CSV ones."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import polars as pl

from recli.errors import Exit, RecliError
from recli.schema import ITEM, RATING, TIME, USER, Type
from recli.sources import csv
from recli.sources.columns import Column, plan, renamed
from recli.sources.delimited import Layout, read_rows
from recli.sources.settle import settle
from recli.sources.streams import Input, open_lines
from recli.sources.table import SKIP_HINT, Options, Rows, Table

RATINGS: Final = re.compile(r"u\.data|u[1-5ab]\.(base|test)|ratings\.(dat|csv)")
USERS: Final = ("u.user", "users.dat")
ITEMS: Final = ("u.item", "movies.dat", "movies.csv")
MAIN: Final = ("u.data", "ratings.dat", "ratings.csv")  # all ratings, rather than a fold of them
HEADERS: Final = {"ratings.csv": "userId,movieId,rating,timestamp", "movies.csv": "movieId,title,genres"}

# u.genre, for a u.item that has lost it.
# fmt: off
GENRES: Final = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)
# fmt: on
FILM: Final = ("movie_title", "release_date", "video_release_date", "imdb_url")
NO_GENRES: Final = "(no genres listed)"
TITLE: Final = r"^(.*?)\s*\((\d{4})\)(?:\s*\([^()]*\))?\s*$"  # Toy Story (1995), also followed by (V)


def kind_of(name: str) -> str | None:
    """What a file of this name holds (inter, user or item); None if GroupLens has no such file.

    >>> kind_of("u1.base"), kind_of("movies.dat"), kind_of("u.info")
    ('inter', 'item', None)
    """
    if RATINGS.fullmatch(name):
        return "inter"
    return "user" if name in USERS else "item" if name in ITEMS else None


def beside(name: str) -> tuple[str, ...]:
    """The files of users and items that belong to GroupLens' file of ratings of this name.

    >>> beside("u1.base"), beside("ratings.csv"), beside("ml.inter")
    (('u.user', 'u.item'), ('movies.csv',), ())
    """
    if kind_of(name) != "inter":
        return ()
    return {"ratings.dat": ("users.dat", "movies.dat"), "ratings.csv": ("movies.csv",)}.get(name, ("u.user", "u.item"))


def read(source: Input, options: Options, around: Mapping[str, Input]) -> Table:
    """The table in one of GroupLens' files; ``around`` holds the files next to it, for the names of the genres.

    Raises RecliError (DATA) naming the line, (USAGE) for a file of another name.
    """
    name = source.name.removesuffix(".gz").removesuffix(".zst")
    kind = kind_of(name)
    if kind is None:
        hint = f"u.data, u1.base, ratings.dat, ratings.csv, {', '.join(USERS + ITEMS)} are"
        raise RecliError(Exit.USAGE, "not a name of a MovieLens file", hint=hint, where=source.where)
    if kind == "item":
        return _films(source, name, options, around.get("u.genre"))
    if name == "ratings.csv":
        return csv.read(source, options, kind)
    sep = "::" if name.endswith(".dat") else "|" if kind == "user" else "\t"
    if kind == "inter":
        given: dict[str, Type] = {USER: "token", ITEM: "token", RATING: "float", TIME: "float"}
    else:
        order = (USER, "gender", "age") if name == "users.dat" else (USER, "age", "gender")
        given = dict.fromkeys((*order, "occupation", "zip_code"), "token")
    columns = plan(list(given), kind=kind, options=options, where=source.where, given=given)
    return _table(_read(source, columns, sep, options), kind, columns, options, source)


def _read(source: Input, columns: Sequence[Column], sep: str, options: Options) -> Rows:
    with open_lines(source, fallback="latin-1") as text:
        return read_rows(text, Layout(columns=tuple(columns), sep=options.sep or sep), skip=options.skip)


def _table(
    rows: Rows,
    kind: str,
    columns: Sequence[Column],
    options: Options,
    source: Input,
    *,
    originals: Mapping[str, str] | None = None,
    files: Sequence[Path] = (),
) -> Table:
    return Table.of(
        rows,
        kind=kind,
        types={column.canonical: column.type or "token" for column in columns},
        originals={**renamed(columns), **(originals or {})},
        options=options,
        where=source.where,
        files=files or source.files,
    )


def _films(source: Input, name: str, options: Options, genre_file: Input | None) -> Table:
    """item_id, movie_title, release_year and the genres, which RecBole calls class in 100K and genre elsewhere."""
    originals: dict[str, str] = {}
    files = source.files
    genre = "genre"
    if name == "u.item":
        genre = "class"
        files = tuple(dict.fromkeys(files + (genre_file.files if genre_file else ())))
        rows = _flagged(source, options, _genre_names(genre_file))
    elif name == "movies.dat":
        rows = _piped(_read(source, _tokens((ITEM, "movie_title", "genres")), "::", options))
    else:
        plain = Options(sep=options.sep, bad_rows=options.bad_rows, types={"title": "token", "genres": "token"})
        table = csv.read(source, plain, "item")
        rows = _piped(Rows(table.frame.rename({"title": "movie_title"}), (), table.skipped))
        originals = {ITEM: "movieId", "movie_title": "title", "genre": "genres"}
    frame = rows.frame.select(
        ITEM,
        pl.col("movie_title").str.replace(TITLE, "$1"),
        pl.col("movie_title").str.extract(TITLE, 2).fill_null("").alias("release_year"),
        pl.col("genres").alias(genre),
    )
    given: dict[str, Type] = {ITEM: "token", "movie_title": "token", "release_year": "token", genre: "token_seq"}
    options = replace(options, item_col=None)  # the item's column is known, and has its canonical name by now
    columns = plan(frame.columns, kind="item", options=options, where=source.where, given=given)
    settled = settle(Rows(frame, rows.spots, rows.skipped), columns, options, source.where)
    return _table(settled, "item", columns, options, source, originals=originals, files=files)


def _tokens(names: Sequence[str]) -> list[Column]:
    return [Column(name, name, "token", name == ITEM) for name in names]


def _genre_names(source: Input | None) -> Sequence[str]:
    if source is None:
        return GENRES
    with open_lines(source) as text:
        lines = b"".join(block.data for block in text.blocks()).decode().split("\n")
    return [line.partition("|")[0] for line in lines if line.strip()]


def _flagged(source: Input, options: Options, names: Sequence[str]) -> Rows:
    """u.item: one column of 0 and 1 for every genre."""
    rows = _read(source, _tokens((ITEM, *FILM, *names)), "|", options)
    valid = rows.frame.select(pl.all_horizontal(pl.col(names).is_in(["0", "1"]))).to_series()
    if not valid.all() and not options.skip:
        row = valid.index_of(False) or 0
        raise RecliError(Exit.DATA, "a genre is neither 0 nor 1", hint=SKIP_HINT, where=rows.place(row))
    flags = [pl.when(pl.col(name) == "1").then(pl.lit(name)) for name in names]
    frame = rows.frame.filter(valid).select(
        ITEM, "movie_title", pl.concat_list(flags).list.drop_nulls().alias("genres")
    )
    return Rows(frame, rows.spots, rows.skipped + rows.frame.height - frame.height)


def _piped(rows: Rows) -> Rows:
    """Genres between bars, as a list."""
    genres = pl.when(pl.col("genres").is_in(["", NO_GENRES])).then(pl.lit("")).otherwise(pl.col("genres"))
    parts = genres.str.split("|").list.eval(pl.element().filter(pl.element() != ""))
    return Rows(rows.frame.with_columns(parts.alias("genres")), rows.spots, rows.skipped)
