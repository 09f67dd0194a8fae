"""The built-in model: against published values, a slow forward pass of its own, and what any embedder owes."""

import asyncio
import math
import random
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file
from threadpoolctl import threadpool_info

from agent.embeddings.minilm import TOKENIZER, WEIGHTS, MiniLM, find_files, verify_files
from tools.context import EmbeddingError

WORDS = ("disk", "full", "on", "ingest-7", "kafka", "lag", "pod", "OOMKilled", "after", "deploy", "of", "billing")


@pytest.fixture(scope="module")
def minilm():
    folder = find_files()
    verify_files(folder)
    return MiniLM(folder)


def similarity(first, second):
    return sum(one * other for one, other in zip(first, second, strict=True))


def slow_vector(text):
    """The forward pass as the paper writes it: one text, float64, one attention head at a time."""
    from tokenizers import Tokenizer

    folder = find_files()
    tensors = {name: tensor.astype(np.float64) for name, tensor in load_file(folder / WEIGHTS).items()}
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_padding()

    def dense(x, name):
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(axis=1, keepdims=True)
        return (
            centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12) * tensors[f"{name}.weight"]
            + tensors[f"{name}.bias"]
        )

    x = np.array([tensors["embeddings.word_embeddings.weight"][number] for number in tokenizer.encode(text).ids])
    x = x + tensors["embeddings.position_embeddings.weight"][: len(x)]
    x = norm(x + tensors["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(6):
        name = f"encoder.layer.{layer}"
        query, key, value = (dense(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
        heads = []
        for head in range(12):
            part = slice(32 * head, 32 * head + 32)
            weights = np.exp(query[:, part] @ key[:, part].T / math.sqrt(32))
            heads.append(weights / weights.sum(axis=1, keepdims=True) @ value[:, part])
        attended = dense(np.concatenate(heads, axis=1), f"{name}.attention.output.dense")
        x = norm(x + attended, f"{name}.attention.output.LayerNorm")
        wide = dense(x, f"{name}.intermediate.dense")
        wide = wide * np.vectorize(lambda value: 0.5 * (1 + math.erf(value / math.sqrt(2))))(wide)
        x = norm(x + dense(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    mean = x.mean(axis=0)
    return (mean / np.linalg.norm(mean)).tolist()


async def test_similarities_are_those_that_sentence_transformers_publishes(minilm):
    texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    first, second, third = await minilm.embed_texts(texts)
    found = [similarity(first, second), similarity(first, third), similarity(second, third)]
    assert found == pytest.approx([0.6660, 0.1046, 0.1411], abs=1e-4)


@pytest.mark.parametrize("text", ["Disk full on ingest-7: OOMKilled!", "ünïcode 磁盘已满 🚨", ""])
async def test_the_fast_pass_agrees_with_the_slow_one(minilm, text):
    (vector,) = await minilm.embed_texts([text])
    assert vector == pytest.approx(slow_vector(text), abs=2e-6)


async def test_a_batch_gives_each_text_the_vector_that_it_has_alone(minilm):
    dice = random.Random(7)
    texts = [" ".join(dice.choices(WORDS, k=dice.randint(0, 60))) for _ in range(40)]
    together = await minilm.embed_texts(texts)
    for text, vector in zip(texts, together, strict=True):
        assert vector == pytest.approx(await minilm.embed_query(text), abs=1e-5)
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)
        assert len(vector) == minilm.dimensions == 384


async def test_what_is_alike_lies_nearer(minilm):
    query = await minilm.embed_query("why is the disk full?")
    near, far = await minilm.embed_texts(["no space left on device", "the payments deploy went out at noon"])
    assert similarity(query, near) > similarity(query, far) + 0.2


async def test_long_texts_are_cut_at_the_models_window(minilm):
    beginning = "disk " * 254  # with the two tokens around it, all that the model sees
    whole, longer, other = await minilm.embed_texts([beginning, beginning + "payments " * 1200, "payments " * 1200])
    assert longer == pytest.approx(whole, abs=1e-5) and similarity(whole, other) < 0.9


async def test_the_same_text_has_the_same_vector_and_nothing_has_none(minilm):
    assert await minilm.embed_query("kafka lag") == await minilm.embed_query("kafka lag")
    assert await minilm.embed_texts([]) == []


async def test_a_query_passes_a_batch_that_is_under_way(minilm):
    await minilm.embed_query("loads the model")
    batch = asyncio.create_task(minilm.embed_texts([" ".join(WORDS * 20)] * 24))
    await asyncio.sleep(0.05)
    await minilm.embed_query("disk full")
    assert not batch.done()
    await batch


async def test_blas_keeps_to_one_thread(minilm):
    await minilm.embed_query("loads the model")
    assert {entry["num_threads"] for entry in threadpool_info() if entry["user_api"] == "blas"} == {1}


@pytest.mark.parametrize("name", [WEIGHTS, TOKENIZER])
def test_files_that_were_changed_are_refused(tmp_path, name):
    folder = shutil.copytree(find_files(), tmp_path / "model")
    with (folder / name).open("r+b") as file:
        file.seek(1000)
        file.write(b"!!")
    with pytest.raises(
        EmbeddingError, match=rf"{name} is not the file that Ratchet knows: its sha256 is [0-9a-f]{{64}}"
    ):
        verify_files(folder)


def test_files_that_are_missing_are_named(tmp_path):
    with pytest.raises(EmbeddingError, match=r"cannot read .*model.safetensors: No such file"):
        verify_files(tmp_path)
