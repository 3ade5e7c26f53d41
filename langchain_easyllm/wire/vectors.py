"""Embedding answers: bytes to vectors, whatever shape the server gave them.

`[n][dim]` (TEI), `{"data": [{"index", "embedding"}]}` with lists or base64 (OpenAI),
`{"embeddings": ...}` (the Hub's sentence-embedding containers), and per token `[n][tokens][dim]` or
`[n][1][tokens][dim]` (models without pooling).
"""

from __future__ import annotations

import math
import sys
from array import array
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter, mul
from typing import Literal, cast

import orjson

from ..errors import ProtocolError
from .events import Failure
from .lenient import second_look

__all__ = ["Pooling", "Vector", "normalized", "read_vectors", "to_floats"]

Pooling = Literal["mean", "cls"]
"""How one vector is made of one per token: their mean, or the first."""

Vector = list[float] | bytes
"""One vector, as floats or, where it came so, packed (float32, in this machine's byte order)."""


_CHECK = "check base_url and api"


def read_vectors(
    body: bytes, indices: Sequence[int], pooling: Pooling | None
) -> list[Vector] | Failure:
    """Read the vectors of one batch, in the order of its texts.

    Args:
        body: The answer.
        indices: The place of each text in the caller's list, for errors.
        pooling: How to make one vector of one per token; None where that is an error.

    Returns:
        The vectors, all finite; or a failure that the answer reports.

    Raises:
        ProtocolError: If they are not one vector of finite numbers per text.
    """
    strict = True
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        value, strict = second_look(body), False
    if isinstance(value, Mapping) and value.get("error"):
        return Failure(body)
    rows = _rows(value)
    if rows is None:
        raise ProtocolError(
            f"The answer holds no vectors but {body[:100].decode('utf-8', 'replace')!r}: {_CHECK}."
        )
    if len(rows) != len(indices):
        if len(indices) == 1 and rows and isinstance(rows[0], float | int):
            rows = [rows]  # some servers leave the outer list out for a single text
        else:
            raise ProtocolError(
                f"The server answered {len(rows)} vectors to {len(indices)} texts: {_CHECK}"
                + (", or set batch_size=1 if it takes one at a time." if len(indices) > 1 else ".")
            )
    vectors = [_vector(row, index, pooling) for row, index in zip(rows, indices, strict=True)]
    if not strict:  # orjson lets no infinite number through, the second look does
        for vector, index in zip(vectors, indices, strict=True):
            _check_finite(to_floats(vector), index)
    return vectors


def _rows(value: object) -> list[object] | None:
    """Return what an answer holds for each text, in their order."""
    if isinstance(value, Mapping):
        if isinstance(data := value.get("data"), list):
            return _in_order(data)
        value = value.get("embeddings")
    return value if isinstance(value, list) else None


def _in_order(data: list[object]) -> list[object]:
    items = [item for item in data if isinstance(item, Mapping) and "embedding" in item]
    if len(items) != len(data):
        raise ProtocolError(f"The answer's data holds something that is no embedding: {_CHECK}.")
    places = [item.get("index", place) for place, item in enumerate(items)]
    if places != list(range(len(items))):
        if sorted(places, key=str) != sorted(range(len(items)), key=str):
            raise ProtocolError(f"The answer numbers its vectors {str(places)[:100]}.")
        items.sort(key=itemgetter("index"))
    return [item["embedding"] for item in items]


def _vector(row: object, index: int, pooling: Pooling | None) -> Vector:
    if type(row) is str:
        return _packed(row, index)
    if not isinstance(row, list) or not row:
        raise ProtocolError(
            f"The vector of text {index} is {str(row)[:50]!r}, where a list of numbers belongs: "
            f"{_CHECK}."
        )
    if isinstance(row[0], list):
        row = _pooled(row, index, pooling)
    kinds = set(map(type, row))
    if kinds == {float}:
        return cast("list[float]", row)
    if kinds <= {float, int}:
        return [float(cast("float", number)) for number in row]
    wrong = next(place for place, number in enumerate(row) if type(number) not in (float, int))
    raise _no_number(index, wrong, row[wrong])


def _packed(text: str, index: int) -> bytes:
    """Decode base64 of little-endian float32."""
    try:
        packed = a2b_base64(text)
    except (Base64Error, ValueError) as error:
        raise ProtocolError(f"The vector of text {index} is no base64 ({error}).") from error
    if not packed or len(packed) % 4:
        raise ProtocolError(f"The vector of text {index} has {len(packed)} bytes, no float32s.")
    # NaN and infinity are all ones in the exponent, most of which is in the last byte of four.
    last = packed[3::4]
    if b"\x7f" in last or b"\xff" in last:
        _check_finite(_native(packed), index)
    return packed if sys.byteorder == "little" else _native(packed).tobytes()


def _native(packed: bytes) -> array[float]:
    numbers = array("f", packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _check_finite(numbers: Iterable[float], index: int) -> None:
    for place, number in enumerate(numbers):
        if not math.isfinite(number):
            raise _no_number(index, place, number)


def _no_number(index: int, place: int, value: object) -> ProtocolError:
    return ProtocolError(
        f"The vector of text {index} has {value!r} at place {place}, where a finite number belongs:"
        " the model on the server may be broken, or its number format too small for it."
    )


def _pooled(row: list[object], index: int, pooling: Pooling | None) -> list[object]:
    """Make one vector of one per token."""
    tokens = row
    if len(tokens) == 1 and isinstance(tokens[0], list) and tokens[0] and _nested(tokens[0]):
        tokens = tokens[0]
    vectors = [token for token in tokens if isinstance(token, list) and token]
    if len(vectors) != len(tokens) or len(set(map(len, vectors))) != 1:
        raise ProtocolError(f"The vectors of the tokens of text {index} have different lengths.")
    if len(vectors) == 1 or pooling == "cls":
        return vectors[0]
    if pooling is None:
        raise ProtocolError(
            f"The server answers one vector per token ({len(vectors)} for text {index}): set "
            "pooling='mean' or 'cls', whichever the model was trained with."
        )
    try:
        return [math.fsum(column) / len(vectors) for column in zip(*vectors, strict=True)]
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"The vectors of text {index}'s tokens hold no numbers.") from error


def _nested(value: list[object]) -> bool:
    return isinstance(value[0], list)


def to_floats(vector: Vector) -> list[float]:
    """Return a vector as floats."""
    return array("f", vector).tolist() if type(vector) is bytes else cast("list[float]", vector)


def normalized(vector: Vector) -> list[float]:
    """Return a vector brought to length 1; one of length 0 stays as it is."""
    numbers = to_floats(vector)
    length = math.sqrt(math.fsum(map(mul, numbers, numbers)))
    return [number / length for number in numbers] if length else numbers
