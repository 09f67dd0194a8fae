"""The settings by topic; ``ratchet.settings`` reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from storage.access import Audience


def env(*names: str) -> dict[str, Any]:
    """Other names under which the environment may hold a setting."""
    return {"env": list(names)}


def on_off(value: Any) -> Any:
    """YAML reads ``on`` and ``off`` as true and false; here they are words."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class Section(BaseModel):
    """A group of settings; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DatabaseSettings(Section):
    """Where Postgres is. Without url and host an embedded server starts in the data folder."""

    url: SecretStr | None = Field(None, description="connection URL", json_schema_extra=env("DATABASE_URL"))
    host: str | None = Field(None, description="server, when no url is given")
    port: int = Field(5432, ge=1, le=65535, description="port of that server")
    user: str = Field("ratchet", description="role on that server")
    password: SecretStr | None = Field(
        None, alias="pass", description="its password", json_schema_extra=env("RATCHET_DATABASE_PASS")
    )
    name: str = Field("ratchet", description="database name, also of the embedded server")
    disable_tls: bool = Field(False, description="connect to that server without TLS")
    pool_size: int = Field(20, ge=4, le=200, description="most connections a process opens")


class SlackSettings(Section):
    """The Slack app. Socket Mode needs the app token, HTTP the signing secret."""

    bot_token: SecretStr | None = Field(None, description="xoxb-…", json_schema_extra=env("SLACK_BOT_TOKEN"))
    app_token: SecretStr | None = Field(None, description="xapp-…", json_schema_extra=env("SLACK_APP_TOKEN"))
    signing_secret: SecretStr | None = Field(
        None, description="verifies HTTP requests", json_schema_extra=env("SLACK_SIGNING_SECRET")
    )
    api_url: str = Field(
        "https://slack.com/api/", description="Web API to talk to", json_schema_extra=env("SLACK_API_URL")
    )
    connections: int = Field(2, ge=1, le=10, description="Socket Mode connections of this process")
    answer_missed_seconds: float = Field(
        3600.0, ge=0, description="a question that came while Ratchet was away is answered up to this age"
    )
    dev_channel: str | None = Field(
        None,
        description="in dev mode every post goes to this channel id",
        json_schema_extra=env("SLACK_DEV_CHANNEL"),
    )

    @field_validator("bot_token")
    @classmethod
    def _bot_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith("xoxb-"):
            raise ValueError("a bot token begins with xoxb-")
        return value

    @field_validator("app_token")
    @classmethod
    def _app_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith("xapp-"):
            raise ValueError("an app-level token begins with xapp-")
        return value

    @field_validator("api_url")
    @classmethod
    def _api_url(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value if value.endswith("/") else value + "/"


class OpenAISettings(Section):
    """Any OpenAI-compatible server."""

    url: str | None = Field(
        None, description="base URL ending in /v1; default OpenAI's", json_schema_extra=env("OPENAI_BASE_URL")
    )
    api_key: SecretStr | None = Field(None, description="its key", json_schema_extra=env("OPENAI_API_KEY"))
    model: str = Field("gpt-4.1-mini", description="chat model")
    embedding_model: str = Field("text-embedding-3-small", description="embedding model")


class OllamaSettings(Section):
    """A local Ollama server."""

    host: str = Field(
        "http://127.0.0.1:11434", description="where Ollama listens", json_schema_extra=env("OLLAMA_HOST")
    )
    model: str = Field("qwen2.5:7b", description="chat model, pulled when missing")
    embedding_model: str = Field("nomic-embed-text", description="embedding model, pulled when missing")

    @field_validator("host")
    @classmethod
    def _host(cls, value: str) -> str:
        return value if "://" in value else f"http://{value}"


class GitHubSettings(Section):
    """GitHub, for documentation sources that name nothing else."""

    token: SecretStr | None = Field(
        None, description="access token (Contents: read; for updates: write, and Pull requests: write)"
    )
    api_url: str = Field("https://api.github.com", description="API to talk to; Enterprise: https://HOST/api/v3")

    @field_validator("api_url")
    @classmethod
    def _api_url(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")


class ModelPrice(Section):
    """US dollars for a million tokens."""

    input: float = Field(0.0, ge=0)
    output: float = Field(0.0, ge=0)


class ModelSettings(Section):
    """Which model answers."""

    provider: Literal["auto", "openai", "ollama"] = Field(
        "auto", description="auto: OpenAI when a key or URL is set, else a reachable Ollama"
    )
    timeout_seconds: float = Field(120.0, gt=0, description="for one model call")
    tries: int = Field(4, ge=1, le=10, description="attempts at one model call (429, 5xx, lost connections)")
    prices: dict[str, ModelPrice] = Field(default_factory=dict, description="by model name, for the cost report")
    images: Literal["auto", "on", "off"] = Field(
        "auto", description="whether the model is shown the images of a question; auto: where it is known to see"
    )

    @field_validator("images", mode="before")
    @classmethod
    def _images(cls, value: Any) -> Any:
        return on_off(value)


EmbeddingProvider = Literal["auto", "minilm", "openai", "ollama", "hashing"]


class EmbeddingSettings(Section):
    """What turns texts into vectors for search."""

    providers: list[EmbeddingProvider] = Field(
        ["auto"],
        description="the first that works at start is used: minilm (built in), openai, ollama, hashing (no model); "
        "auto: minilm where it is installed, else hashing; empty: search by words alone",
    )
    dimensions: int | None = Field(
        None, ge=64, le=2000, description="length asked of a server's vectors, where its model can shorten them"
    )
    timeout_seconds: float = Field(60.0, gt=0, description="for one request to an embedding server")

    @field_validator("providers", mode="before")
    @classmethod
    def _providers(cls, value: Any) -> Any:
        return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


class AgentSettings(Section):
    """Limits of one turn, and how much of a thread the model sees."""

    model_calls: int = Field(25, ge=1, description="model calls in a turn")
    tool_calls: int = Field(40, ge=1, description="tool calls in a turn")
    turn_seconds: float = Field(600.0, gt=0, description="duration of a turn")
    tool_seconds: float = Field(60.0, gt=0, description="duration of one tool call")
    tool_result_bytes: int = Field(65536, ge=1024, description="most of a tool's result that the model is shown")
    history_tokens: int = Field(16000, ge=500, description="budget of the thread's history (approximate tokens)")
    keep_turns: int = Field(3, ge=1, description="last turns that compaction leaves whole")
    checkpoint_days: int = Field(7, ge=1, description="how long finished turns' checkpoints are kept")


class JobSettings(Section):
    """The queue's workers."""

    concurrency: int = Field(32, ge=1, le=500, description="jobs that one process runs at once")
    heartbeat_seconds: float = Field(3.0, gt=0, description="how often a worker says that it lives")
    stalled_seconds: float = Field(12.0, gt=0, description="silence after which its jobs are given to others")
    attempts: int = Field(5, ge=1, description="runs of a failing turn before it is given up")
    drain_seconds: float = Field(25.0, gt=0, description="what SIGTERM leaves to running jobs")


class BudgetSettings(Section):
    """What model calls of one channel may cost. Without a limit nothing is checked."""

    monthly_usd: float | None = Field(None, gt=0, description="US dollars in a calendar month, by model.prices")
    daily_tokens: int | None = Field(None, gt=0, description="tokens in and out in a day")
    contact: str = Field("", description="whom to ask for more, such as #platform; told when it is spent")


Auto = Literal["runbook", "recent_activity", "report", "docs", "unanswered", "follow_ups"]


class ApprovalSettings(Section):
    """Requests for approval."""

    minutes: float = Field(15.0, gt=0, le=720, description="how long a request is open; then it counts as no")


class RetentionSettings(Section):
    """How many days things are kept."""

    days: int = Field(730, ge=1, description="messages, and what rests on them")
    channels: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="the same for channels, by name or id"
    )
    turn_days: int = Field(730, ge=1, description="questions, answers and conversations, at most")
    usage_days: int = Field(400, ge=1, description="records of model calls")
    audit_days: int = Field(1825, ge=1, description="the audit log")


# Letters of any script, in a few words: it stands in the system prompt.
LANGUAGE = re.compile(r"[^\W\d_]{2,30}(?:[ -][^\W\d_]{1,30}){0,3}(?: \([^\W\d_]{2,30}\))?")


class Policy(Section):
    """Which tools may be used. ``@read`` stands for all built-in tools that only read."""

    tools: list[str] = Field(default_factory=lambda: ["@read"], description="tool names, or @read, @post, @change")
    auto: list[Auto] = Field(default_factory=list, description="what Ratchet does there unasked")
    switches: list[Auto] = Field(
        default_factory=list, description="what of that channel managers may switch on and off in Ratchet's home tab"
    )
    approvers: list[str] = Field(
        default_factory=list,
        description="who approves changes: user ids, @handles, e-mail addresses, user groups (S… or @handle)",
    )
    self_approval: bool = Field(False, description="an approver may approve what they asked for themselves")
    allow_guests: bool = Field(False, description="guests and Slack Connect users may use tools")
    audience: Audience = Field(
        "auto",
        description="what its answers may show: workspace: every public channel and the documentation; channel: only "
        "the channel itself; auto: channel where other organizations share it (Slack Connect), else workspace",
    )
    timezone: str = Field("UTC", description="clock of its reports, nights and budgets, such as Europe/Berlin")
    budget: BudgetSettings = Field(default_factory=BudgetSettings)
    owner: str = Field("", description="whom to nudge about unanswered questions: id of a user or user group, or @name")
    model: str = Field("", description="chat model of the same provider that answers questions there instead")
    language: str = Field("", description="language of the answers there, such as German or de; empty: the question's")

    @model_validator(mode="after")
    def _owned(self) -> Self:
        for name, features in (("auto", self.auto), ("switches", self.switches)):
            if "unanswered" in features and not self.owner.strip("@ "):
                raise ValueError(
                    f"{name}: unanswered needs an owner: whom to nudge, such as U012AB3CD, S0614TZR7 or @name"
                )
        return self

    @field_validator("model")
    @classmethod
    def _model(cls, value: str) -> str:
        if value != value.strip() or not value.isprintable() or len(value) > 200:
            raise ValueError(f"{value!r} is no model's name, such as gpt-4.1-mini or qwen2.5:7b")
        return value

    @field_validator("language")
    @classmethod
    def _language(cls, value: str) -> str:
        if value and not LANGUAGE.fullmatch(value):
            raise ValueError(f"{value!r} is no language, such as German, Brazilian Portuguese or pt-BR")
        return value

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value!r} is no time zone, such as Europe/Berlin or America/New_York") from None
        return value


class DocsAnswerSettings(Section):
    """Answers that Ratchet gives unasked where a policy says ``auto: [docs]``."""

    confidence: float = Field(
        0.7, ge=0, le=1, description="how sure it must be that the documentation answers a question"
    )


class FollowUpSettings(Section):
    """Replies without a mention that are taken as follow-up questions where a policy says ``auto: [follow_ups]``."""

    minutes: float = Field(30.0, gt=0, le=1440, description="after Ratchet's last answer in the thread")
    quiet_minutes: float = Field(
        10.0, ge=0, le=1440, description="for which only mentions count after somebody else wrote in the thread"
    )


class UnansweredSettings(Section):
    """Questions that nobody answers where a policy says ``auto: [unanswered]``."""

    hours: float = Field(4.0, gt=0, lt=48, description="after which the channel's owner is nudged, once")


class PolicySettings(Section):
    """The default policy, and what channels (by name or id) have instead."""

    default: Policy = Field(default_factory=Policy)
    channels: dict[str, Policy] = Field(default_factory=dict, description="policies by channel name or id")


class ClassifierSettings(Section):
    """Who reads bots' messages for alerts besides the built-in parsers."""

    incident_classification_binary: Path | None = Field(
        None, description="program (absolute path) whose word on bots' messages counts instead"
    )
    model: Literal["off", "on"] = Field(
        "off", description="on: the chat model reads what the parsers leave in doubt; costs a call a message"
    )

    @field_validator("incident_classification_binary")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        if value and not value.is_absolute():
            raise ValueError("must be an absolute path")
        return value

    @field_validator("model", mode="before")
    @classmethod
    def _model(cls, value: Any) -> Any:
        return on_off(value)
