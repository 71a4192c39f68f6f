"""Parameters: typed, checked, named in the message."""

from dataclasses import dataclass
from typing import Any

import pytest

from recli.errors import Exit, RecliError
from recli.model import configure, param, parse


@dataclass(frozen=True, kw_only=True)
class Subject:
    k: int = param(10, "how many", least=1)
    rate: float = param(0.1, "how fast", above=0)
    way: str = param("cosine", "how", one_of=("cosine", "bm25"))
    bias: bool = param(False, "whether")


def test_defaults() -> None:
    assert configure(Subject, {}) == Subject()


def test_values_take_the_type_of_their_field() -> None:
    given = parse(["k=5", "rate=1", "way=bm25", "bias=true"])
    made = configure(Subject, given)
    assert made == Subject(k=5, rate=1.0, way="bm25", bias=True)
    assert type(made.rate) is float
    assert configure(Subject, {"k": 5.0}).k == 5


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"kk": 1}, "Subject has no parameter 'kk'", "did you mean k?"),
        ({"k": 1.5}, "k takes a whole number, not 1.5", None),
        ({"k": True}, "k takes a whole number, not True", None),
        ({"k": "x"}, "k takes a whole number, not 'x'", None),
        ({"k": None}, "k takes a whole number, not None", None),
        ({"k": 0}, "k must be at least 1, not 0", None),
        ({"rate": 0}, "rate must be above 0, not 0", None),
        ({"rate": float("nan")}, "rate cannot be nan", None),
        ({"rate": float("inf")}, "rate cannot be inf", None),
        ({"way": "cosin"}, "way cannot be 'cosin'", "did you mean cosine?"),
        ({"way": True}, "way takes a word, not True", None),
        ({"bias": 1}, "bias takes true or false, not 1", None),
    ],
)
def test_what_a_parameter_does_not_take(given: dict[str, Any], message: str, hint: str | None) -> None:
    with pytest.raises(RecliError) as caught:
        configure(Subject, given)
    assert (caught.value.code, caught.value.message, caught.value.hint) == (Exit.USAGE, message, hint)


@pytest.mark.parametrize("text", ["k", "=3"])
def test_what_is_no_assignment(text: str) -> None:
    with pytest.raises(RecliError, match="-p takes key=value"):
        parse([text])


def test_an_assignment_keeps_what_follows() -> None:
    assert parse(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
