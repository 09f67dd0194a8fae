"""The only reader of the environment, of ``.env`` and of ``configs/ratchet.yaml``.

Order of precedence: environment, then ``.env``, then the YAML file, then the defaults below. A variable is
named after its place in the file: ``jobs.concurrency`` is ``RATCHET_JOBS__CONCURRENCY``, or with a single
underscore where that is unambiguous (``RATCHET_JOBS_CONCURRENCY``). Some also have the name that the field
uses (``DATABASE_URL``, ``OPENAI_API_KEY``, …).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from dotenv import dotenv_values
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from ratchet import mistakes
from ratchet.mcp_settings import McpSettings
from ratchet.sections import (
    AgentSettings,
    ApprovalSettings,
    ClassifierSettings,
    DatabaseSettings,
    DocsAnswerSettings,
    EmbeddingSettings,
    FollowUpSettings,
    GitHubSettings,
    JobSettings,
    ModelSettings,
    OllamaSettings,
    OpenAISettings,
    PolicySettings,
    RetentionSettings,
    Section,
    SlackSettings,
    UnansweredSettings,
)

PREFIX = "RATCHET_"
CONFIG_FILE_VARIABLE = "RATCHET_CONFIG"
DEFAULT_CONFIG_FILE = Path("configs/ratchet.yaml")


class SettingsError(Exception):
    """A setting is unknown, missing or wrong; the message is one line for the operator."""


class Settings(Section):
    """Everything that can be set."""

    dev_mode: bool = Field(False, description="readable logs, fewer messages to backfill")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe level logged")
    http_addr: str = Field("127.0.0.1:5001", description="address of the web server")
    data_dir: Path = Field(Path(".ratchet"), description="folder of the embedded database")
    documentation: Path | None = Field(None, description="sources of documentation (YAML)")
    channel_monitor_config_file: Path | None = Field(None, description="channel monitors (YAML)")
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    slack: SlackSettings = Field(default_factory=SlackSettings)
    openai: OpenAISettings = Field(default_factory=OpenAISettings)
    ollama: OllamaSettings = Field(default_factory=OllamaSettings)
    github: GitHubSettings = Field(default_factory=GitHubSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    embeddings: EmbeddingSettings = Field(default_factory=EmbeddingSettings)
    agent: AgentSettings = Field(default_factory=AgentSettings)
    jobs: JobSettings = Field(default_factory=JobSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    approvals: ApprovalSettings = Field(default_factory=ApprovalSettings)
    policies: PolicySettings = Field(default_factory=PolicySettings)
    docs_answer: DocsAnswerSettings = Field(default_factory=DocsAnswerSettings)
    follow_ups: FollowUpSettings = Field(default_factory=FollowUpSettings)
    unanswered: UnansweredSettings = Field(default_factory=UnansweredSettings)
    classifier: ClassifierSettings = Field(default_factory=ClassifierSettings)
    mcp: McpSettings = Field(default_factory=McpSettings)

    @field_validator("log_level", mode="before")
    @classmethod
    def _log_level(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("http_addr")
    @classmethod
    def _http_addr(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
            raise ValueError("must be host:port, such as 127.0.0.1:5001")
        return value

    @model_validator(mode="after")
    def _stalled(self) -> Settings:
        if self.jobs.stalled_seconds < 2 * self.jobs.heartbeat_seconds:
            raise ValueError("jobs.stalled_seconds must be at least twice jobs.heartbeat_seconds")
        return self

    @property
    def database_url(self) -> str | None:
        """The URL to connect to, or None for the embedded server."""
        from psycopg.conninfo import make_conninfo

        if self.database.url:
            return self.database.url.get_secret_value()
        if not self.database.host:
            return None
        return make_conninfo(
            host=self.database.host,
            port=self.database.port,
            user=self.database.user,
            password=self.database.password.get_secret_value() if self.database.password else None,
            dbname=self.database.name,
            sslmode="disable" if self.database.disable_tls else "prefer",
        )

    def secrets(self) -> list[str]:
        """Every configured secret, so that logs and answers can be cleaned of them."""
        from ratchet.documentation.config import source_tokens

        single = [value.get_secret_value() for _, _, value in walk(self) if isinstance(value, SecretStr)]
        handed = [secret.get_secret_value() for server in self.mcp.servers for secret in server.secrets()]
        tokens = source_tokens(self.documentation) if self.documentation else []
        return [secret for secret in (*single, *handed, *tokens) if len(secret) >= 8]


Leaf = tuple[tuple[str, ...], FieldInfo, Any]


def walk(section: BaseModel, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Every single setting: its path, its description and its value."""
    for name, info in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from walk(value, (*path, name))
        else:
            yield (*path, info.alias or name), info, value


def variables() -> dict[str, tuple[str, ...]]:
    """Every environment variable that is read, with the path of its setting; the first name is the main one."""
    known: dict[str, tuple[str, ...]] = {}
    for path, info, _ in walk(Settings()):
        upper = [part.upper() for part in path]
        for name in (PREFIX + "__".join(upper), _variable(path), *_aliases(info)):
            known[name] = path
    return known


def _variable(path: tuple[str, ...]) -> str:
    return PREFIX + "_".join(path).upper()


def _aliases(info: FieldInfo) -> list[str]:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    names = extra.get("env", [])
    return [str(name) for name in names] if isinstance(names, list) else []


def load_settings(
    environ: Mapping[str, str] | None = None, *, env_file: Path = Path(".env"), config_file: Path | None = None
) -> Settings:
    """Read all sources.

    Args:
        environ: the environment; default ``os.environ``.
        env_file: a ``.env`` file, read when it exists.
        config_file: the YAML file; default ``RATCHET_CONFIG``, else ``configs/ratchet.yaml`` when it exists.

    Raises:
        SettingsError: an unknown key, a value of the wrong kind, an unreadable file.
    """
    environ = os.environ if environ is None else environ
    dotenv = _read_dotenv(env_file)
    named = config_file or environ.get(CONFIG_FILE_VARIABLE) or dotenv.get(CONFIG_FILE_VARIABLE)
    values = _read_yaml(Path(named) if named else DEFAULT_CONFIG_FILE, required=bool(named))
    known = variables()
    for source in (dotenv, environ):
        _merge_environment(values, source, known)
    try:
        return Settings.model_validate(values, context={"environ": {**dotenv, **environ}})
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def config_name() -> str:
    """The YAML file that is read, as people name it."""
    return os.environ.get(CONFIG_FILE_VARIABLE) or str(DEFAULT_CONFIG_FILE)


def environment(*, env_file: Path = Path(".env")) -> dict[str, str]:
    """The environment with what ``.env`` adds to it: for secrets that another file names by their variables.

    Raises:
        SettingsError: the file cannot be read.
    """
    return {**_read_dotenv(env_file), **os.environ}


def _read_dotenv(path: Path) -> dict[str, str]:
    try:
        return {k: v for k, v in dotenv_values(path).items() if v is not None} if path.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from None


def _read_yaml(path: Path, *, required: bool) -> dict[str, Any]:
    if not required and not path.is_file():
        return {}
    try:
        if path.stat().st_size > 1_000_000:
            raise SettingsError(f"{path} is larger than 1 MB")
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path} must hold keys and values, such as `log_level: info`")
    return content


def _merge_environment(
    values: dict[str, Any], environ: Mapping[str, str], known: Mapping[str, tuple[str, ...]]
) -> None:
    ours = sorted(name for name in environ if name.startswith(PREFIX) and name != CONFIG_FILE_VARIABLE)
    for name in ours:
        if name not in known:
            raise SettingsError(f"unknown setting {name}{_nearest(name, known)}")
    # Reversed: where a setting has several names, its first one, which begins with RATCHET_, wins.
    for name in reversed(list(known)):
        raw = environ.get(name)
        if raw is None or raw == "":
            continue
        *sections, leaf = known[name]
        place = values
        for section in sections:
            inner = place.setdefault(section, {})
            if not isinstance(inner, dict):
                raise SettingsError(f"{section} must hold keys and values")
            place = inner
        place[leaf] = yaml.safe_load(raw) if raw.lstrip().startswith(("[", "{")) else raw


def _nearest(name: str, known: Mapping[str, Any] | list[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else "; `ratchet settings` lists them all"


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    if friendly := mistakes.describe(error.errors(include_url=False)[0], Settings):
        return friendly
    if first["type"] == "extra_forbidden":
        return f"unknown setting {path}{_nearest(path, _paths())}"
    message = first["msg"].removeprefix("Value error, ")
    variable = PREFIX + path.upper().replace(".", "_")
    place = f" (in the file, or {variable} in the environment)" if variable in variables() else ""
    return f"{path}: {message}{place}" if path else message


def _paths() -> list[str]:
    return [*(".".join(path) for path, _, _ in walk(Settings())), *Settings.model_fields]


def describe(current: Settings) -> Iterator[str]:
    """One line a setting: variable, value now, default where it differs, purpose. Secrets are masked."""
    defaults = {path: value for path, _, value in walk(Settings())}
    for path, info, value in walk(current):
        default = defaults[path]
        changed = f" (default {_show(default)})" if value != default else ""
        also = [f"also {name}" for name in _aliases(info) if name != _variable(path)]
        yield f"{_variable(path)} = {_show(value)}{changed}  # {', '.join([info.description or '', *also])}"


def _show(value: Any) -> str:
    if value is None:
        return "(not set)"
    return "********" if isinstance(value, SecretStr) else str(value)
