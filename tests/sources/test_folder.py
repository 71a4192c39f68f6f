"""What names say, and what folders and archives hold."""

import zipfile

import pytest

from recli.errors import Exit
from recli.sources import Options, companions, detect, folder, name_of, read, read_all

INTER = "user_id:token\titem_id:token\n1\t2\n"


@pytest.mark.parametrize(("name", "content", "format_"), [
    ("a.inter", INTER, "atomic"), ("a.kg.gz", "x", "atomic"), ("a.emb", "i:token\n", "atomic"), ("a.csv", "", "csv"),
    ("a.tsv.zst", "", "tsv"), ("a.ndjson", "", "jsonl"), ("a.parquet", "", "parquet"), ("a.txt", INTER, "atomic"),
])  # fmt: skip
def test_detect(put, name, content, format_):
    assert detect(put(name, content)) == format_


@pytest.mark.parametrize("name", ["train.txt", "a.rating", "noname"])
def test_headerless_text_needs_a_format(put, refused, name):
    message = refused(put(name, "1 2 3\n"), Exit.USAGE, "--format says which: atomic, movielens, csv")
    assert message == f"{name}: the name does not tell the format"


def test_names_of_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    assert name_of(Path()) == tmp_path.name


def test_companions(put, tmp_path):
    inter = put("ml.inter", INTER)
    assert companions(inter) == {}
    for name in ("ml.user", "ml.item.gz", "ml.kg.parquet", "ml.link.csv", "other.net", "ml.user.parquet"):
        put(name, "")
    names = {"user": "ml.user", "item": "ml.item.gz", "kg": "ml.kg.parquet", "link": "ml.link.csv"}
    expected = {kind: tmp_path / name for kind, name in names.items()}
    for path in (inter, put("ml.inter.parquet", ""), put("ml.csv", ""), tmp_path / "ml.inter.gz"):
        assert companions(path) == expected
    assert "user" not in companions(tmp_path / "ml.user")


def test_a_folder_of_atomic_files(put, tmp_path, refused):
    here = put("ml/ml.inter", INTER).parent
    put("ml/ml.user", "user_id:token\n1\n")
    put("ml/ml.emb", "item_id:token\tv:float_seq\n1\t1 2\n")
    put("ml/ml.txt", "notes")
    put("ml/other.item", "item_id:token\n1\n")
    put("ml/ml-small.inter", INTER)
    assert [table.kind for table in read_all(here)] == ["inter", "emb", "user"]
    assert read(here).files == (here / "ml.inter",)
    types = Options(types={"v": "token_seq"})
    assert read_all(here, types)[1].types["v"] == "token_seq"
    (here / "ml.inter").rename(here / "big.inter")
    assert refused(here, Exit.USAGE, "big.inter, ml-small.inter") == "ml: which file holds the interactions?"
    assert refused(tmp_path, Exit.USAGE, "NAME.inter") == f"{tmp_path.name}: nothing in it that recli knows"


def archive(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return path


def test_an_archive_of_atomic_files(tmp_path):
    path = archive(tmp_path / "ml.zip", {
        "ml/": "", "/etc/ml.inter": INTER, "a/../b/ml.user": "user_id:token\n1\n", "__MACOSX/ml/ml.inter": "x",
    })  # fmt: skip
    assert [table.kind for table in read_all(path)] == ["inter", "user"]
    assert read(path).frame.rows() == [("1", "2")]


def test_archives_that_are_refused(tmp_path, refused, monkeypatch):
    bomb = archive(tmp_path / "bomb.zip", {"a.inter": INTER + "1\t2\n" * 5_000_000})
    assert "20,000,032 bytes" in refused(bomb)
    twice = archive(tmp_path / "twice.zip", {"a/a.inter": INTER, "b/a.inter": INTER})
    assert refused(twice) == "twice.zip: two files in the archive are called a.inter"

    whole = archive(tmp_path / "a.zip", {"a.inter": INTER}, zipfile.ZIP_STORED).read_bytes()
    encrypted = bytearray(whole)
    encrypted[6] |= 1
    encrypted[whole.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(encrypted)
    assert refused(tmp_path / "secret.zip") == "secret.zip: the archive is encrypted"

    (tmp_path / "flip.zip").write_bytes(whole.replace(b"1\t2", b"1\t3"))
    assert "flip.zip/a.inter: the compressed data is damaged: Bad CRC-32" in refused(tmp_path / "flip.zip")
    for length in range(0, len(whole) - 1, 7):
        (tmp_path / "cut.zip").write_bytes(whole[:length])
        assert "damaged" in refused(tmp_path / "cut.zip")

    monkeypatch.setattr(folder, "MAX_UNZIPPED", 10)
    assert "unpacks to 32 bytes" in refused(tmp_path / "a.zip")


def test_a_member_that_says_less_than_it_holds(tmp_path, refused):
    whole = archive(tmp_path / "a.zip", {"a.inter": INTER}).read_bytes()
    size = len(INTER).to_bytes(4, "little")
    at = whole.index(b"PK\1\2") + 24
    assert whole[at : at + 4] == size
    (tmp_path / "lie.zip").write_bytes(whole[:at] + (30).to_bytes(4, "little") + whole[at + 4 :])
    assert "damaged" in refused(tmp_path / "lie.zip")


def test_damaged_archives_are_read_or_refused(tmp_path):
    import random

    from recli.errors import RecliError

    whole = archive(tmp_path / "a.zip", {"a.inter": INTER * 20, "a.user": "user_id:token\n1\n"}).read_bytes()
    rng = random.Random(2020)
    for _ in range(300):
        broken = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        (tmp_path / "b.zip").write_bytes(broken)
        try:
            read_all(tmp_path / "b.zip")
        except RecliError as error:
            assert error.code in (Exit.DATA, Exit.USAGE)
