# CPU:  docker build --target cpu -t seamless-sm .
# GPU:  docker build --target gpu -t seamless-sm:gpu .
# Mount /archive, /state and /inbox, and /config with seamless-sm.toml in it (relative feed paths start there):
#   docker run -v /srv/sm/archive:/archive -v /srv/sm/state:/state -v /srv/sm/inbox:/inbox -v /srv/sm/config:/config \
#     -e EARTHDATA_TOKEN seamless-sm               the daily service; or: seamless-sm runtime fill --date today
# -e SEAMLESS_SM__SERVICE__HOST=0.0.0.0 -p 8000:8000 to reach its web server.
# They must be writable for user 10001.

# Packages come from lock files with hashes (scripts/lock.sh). The base images are named by their tags: give --build-arg
# PYTHON_IMAGE=python@sha256:... for one digest, as `docker buildx imagetools inspect python:3.11-slim-bookworm` prints it.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG CUDA_IMAGE=nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY runtime runtime
COPY service service
COPY training training
COPY export export
COPY requirements.lock requirements-gpu.lock /locks/
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${PYTHON_IMAGE} AS cpu
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels --mount=type=bind,from=build,source=/locks,target=/locks \
    pip install --no-cache-dir --require-hashes -r /locks/requirements.lock \
    && pip install --no-cache-dir --no-deps /wheels/*.whl \
    && useradd --create-home --uid 10001 seamless \
    && install -d -o seamless /archive /state /inbox /config
ENV SEAMLESS_SM__ARCHIVE__PATH=/archive \
    SEAMLESS_SM__PATHS__STATE=/state \
    SEAMLESS_SM__PATHS__INBOX=/inbox \
    SEAMLESS_SM__PATHS__ENGINES=/state/engines \
    PYTHONUNBUFFERED=1
WORKDIR /config
USER 10001
VOLUME ["/archive", "/state", "/inbox"]
HEALTHCHECK --interval=10m --timeout=30s --start-period=1m \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=20)"]
CMD ["python", "-m", "service"]

FROM ${CUDA_IMAGE} AS gpu
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels --mount=type=bind,from=build,source=/locks,target=/locks \
    pip install --no-cache-dir --require-hashes -r /locks/requirements-gpu.lock \
    && pip install --no-cache-dir --no-deps /wheels/*.whl \
    && useradd --create-home --uid 10001 seamless \
    && install -d -o seamless /archive /state /inbox /config
ENV SEAMLESS_SM__ARCHIVE__PATH=/archive \
    SEAMLESS_SM__PATHS__STATE=/state \
    SEAMLESS_SM__PATHS__INBOX=/inbox \
    SEAMLESS_SM__PATHS__ENGINES=/state/engines \
    PYTHONUNBUFFERED=1
WORKDIR /config
USER 10001
VOLUME ["/archive", "/state", "/inbox"]
HEALTHCHECK --interval=10m --timeout=30s --start-period=1m \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=20)"]
CMD ["python", "-m", "service"]
