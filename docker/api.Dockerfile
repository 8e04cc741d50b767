# The HTTP side, and what delivers webhooks: no torch in here.
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS libraries
WORKDIR /build
RUN python -m venv --without-pip /opt/darkroom
COPY docker/api.lock.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/darkroom install --require-hashes -r api.lock.txt

FROM libraries AS code
COPY docker/build.lock.txt ./
RUN --mount=type=cache,target=/root/.cache/pip pip install --require-hashes -r build.lock.txt
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
RUN --mount=type=cache,target=/root/.cache/pip pip install cyclonedx-bom==7.5.0
RUN cp -a /opt/code/. /opt/darkroom \
    && cyclonedx-py environment --output-reproducible --output-file api.json /opt/darkroom
FROM scratch AS sbom
COPY --from=inventory /build/api.json /

FROM python:${PYTHON_VERSION}-slim
RUN groupadd --gid 10001 darkroom && useradd --uid 10001 --gid 10001 --no-create-home darkroom
COPY --from=libraries /opt/darkroom /opt/darkroom
COPY --from=code /opt/code /opt/darkroom
# Nothing is written but under /tmp, so that the root file system may be read-only.
ENV PATH=/opt/darkroom/bin:$PATH HOME=/tmp DARKROOM_HOST=0.0.0.0 DARKROOM_PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=1s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["darkroom", "api"]

ARG VERSION=local
ARG REVISION=
ENV DARKROOM_REVISION=$REVISION
LABEL org.opencontainers.image.title="darkroom API" \
    org.opencontainers.image.description="Text to image: the HTTP side, and what delivers webhooks" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version=$VERSION \
    org.opencontainers.image.revision=$REVISION
