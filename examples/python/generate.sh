#!/bin/sh
# Writes the stubs into becas/, beside the bot. PYTHON names an interpreter that has grpcio-tools.
set -eu
cd "$(dirname "$0")"
root=../..
python=${PYTHON:-$root/.venv/bin/python}

rm -rf becas
"$python" -m grpc_tools.protoc -I "$root/proto" --python_out=. --pyi_out=. --grpc_python_out=. \
  "$root"/proto/becas/ft/v1/event.proto "$root"/proto/becas/ft/v1/example.proto \
  "$root"/proto/becas/ft/v1/ingest.proto "$root"/proto/becas/ft/v1/ingest_service.proto
