"""Reads the sources of documentation: a YAML file with one entry a source (behaviour A23)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from ratchet.settings import SettingsError, environment
from ratchet.yaml_files import nearest, read_mapping

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
SCP = re.compile(r"(?P<user>[A-Za-z0-9_][\w.-]*@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<path>[^:]+)")
GIT_SCHEMES = ("https", "http", "ssh", "git")


def _folder(value: str) -> str:
    if "\x00" in value or value.startswith("/") or ".." in PurePosixPath(value).parts:
        raise ValueError("must be a folder inside the repository, such as docs")
    return str(PurePosixPath(value)) if value.strip("/.") else ""


def _ref(value: str) -> str:
    if not value or value.startswith("-") or not value.isprintable() or " " in value or ".." in value:
        raise ValueError(f"{value!r} is no branch, tag or commit")
    return value


def _web_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be the address of the folder in a browser, such as https://wiki.example.com/docs")
    if parts.username or parts.password:
        raise ValueError("must hold no user name and no password")
    return value.rstrip("/")


def _git_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme in GIT_SCHEMES and parts.hostname and not parts.hostname.startswith("-"):
        if parts.password or (parts.username and parts.scheme in {"http", "https"}):
            raise ValueError("must hold no password: name the variable that holds the token with token_env")
        return value
    if "://" not in value and SCP.fullmatch(value):
        return value
    raise ValueError(f"must begin with {'://, '.join(GIT_SCHEMES)}://, or be USER@HOST:PATH; a folder stands in path")


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(f"{value!r} must be up to 64 of a-z, 0-9, dot, hyphen and underscore")
    return value


Name = Annotated[str, AfterValidator(_name)]
Folder = Annotated[str, AfterValidator(_folder)]
Ref = Annotated[str, AfterValidator(_ref)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
Part = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
    name: Name


class LocalConfig(_Source):
    """A folder on this machine."""

    type: Literal["local"]
    path: Path
    web_url: WebUrl | None = None


class _WithToken(_Source):
    token_env: Variable | None = None
    token: SecretStr | None = None  # out of the variable, never out of the file


class GitConfig(_WithToken):
    """A git repository: cloned from ``url``, or read where it is at ``path``."""

    type: Literal["git"]
    url: Annotated[str, AfterValidator(_git_url)] | None = None
    path: Path | None = None
    ref: Ref | None = None
    folder: Folder = ""
    web_url: WebUrl | None = None

    @model_validator(mode="after")
    def _one_place(self) -> GitConfig:
        if (self.url is None) == (self.path is None):
            raise ValueError("give either url or path")
        if self.token_env and not (self.url or "").startswith("https://"):
            raise ValueError("token_env is for a url that begins with https://")
        return self


class GitHubConfig(_WithToken):
    """A repository at GitHub, read by its API; ``path`` is a folder inside it."""

    type: Literal["github"]
    github_url: WebUrl | None = None
    owner: Part
    repo: Part
    path: Folder = ""
    ref: Ref | None = None
    updates: bool = False  # whether pull requests may be proposed
    app_id: int | None = Field(None, gt=0)
    installation_id: int | None = Field(None, gt=0)
    private_key_path: Path | None = None

    @model_validator(mode="after")
    def _credentials(self) -> GitHubConfig:
        app = [self.app_id, self.installation_id, self.private_key_path]
        if any(app) and not all(app):
            raise ValueError("app_id, installation_id and private_key_path belong together")
        if all(app) and self.token_env:
            raise ValueError("give either token_env, or app_id with installation_id and private_key_path")
        return self


SourceConfig = LocalConfig | GitConfig | GitHubConfig
KINDS: dict[str, type[SourceConfig]] = {"github": GitHubConfig, "git": GitConfig, "local": LocalConfig}


def load_sources(path: Path, environ: Mapping[str, str] | None = None) -> list[SourceConfig]:
    """Read a file of sources, in its order. Relative paths in it begin at its folder.

    Args:
        path: the file.
        environ: where ``token_env`` looks; default the environment and ``.env``.

    Raises:
        SettingsError: it cannot be read, or a source lacks something or has what it must not have.
    """
    if not path.is_file():
        raise SettingsError(
            f"RATCHET_DOCUMENTATION names {path}, which is no file: configs/docs.yaml shows how to write one"
        )
    content = read_mapping(path, of="`sources:` with a list")
    if unknown := next((key for key in content if key != "sources"), None):
        raise SettingsError(f"{path}: unknown key {unknown}; there is only sources")
    entries = content.get("sources") or []
    if not isinstance(entries, list):
        raise SettingsError(f"{path}: sources must be a list, each entry with name and type")
    environ = environment() if environ is None else environ
    sources: list[SourceConfig] = []
    for number, entry in enumerate(entries, start=1):
        sources.append(_source(path, number, entry, environ))
    for position, source in enumerate(sources):
        for earlier in sources[:position]:
            _compare(path, earlier, source)
    return sources


def source_tokens(path: Path) -> list[str]:
    """The tokens that a file of sources names; none where it is not as it must be, which its reader tells."""
    try:
        sources = load_sources(path)
    except SettingsError:
        return []
    tokens = [source.token for source in sources if not isinstance(source, LocalConfig)]
    return [token.get_secret_value() for token in tokens if token]


def _source(path: Path, number: int, entry: Any, environ: Mapping[str, str]) -> SourceConfig:
    if not isinstance(entry, dict):
        raise SettingsError(f"{path}: source {number} must hold keys and values, such as name and type")
    given = {key: value for key, value in entry.items() if value is not None}
    place = f"{path}: source {given.get('name', number)}"
    if "token" in given:
        raise SettingsError(
            f"{place}: a token does not belong into this file; put it into an environment variable and name that "
            "with token_env"
        )
    kind = KINDS.get(str(given.get("type")))
    if kind is None:
        said = f"unknown type {given['type']!r}" if "type" in given else "its type is missing"
        hint = nearest(str(given["type"]), KINDS) if "type" in given else f"there are {', '.join(KINDS)}"
        raise SettingsError(f"{place}: {said}; {hint}")
    try:
        source = kind.model_validate(given)
    except ValidationError as error:
        raise SettingsError(f"{place}: {_explain(kind, error)}") from None
    changes: dict[str, Any] = {
        field: path.parent / value
        for field in ("path", "private_key_path")
        if isinstance(value := getattr(source, field, None), Path)
    }
    if not isinstance(source, LocalConfig) and source.token_env:
        value = environ.get(source.token_env, "")
        if not value:
            raise SettingsError(f"{place}: the environment variable {source.token_env} (token_env) is not set")
        changes["token"] = SecretStr(value)
    return source.model_copy(update=changes)


def _explain(kind: type[SourceConfig], error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {field}; {nearest(field, (name for name in kind.model_fields if name != 'token'))}"
    if first["type"] == "missing":
        return f"{field} is missing"
    message = first["msg"].removeprefix("Value error, ")
    return f"{field}: {message}" if field else message


def _compare(path: Path, one: SourceConfig, other: SourceConfig) -> None:
    if one.name == other.name:
        raise SettingsError(f"{path}: two sources have the name {one.name}")
    here, there = _place(one), _place(other)
    if here[:-1] == there[:-1] and _overlap(here[-1], there[-1]):
        raise SettingsError(f"{path}: the sources {one.name} and {other.name} hold the same documents")


def _place(source: SourceConfig) -> tuple[str, ...]:
    """Where its documents are: the last part is the folder."""
    if isinstance(source, GitHubConfig):
        host = source.github_url or "https://github.com"
        return ("github", host.lower(), source.owner.lower(), source.repo.lower(), source.ref or "", source.path)
    if isinstance(source, GitConfig):
        return ("git", str(source.url or source.path), source.ref or "", source.folder)
    return ("local", str(source.path.absolute()))


def _overlap(one: str, other: str) -> bool:
    first, second = PurePosixPath(one), PurePosixPath(other)
    return first.is_relative_to(second) or second.is_relative_to(first)
