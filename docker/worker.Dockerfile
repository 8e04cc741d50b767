# The GPU side. TORCH_BACKEND is what uv's --torch-backend takes: cpu, cu128, auto; left empty, pip
# takes the build of torch that the registry has.
ARG PYTHON_VERSION=3.12
FROM python:${PYTHON_VERSION}-slim

ARG TORCH_BACKEND=cpu
WORKDIR /srv
COPY constraints-cpu.txt ./
RUN if [ -n "$TORCH_BACKEND" ]; then \
        pip install --no-cache-dir uv \
        && uv pip install --system --no-cache --torch-backend="$TORCH_BACKEND" 'torch>=2.11,<2.15'; \
    else \
        pip install --no-cache-dir -r constraints-cpu.txt; \
    fi

COPY pyproject.toml README.md LICENSE ./
COPY contract contract
COPY app app
COPY courier courier
COPY worker worker
COPY darkroom darkroom
RUN pip install --no-cache-dir '.[worker,s3]' && useradd --system darkroom

USER darkroom
ENV DARKROOM_CHECKPOINT=/models/starter DARKROOM_METRICS_HOST=0.0.0.0 DARKROOM_METRICS_PORT=9464
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/metrics', timeout=2)"]
CMD ["darkroom", "worker"]
