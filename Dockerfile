# The REST service: core, serve and postgres extras, no training stack. See docs/how-to/docker.md.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/faceproof
COPY pyproject.toml README.md LICENSE LICENSE-WEIGHTS.md ./
COPY src ./src
RUN /opt/faceproof/bin/pip install ".[serve,postgres]" \
    && /opt/faceproof/bin/pip uninstall --yes pip setuptools

FROM python:${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="faceproof" \
      org.opencontainers.image.description="Tells real photographs of faces from generated or manipulated ones" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT AND LicenseRef-faceproof-weights"

COPY --from=build /opt/faceproof /opt/faceproof
# Feedback is the only thing that is ever written, if it is asked for; pictures are not.
RUN mkdir /var/lib/faceproof && chown 10001:10001 /var/lib/faceproof && chmod 700 /var/lib/faceproof
VOLUME /var/lib/faceproof

ENV PATH="/opt/faceproof/bin:${PATH}" \
    HOME=/tmp \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/faceproof
EXPOSE 8000
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]

ENTRYPOINT ["faceproof"]
# Without a keys file and a rate limit the service refuses to listen here, and says so.
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
