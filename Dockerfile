# wps-run with Entra ID. It runs as a user without rights, with a read-only file system too:
#   docker run --rm --read-only --volume "$PWD:/playbooks:ro" wps-run --local /playbooks/NAME.yaml
#   docker run --rm --read-only --publish 8080:8080 wps-run serve --host 0.0.0.0
# Journals and temporary files go to /state; name a volume for it to keep them.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY docs/man docs/man
COPY runner runner
RUN pip wheel --no-cache-dir --constraint constraints.txt --wheel-dir /wheels '.[entra]'

FROM python:3.13-slim
LABEL org.opencontainers.image.title="wps-run" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="https://git.example/wps-run/wps-run"
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index /wheels/*.whl \
    && mkdir --mode 1777 /state
ENV XDG_STATE_HOME=/state TMPDIR=/state PYTHONUNBUFFERED=1
VOLUME /state
WORKDIR /playbooks
USER 10001:10001
EXPOSE 8080
# For `serve` on its default port. Runs end before the first check.
HEALTHCHECK --interval=30s --timeout=3s --start-period=30s CMD ["python", "-c", "import http.client; c = http.client.HTTPConnection('127.0.0.1', 8080, timeout=2); c.request('HEAD', '/api/health'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["wps-run"]
CMD ["--help"]
