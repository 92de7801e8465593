# Built in two stages, so that neither pip's cache nor the training code ends up in the image that runs.
FROM python:3.11-slim-bookworm AS build
RUN python -m venv /venv
WORKDIR /src
COPY torch-cpu.txt ./
RUN /venv/bin/pip install --quiet --no-cache-dir --no-deps --requirement torch-cpu.txt
COPY pyproject.toml README.md ./
# The dependencies before the code: a change of the code then rebuilds in seconds.
RUN mkdir app && touch app/__init__.py && /venv/bin/pip install --quiet --no-cache-dir '.[postgres]' \
    && /venv/bin/pip uninstall --quiet --yes review-lm pip \
    # Headers, torch's own tests and its compilers serve nobody here; torch_shm_manager it insists on.
    && cd /venv/lib/python3.11/site-packages/torch \
    && rm -rf include share test && find bin -mindepth 1 ! -name torch_shm_manager -delete

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home review-lm \
    && install --directory --owner review-lm /var/lib/review-lm
WORKDIR /srv
COPY --from=build /venv /venv
COPY app ./app
COPY model ./model
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    REVIEW_LM_HOST=0.0.0.0 \
    DATABASE_URL=sqlite:////var/lib/review-lm/requests.sqlite3
USER review-lm
VOLUME /var/lib/review-lm
EXPOSE 8000
# Patient: what asks is a Python that has to start, which on a machine with other work takes seconds.
HEALTHCHECK --interval=5s --timeout=10s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["python", "-m", "app"]
