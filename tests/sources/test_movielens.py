"""GroupLens' files, folders and archives."""

import zipfile

import pytest

from recli.errors import Exit
from recli.sources import Options, companions, detect, files, kind, name_of, read, read_all

FLAGS = "0|" * 18


def film(identity: int, title: str, flags: str) -> str:
    return f"{identity}|{title}|01-Jan-1995||http://x|{flags}\n"


@pytest.fixture
def ml_100k(put):
    put("ml-100k/u.data", "1\t2\t3\t881250949\n2\t1\t4\t881250950\n")
    put("ml-100k/u1.base", "1\t2\t3\t881250949\n")
    put("ml-100k/u.user", "1|24|M|technician|85711\n2|53|F|other|T8H1N\n")
    items = film(1, "Toy Story (1995)", FLAGS + "1") + film(
        2, "Mis\xe9rables, Les (1998) (V)", "0|1|" + "0|" * 16 + "1"
    )
    put("ml-100k/u.item", items.encode("latin-1"))
    return put("ml-100k/README", "").parent


@pytest.fixture
def ml_1m(put):
    put("ml-1m/ratings.dat", "1::1193::5::978300760\n1::661::3.5::978302109\n")
    put("ml-1m/users.dat", "1::F::1::10::48067\n2::M::56::16::70072\n")
    put(
        "ml-1m/movies.dat", "1193::One Flew: Over (1975)::Drama\n661::Caf\xe9::Animation|Children's\n".encode("latin-1")
    )
    return put("ml-1m/README", "").parent


@pytest.fixture
def ml_latest(put):
    put("ml-latest/ratings.csv", "userId,movieId,rating,timestamp\n1,2,4.0,964982703\n")
    put(
        "ml-latest/movies.csv",
        'movieId,title,genres\n2,"American, The (1995)",Comedy|Drama\n3,Bebop,(no genres listed)\n',
    )
    put("ml-latest/links.csv", "movieId,imdbId,tmdbId\n2,3,4\n")
    return put("ml-latest/README.txt", "").parent


def test_100k(ml_100k):
    inter, user, item = read_all(ml_100k)
    assert inter.frame.rows() == [("1", "2", 3.0, 881250949.0), ("2", "1", 4.0, 881250950.0)]
    assert user.frame.columns == ["user_id", "age", "gender", "occupation", "zip_code"]
    assert user.frame.row(1) == ("2", "53", "F", "other", "T8H1N")
    assert item.types == {"item_id": "token", "movie_title": "token", "release_year": "token", "class": "token_seq"}
    assert item.frame.rows() == [
        ("1", "Toy Story", "1995", ["Western"]), ("2", "Misérables, Les", "1998", ["Action", "Western"]),
    ]  # fmt: skip
    assert read(ml_100k).files == (ml_100k / "u.data",)
    assert read(ml_100k / "u1.base").frame.height == 1


def test_genres_are_named_by_their_file(ml_100k, put):
    names = [f"genre{i}" for i in range(19)]
    genres = put("ml-100k/u.genre", "".join(f"{name}|{i}\n" for i, name in enumerate(names)) + "\n")
    table = read(ml_100k / "u.item")
    assert table.frame["class"].to_list() == [["genre18"], ["genre1", "genre18"]]
    assert table.files == (ml_100k / "u.item", genres) == files(ml_100k / "u.item")
    assert files(ml_100k) == files(ml_100k / "u.data") == (ml_100k / "u.data",)


def test_1m(ml_1m):
    inter, user, item = read_all(ml_1m)
    assert inter.frame.rows() == [("1", "1193", 5.0, 978300760.0), ("1", "661", 3.5, 978302109.0)]
    assert user.frame.row(0) == ("1", "F", "1", "10", "48067")
    assert user.frame.columns == ["user_id", "gender", "age", "occupation", "zip_code"]
    assert item.frame.rows() == [
        ("1193", "One Flew: Over", "1975", ["Drama"]), ("661", "Café", "", ["Animation", "Children's"])
    ]  # fmt: skip


def test_latest(ml_latest):
    inter, item = read_all(ml_latest)
    assert inter.frame.rows() == [("1", "2", 4.0, 964982703.0)]
    assert inter.originals == {"user_id": "userId", "item_id": "movieId"}
    assert item.frame.rows() == [("2", "American, The", "1995", ["Comedy", "Drama"]), ("3", "Bebop", "", [])]
    assert item.originals == {"item_id": "movieId", "movie_title": "title", "genre": "genres"}
    tables = read_all(ml_latest, Options(item_col="movieId", types={"release_year": "float"}))
    assert tables[1].frame["release_year"].to_list() == [1995.0, None]


def test_names_need_no_format(ml_100k, ml_1m, ml_latest, put):
    for path in (ml_100k, ml_1m, ml_latest, ml_100k / "u.item", ml_100k / "u1.base", ml_1m / "ratings.dat",
                 ml_latest / "ratings.csv", ml_latest / "movies.csv"):  # fmt: skip
        assert detect(path) == "movielens"
    assert detect(put("mine/ratings.csv", "user,item\n1,2\n")) == "csv"
    assert detect(put("mine/u.item", "item_id:token\n1\n")) == "atomic"
    assert name_of(ml_100k / "u1.base") == "u1"
    for path in (ml_100k, ml_100k / "u1.base", ml_latest / "movies.csv", ml_1m / "users.dat", ml_100k / "u.item"):
        assert kind(path) == read(path).kind


def test_companions(ml_100k, ml_1m, ml_latest):
    for name in ("u.data", "u1.base"):
        assert companions(ml_100k / name) == {"user": ml_100k / "u.user", "item": ml_100k / "u.item"}
    assert companions(ml_1m / "ratings.dat") == {"user": ml_1m / "users.dat", "item": ml_1m / "movies.dat"}
    assert companions(ml_latest / "ratings.csv") == {"item": ml_latest / "movies.csv"}
    assert companions(ml_1m) == {}


def test_archives_are_read_in_place(ml_100k, tmp_path):
    archive = tmp_path / "ml.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for file in sorted(ml_100k.iterdir()):
            out.write(file, f"../../ml-100k/{file.name}")
    before = sorted(tmp_path.rglob("*"))
    assert detect(archive) == "movielens"
    assert name_of(archive) == "ml"
    tables = read_all(archive)
    assert [table.frame.equals(other.frame) for table, other in zip(tables, read_all(ml_100k), strict=True)] == [
        True
    ] * 3
    assert all(table.files == (archive,) for table in tables)
    assert sorted(tmp_path.rglob("*")) == before


def test_bad_rows_are_named(put, refused, tmp_path):
    assert refused(put("u.data", "1\t2\t3\t4\n1\t2\t3\n")) == "u.data:2: expected 4 fields, found 3"
    assert refused(put("ratings.dat", "1::2::x::4\n")) == "ratings.dat:1: rating: 'x' is not a number"
    assert refused(put("u.item", film(1, "a", FLAGS + "1") + film(2, "b", FLAGS + "2"))) == (
        "u.item:2: a genre is neither 0 nor 1"
    )
    assert read(tmp_path / "u.item", Options(bad_rows="skip")).skipped == 1
    assert "twice" in refused(put("movies.dat", "1::a::b\n1::c::d\n"))
    refused(put("my.dat", "1::2::3::4\n"), Exit.USAGE, "ratings.dat", format="movielens")
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as out:
        out.writestr("x/u.data", "1\t2\t3\t4\n1\t \t3\t4\n")
    assert refused(tmp_path / "bad.zip") == "bad.zip/x/u.data:2: item_id is blank"


@pytest.mark.shared
def test_real_data(shared):
    inter, user, item = read_all(shared / "ml-100k-folds")
    assert (inter.frame.height, user.frame.height, item.frame.height) == (100_000, 943, 1682)
    for fold in range(1, 6):
        assert read(shared / "ml-100k-folds" / f"u{fold}.base").frame.height == 80_000
        assert read(shared / "ml-100k-folds" / f"u{fold}.test").frame.height == 20_000
    recbole = {table.kind: table for table in read_all(shared / "ml-100k")}
    assert inter.frame.equals(recbole["inter"].frame)
    assert user.frame.equals(recbole["user"].frame)
    assert item.frame["class"].equals(recbole["item"].frame["class"])
    years = item.frame["release_year"] == recbole["item"].frame["release_year"]
    assert years.sum() == 1680  # RecBole's file has "V" and "unkonwn" for the other two
