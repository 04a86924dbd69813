FROM python:3.11-slim

WORKDIR /app
RUN useradd --system --home-dir /app turnout
COPY pyproject.toml constraints.txt README.md ./
COPY src src
COPY workflows workflows
COPY activities activities
COPY workers workers
COPY api api
RUN pip install --no-cache-dir --constraint constraints.txt --editable '.[server,postgres]'

USER turnout
ENV PYTHONUNBUFFERED=1
CMD ["python", "-m", "api"]
