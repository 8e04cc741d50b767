# The GPU side. TORCH_BACKEND is what uv's --torch-backend takes: cpu, cu128, auto; left empty, pip
# takes the build of torch that the registry has.
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS libraries
WORKDIR /build
RUN python -m venv --without-pip /opt/darkroom
COPY docker/worker.lock.txt ./
# As it stands: what it leaves out is torch alone.
RUN --mount=type=cache,target=/root/.cache \
    pip --python /opt/darkroom install --no-deps --require-hashes -r worker.lock.txt
# torch has no lock: which build is right depends on the machine. What it needs, but for a GPU's own
# libraries, is there by now.
COPY constraints-cpu.txt ./
ARG TORCH_BACKEND=cpu
RUN --mount=type=cache,target=/root/.cache \
    if [ -n "$TORCH_BACKEND" ]; then \
        pip install uv==0.13.9 \
        && uv pip install --python /opt/darkroom --torch-backend="$TORCH_BACKEND" 'torch>=2.11,<2.15'; \
    else \
        pip --python /opt/darkroom install -r constraints-cpu.txt; \
    fi

FROM libraries AS code
COPY docker/build.lock.txt ./
RUN --mount=type=cache,target=/root/.cache pip install --require-hashes -r build.lock.txt
COPY pyproject.toml README.md LICENSE ./
COPY contract contract
COPY app app
COPY courier courier
COPY worker worker
COPY darkroom darkroom
RUN pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && pip --python /opt/darkroom install --no-deps --prefix /opt/code wheels/*.whl

# `make sbom`: what is in the image beside the base.
FROM code AS inventory
RUN --mount=type=cache,target=/root/.cache pip install cyclonedx-bom==7.5.0
RUN cp -a /opt/code/. /opt/darkroom \
    && cyclonedx-py environment --output-reproducible --output-file worker.json /opt/darkroom
FROM scratch AS sbom
COPY --from=inventory /build/worker.json /

FROM python:${PYTHON_VERSION}-slim
RUN groupadd --gid 10001 darkroom && useradd --uid 10001 --gid 10001 --no-create-home darkroom
COPY --from=libraries /opt/darkroom /opt/darkroom
COPY models/starter /models/starter
COPY --from=code /opt/code /opt/darkroom
# Nothing is written but under /tmp, so that the root file system may be read-only: torch, Triton
# and the like keep their caches below HOME.
ENV PATH=/opt/darkroom/bin:$PATH HOME=/tmp XDG_CACHE_HOME=/tmp/.cache \
    DARKROOM_CHECKPOINT=/models/starter DARKROOM_METRICS_HOST=0.0.0.0 DARKROOM_METRICS_PORT=9464
USER 10001:10001
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --start-interval=1s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/metrics', timeout=2)"]
CMD ["darkroom", "worker"]

ARG VERSION=local
ARG REVISION=
ENV DARKROOM_REVISION=$REVISION
LABEL org.opencontainers.image.title="darkroom worker" \
    org.opencontainers.image.description="Text to image: the side that holds the model" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version=$VERSION \
    org.opencontainers.image.revision=$REVISION
