# syntax=docker/dockerfile:1

# Build: the locked packages and the project, in a virtual environment. uv stays in this stage.
FROM python:3.12-slim AS build

# Optional parts of pyproject.toml, with a comma between: --build-arg EXTRAS=charts,sentry
ARG EXTRAS="charts,mcp"
ENV UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src

# uv itself in the locked version, its hash verified by pip.
COPY requirements.lock pyproject.toml ./
RUN sed -n '/^uv==/,/[^\\]$/p' requirements.lock > uv.txt \
 && python -m pip install --quiet --no-cache-dir --require-hashes --requirement uv.txt

# The lock holds every package, of development too. The first command picks those that this image needs, at the
# locked versions; the second installs them and accepts nothing whose hash is not in the lock.
RUN python -m venv --without-pip /opt/ratchet \
 && uv pip compile --quiet --no-header --no-annotate --python /opt/ratchet/bin/python \
      --constraint requirements.lock $(printf '%s' "$EXTRAS" | tr ',' '\n' | sed 's/^/--extra /') \
      --output-file runtime.txt pyproject.toml \
 && uv pip sync --quiet --python /opt/ratchet/bin/python --compile-bytecode --require-hashes \
      --constraint requirements.lock runtime.txt

COPY README.md LICENSE NOTICE ./
COPY agent agent
COPY evals evals
COPY prompts prompts
COPY ratchet ratchet
COPY sandbox sandbox
COPY slack_app slack_app
COPY storage storage
COPY tools tools
RUN uv build --quiet --wheel --require-hashes --build-constraints requirements.lock --out-dir dist . \
 && uv pip install --quiet --python /opt/ratchet/bin/python --compile-bytecode --no-deps dist/*.whl


# Run: the environment and the configuration, nothing else.
FROM python:3.12-slim

RUN groupadd --system --gid 10001 ratchet \
 && useradd --system --uid 10001 --gid ratchet --create-home --home-dir /app ratchet \
 && install --directory --owner=ratchet --group=ratchet /app/.ratchet
COPY --from=build /opt/ratchet /opt/ratchet
COPY configs /app/configs

ENV PATH=/opt/ratchet/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RATCHET_HTTP_ADDR=0.0.0.0:5001
WORKDIR /app
USER 10001:10001
EXPOSE 5001
# Only the embedded database writes here; with DATABASE_URL it stays empty.
VOLUME /app/.ratchet

# A process without the web part (--only slack, --only worker) needs --no-healthcheck.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5001/healthz', timeout=4)"]

ENTRYPOINT ["ratchet"]
CMD ["serve"]
