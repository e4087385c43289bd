# Two stages: the first installs pinned packages into a virtual environment, the second carries only that and Python.
FROM python:3.13-slim AS build
WORKDIR /src
# With what several replicas and traces need: 12 MB for OpenTelemetry, imported only where a collector is named.
COPY requirements-postgres.txt requirements-otel.txt requirements-build.txt ./
RUN python -m venv /opt/reelgate \
 && /opt/reelgate/bin/pip install --no-cache-dir --require-hashes \
    -r requirements-build.txt -r requirements-postgres.txt -r requirements-otel.txt
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
RUN /opt/reelgate/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/reelgate/bin/pip uninstall -y setuptools pip

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home reelgate
COPY --from=build /opt/reelgate /opt/reelgate
ENV PATH=/opt/reelgate/bin:$PATH PYTHONUNBUFFERED=1
USER reelgate
# The database lives here, and with PostgreSQL the receipts that it could not take: mount a volume, or they are forgotten
# with the container.
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=6s --start-period=5s CMD ["reelgate", "healthcheck"]
# Inside a container the gateway listens on every address, so a virtual key or an admin key must be configured.
ENTRYPOINT ["reelgate"]
CMD ["serve", "--config", "/data/config.yaml", "--host", "0.0.0.0"]
