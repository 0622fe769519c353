# syntax=docker/dockerfile:1
# Headrace in a container: the locked versions in a virtual environment, run by a user that owns nothing but its state.
# The same Python as the tests' (3.11), so that the locked versions are the tested ones.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/headrace
WORKDIR /source
# The lock first: as long as it stays, so does this layer.
COPY requirements.lock ./
RUN /opt/headrace/bin/pip install --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY learners ./learners
COPY detectors ./detectors
COPY stream ./stream
RUN /opt/headrace/bin/pip install --no-deps .

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home --home-dir /var/lib/headrace --shell /usr/sbin/nologin headrace
COPY --from=build /opt/headrace /opt/headrace
# Compiled learners are kept beside the state: the code itself is not writable.
ENV PATH=/opt/headrace/bin:$PATH HOME=/var/lib/headrace NUMBA_CACHE_DIR=/var/lib/headrace/numba PYTHONUNBUFFERED=1
USER headrace
WORKDIR /var/lib/headrace
VOLUME /var/lib/headrace
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["headrace"]
CMD ["--help"]
