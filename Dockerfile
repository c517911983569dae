# Three images, see docs/containers.md:
#   docker build --target cpu -t seamless-sm .
#   docker build --target gpu -t seamless-sm:gpu .
#   docker build --target tensorrt --build-arg PYTHON_IMAGE=... -t seamless-sm:tensorrt .   (a base with TensorRT 10)
# With Podman or Buildah add --format docker: images in the OCI format have no health check.

# Packages come from lock files with hashes (scripts/lock.sh), and the base image is named by its digest: the index of
# all architectures, Python 3.11.16, September 2026. For a newer one, with the newest corrections of Debian, take the
# digest that `docker buildx imagetools inspect python:3.11-slim-bookworm` prints.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${PYTHON_IMAGE} AS project
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY runtime runtime
COPY service service
COPY training training
COPY export export
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

# The packages of each image are installed in a stage of their own: only /opt/venv is copied from it.
FROM ${PYTHON_IMAGE} AS packages
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv --without-pip /opt/venv
COPY scripts/slim_packages.sh /

FROM packages AS cpu-packages
COPY requirements.lock /
RUN pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes -r /requirements.lock && /slim_packages.sh

FROM packages AS gpu-packages
COPY requirements-gpu.lock /
RUN pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes -r /requirements-gpu.lock \
    && /slim_packages.sh

# TensorRT itself is a package of the base image.
FROM packages AS tensorrt-packages
COPY requirements-tensorrt.lock /
RUN python3 -m venv --without-pip --system-site-packages /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes -r /requirements-tensorrt.lock \
    && /slim_packages.sh

# What the images have in common. ORT_DISABLE_TELEMETRY: ONNX Runtime would send reports of its use to its maker.
# MPLCONFIGDIR: the root file system may be read-only, /tmp is not.
FROM ${PYTHON_IMAGE} AS common
RUN useradd --create-home --uid 10001 seamless \
    && install -d -o seamless /archive /state /inbox /config
ENV PATH=/opt/venv/bin:$PATH \
    SEAMLESS_SM__ARCHIVE__PATH=/archive \
    SEAMLESS_SM__PATHS__STATE=/state \
    SEAMLESS_SM__PATHS__INBOX=/inbox \
    SEAMLESS_SM__PATHS__ENGINES=/state/engines \
    ORT_DISABLE_TELEMETRY=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONUNBUFFERED=1
WORKDIR /config
VOLUME ["/archive", "/state", "/inbox"]
HEALTHCHECK --interval=10m --timeout=30s --start-period=1m \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=20)"]
CMD ["python", "-m", "service"]

FROM common AS cpu
COPY --from=cpu-packages /opt/venv /opt/venv
RUN --mount=type=bind,from=project,source=/wheels,target=/wheels \
    pip --python /opt/venv/bin/python install --no-cache-dir --no-deps /wheels/*.whl
USER 10001

FROM common AS gpu
COPY --from=gpu-packages /opt/venv /opt/venv
# The CUDA libraries are Python packages; the dynamic linker has to find them.
RUN --mount=type=bind,from=project,source=/wheels,target=/wheels \
    pip --python /opt/venv/bin/python install --no-cache-dir --no-deps /wheels/*.whl \
    && printf '%s\n' /opt/venv/lib/python3.*/site-packages/nvidia/*/lib > /etc/ld.so.conf.d/cuda-packages.conf \
    && ldconfig
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001

FROM common AS tensorrt
COPY --from=tensorrt-packages /opt/venv /opt/venv
RUN --mount=type=bind,from=project,source=/wheels,target=/wheels \
    pip --python /opt/venv/bin/python install --no-cache-dir --no-deps /wheels/*.whl
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001
ENTRYPOINT []
