# The HTTP side, and what delivers webhooks: no torch in here.
ARG PYTHON_VERSION=3.12
FROM python:${PYTHON_VERSION}-slim

WORKDIR /srv
COPY pyproject.toml README.md LICENSE ./
COPY contract contract
COPY app app
COPY courier courier
COPY worker worker
COPY darkroom darkroom
RUN pip install --no-cache-dir '.[app,courier,s3]' && useradd --system darkroom

USER darkroom
ENV DARKROOM_HOST=0.0.0.0 DARKROOM_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["darkroom", "api"]
