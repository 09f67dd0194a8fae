"""From settings to a chat model. Constructors take values; nothing here reads the environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agent.errors import ModelRefused, ModelUnavailable

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

Provider = Literal["openai", "ollama"]
PullProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ModelChoice:
    """Which model on which server. ``url`` None means OpenAI's own."""

    provider: Provider
    model: str
    url: str | None
    api_key: str | None = None
    timeout_seconds: float = 120.0

    def __str__(self) -> str:
        place = self.url or "OpenAI"
        return f"{self.model} at {place}"


def build_chat_model(choice: ModelChoice) -> BaseChatModel:
    """The LangChain client of a choice. Retries are not its business: agent/retries.py counts them."""
    if choice.provider == "openai":
        from langchain_openai import ChatOpenAI
        from pydantic import SecretStr

        return ChatOpenAI(
            model=choice.model,
            base_url=choice.url,
            api_key=SecretStr(choice.api_key or "none"),
            timeout=choice.timeout_seconds,
            max_retries=0,
            stream_usage=True,
            use_responses_api=False,
        )
    from langchain_ollama import ChatOllama

    return ChatOllama(
        model=choice.model, base_url=choice.url, client_kwargs={"timeout": choice.timeout_seconds}, num_ctx=16384
    )


async def is_ollama_reachable(host: str, *, timeout: float = 1.0) -> bool:
    """Whether an Ollama server answers at ``host``."""
    import httpx2

    try:
        async with httpx2.AsyncClient(timeout=timeout, trust_env=False) as client:
            response = await client.get(f"{host.rstrip('/')}/api/version")
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        return False
    return response.status_code == 200


async def ensure_ollama_model(host: str, model: str, progress: PullProgress) -> None:
    """Pull a model that the server does not have.

    Args:
        host: the server's URL.
        model: name with or without tag.
        progress: called with (what happens, bytes done, bytes in all; 0 when unknown).

    Raises:
        ModelUnavailable: the server cannot be reached or the pull breaks off.
        ModelRefused: the server knows no such model.
    """
    import httpx
    from ollama import AsyncClient, ResponseError

    try:
        async with AsyncClient(host=host) as client:
            listed = await client.list()
            wanted = model if ":" in model else f"{model}:latest"
            if any(entry.model == wanted for entry in listed.models):
                return
            async for step in await client.pull(model, stream=True):
                progress(step.status or "pulling", step.completed or 0, step.total or 0)
    except ResponseError as error:
        raise ModelRefused(f"Ollama at {host} cannot provide {model}: {error.error}") from error
    except (httpx.HTTPError, httpx.InvalidURL, ConnectionError, ValueError) as error:
        raise ModelUnavailable(f"Ollama at {host} cannot be reached: {error}") from error


async def check_model(choice: ModelChoice) -> None:
    """Ask the server whether it has the model, without asking the model anything.

    Raises:
        ModelUnavailable: the server does not answer.
        ModelRefused: the key or the model is not accepted.
    """
    import httpx2

    base = (choice.url or "https://api.openai.com/v1").rstrip("/")
    path = "/models" if choice.provider == "openai" else "/api/tags"
    headers = {"Authorization": f"Bearer {choice.api_key}"} if choice.api_key else {}
    try:
        async with httpx2.AsyncClient(timeout=5.0) as client:
            response = await client.get(base + path, headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise ModelUnavailable(
            f"the model server at {base} cannot be reached: {error or type(error).__name__}"
        ) from error
    if response.status_code in {401, 403}:
        raise ModelRefused(f"the model server at {base} refuses the API key (HTTP {response.status_code})")
    if response.status_code >= 500:
        raise ModelUnavailable(f"the model server at {base} answers HTTP {response.status_code}")
    # Other 4xx: many compatible servers have no list of models; the first call will tell.
    if response.status_code == 200:
        try:
            listing = response.json()
        except ValueError:
            raise ModelUnavailable(f"the model server at {base} does not answer with JSON: is the URL right?") from None
        _check_listed(choice, listing)


def _check_listed(choice: ModelChoice, listing: object) -> None:
    rows = listing.get("data" if choice.provider == "openai" else "models") if isinstance(listing, dict) else None
    if not isinstance(rows, list) or not rows:
        return
    names = {str(row.get("id") or row.get("model") or row.get("name")) for row in rows if isinstance(row, dict)}
    if choice.model not in names and f"{choice.model}:latest" not in names:
        raise ModelRefused(f"{choice} is not offered there; it has {', '.join(sorted(names)[:8])}")
