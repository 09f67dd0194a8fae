"""The forward pass of a small BERT encoder (Devlin et al. 2018) in numpy, without padding.

Texts of a pass lie one after the other as rows of one matrix, so that the linear layers see every token once and
nothing else; only attention looks at each length by itself. Everything is float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
HEADS = 12
EPSILON = np.float32(1e-12)
PASS_TOKENS = 512  # most tokens of one pass, a longer text aside: what it works on then fits the processor's cache
GELU_ROWS = 32
# erfc(z) = (a1 t + … + a5 t^5) exp(-z²), t = 1 / (1 + p z): Abramowitz and Stegun 7.1.26, error below 1.5e-7.
ERFC_P = 0.3275911
ERFC_A = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


@dataclass(frozen=True)
class Dense:
    """A linear layer, its weight stored as (in, out)."""

    weight: Matrix
    bias: Matrix

    def __call__(self, rows: Matrix) -> Matrix:
        """(rows, in) to (rows, out)."""
        out: Matrix = rows @ self.weight
        out += self.bias
        return out


@dataclass(frozen=True)
class Norm:
    """Layer normalisation; works in place."""

    gain: Matrix
    bias: Matrix

    def __call__(self, rows: Matrix) -> Matrix:
        """The same rows, each with mean 0 and variance 1, then scaled and shifted."""
        rows -= rows.mean(axis=1, keepdims=True)
        variance = np.einsum("ij,ij->i", rows, rows) / np.float32(rows.shape[1])
        rows *= (1 / np.sqrt(variance + EPSILON))[:, None]
        rows *= self.gain
        rows += self.bias
        return rows


@dataclass(frozen=True)
class Layer:
    """One block of the encoder; ``attend`` holds query, key and value side by side."""

    attend: Dense
    attended: Dense
    attended_norm: Norm
    widen: Dense
    narrow: Dense
    narrow_norm: Norm


class Encoder:
    """Turns token ids into one vector of length 1 for each text: the mean of its tokens' last states."""

    def __init__(self, tensors: Mapping[str, Matrix]) -> None:
        """Take the tensors of a BERT checkpoint under their usual names.

        Raises:
            KeyError: one is missing.
        """
        self._words = tensors["embeddings.word_embeddings.weight"]
        # Every text is one segment, so its type can be added once.
        self._positions = (
            tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
        )
        self._norm = _norm(tensors, "embeddings.LayerNorm")
        self._layers = [_layer(tensors, f"encoder.layer.{number}.") for number in range(_count_layers(tensors))]
        self.dimensions = int(self._words.shape[1])

    def encode(self, texts: Sequence[Sequence[int]]) -> Matrix:
        """The vectors of texts, given as token ids, in one pass: (texts, dimensions), in their order.

        Neighbours of the same length are worked on together.
        """
        lengths = [len(text) for text in texts]
        rows = self._words[np.concatenate(texts)]
        rows += np.concatenate([self._positions[:length] for length in lengths])
        rows = self._norm(rows)
        groups = [(length, len(list(same))) for length, same in groupby(lengths)]
        for layer in self._layers:
            rows += layer.attended(_attention(layer.attend(rows), groups))
            rows = layer.attended_norm(rows)
            rows += layer.narrow(_gelu(layer.widen(rows)))
            rows = layer.narrow_norm(rows)
        starts = np.concatenate(([0], np.cumsum(lengths[:-1]))).astype(np.intp)
        # The sum points where the mean does, and only the direction is kept.
        pooled: Matrix = np.add.reduceat(rows, starts, axis=0)
        pooled /= np.sqrt(np.einsum("ij,ij->i", pooled, pooled))[:, None]
        return pooled


def cut_passes(texts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Which texts go through the encoder together, by their numbers: from the shortest to the longest."""
    taken: list[int] = []
    tokens = 0
    for number in sorted(range(len(texts)), key=lambda number: len(texts[number])):
        if taken and tokens + len(texts[number]) > PASS_TOKENS:
            yield taken
            taken, tokens = [], 0
        taken.append(number)
        tokens += len(texts[number])
    if taken:
        yield taken


def _attention(projected: Matrix, groups: Sequence[tuple[int, int]]) -> Matrix:
    """Attention within each text; ``groups`` are (length, how many texts) in the order of the rows."""
    width = projected.shape[1] // 3
    mixed = np.empty((len(projected), width), np.float32)
    start = 0
    for length, count in groups:
        end = start + length * count
        shape = (count, length, 3, HEADS, width // HEADS)
        query, key, value = projected[start:end].reshape(shape).transpose(2, 0, 3, 1, 4)
        weights = query @ key.swapaxes(-1, -2)
        weights -= weights.max(axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        out = mixed[start:end].reshape(count, length, HEADS, width // HEADS).transpose(0, 2, 1, 3)
        np.matmul(weights, value, out=out)
        out /= weights.sum(axis=-1, keepdims=True)
        start = end
    return mixed


def _gelu(rows: Matrix) -> Matrix:
    """GELU, x Φ(x), in place, in blocks that stay in the processor's cache."""
    power, factor, total = np.empty((3, min(GELU_ROWS, len(rows)), rows.shape[1]), np.float32)
    for start in range(0, len(rows), GELU_ROWS):
        block = rows[start : start + GELU_ROWS]
        _gelu_block(block, power[: len(block)], factor[: len(block)], total[: len(block)])
    return rows


def _gelu_block(x: Matrix, power: Matrix, factor: Matrix, total: Matrix) -> None:
    """By x Φ(x) = max(x, 0) - |x| erfc(|x| / √2) / 2."""
    np.multiply(x, x, out=power)
    power *= np.float32(-0.5)
    np.exp(power, out=power)
    np.abs(x, out=factor)
    power *= factor
    factor *= np.float32(ERFC_P / sqrt(2))
    factor += np.float32(1)
    np.reciprocal(factor, out=factor)
    np.multiply(factor, np.float32(ERFC_A[-1] / 2), out=total)
    for coefficient in reversed(ERFC_A[:-1]):
        total += np.float32(coefficient / 2)
        total *= factor
    total *= power
    np.maximum(x, 0, out=x)
    x -= total


def _count_layers(tensors: Mapping[str, Matrix]) -> int:
    return 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("encoder.layer."))


def _layer(tensors: Mapping[str, Matrix], prefix: str) -> Layer:
    query, key, value = (_dense(tensors, f"{prefix}attention.self.{part}") for part in ("query", "key", "value"))
    # Attention divides its scores by the root of a head's width: here the queries already are.
    scale = np.float32(1 / sqrt(query.weight.shape[1] // HEADS))
    return Layer(
        attend=Dense(
            np.concatenate((query.weight * scale, key.weight, value.weight), axis=1),
            np.concatenate((query.bias * scale, key.bias, value.bias)),
        ),
        attended=_dense(tensors, f"{prefix}attention.output.dense"),
        attended_norm=_norm(tensors, f"{prefix}attention.output.LayerNorm"),
        widen=_dense(tensors, f"{prefix}intermediate.dense"),
        narrow=_dense(tensors, f"{prefix}output.dense"),
        narrow_norm=_norm(tensors, f"{prefix}output.LayerNorm"),
    )


def _dense(tensors: Mapping[str, Matrix], name: str) -> Dense:
    # BLAS multiplies few rows twice as fast when the weight lies in memory as (in, out).
    return Dense(np.ascontiguousarray(tensors[f"{name}.weight"].T), tensors[f"{name}.bias"])


def _norm(tensors: Mapping[str, Matrix], name: str) -> Norm:
    return Norm(tensors[f"{name}.weight"], tensors[f"{name}.bias"])
