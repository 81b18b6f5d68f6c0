#!/bin/sh
# Writes the stubs into becasv1/. PYTHON names an interpreter that has grpcio-tools, which brings protoc.
set -eu
cd "$(dirname "$0")"
root=../..
python=${PYTHON:-$root/.venv/bin/python}

# The plugins are those that go.mod pins.
GOBIN=$PWD/build go install tool

mappings=
for name in event example ingest ingest_service; do
  file=becas/ft/v1/$name.proto
  mappings="$mappings --go_opt=M$file=becas.example/bot/becasv1 --go-grpc_opt=M$file=becas.example/bot/becasv1"
done
rm -rf becasv1
# The mappings are words of their own.
# shellcheck disable=SC2086
"$python" -m grpc_tools.protoc -I "$root/proto" \
  --plugin=protoc-gen-go=build/protoc-gen-go --plugin=protoc-gen-go-grpc=build/protoc-gen-go-grpc \
  --go_out=. --go_opt=module=becas.example/bot --go-grpc_out=. --go-grpc_opt=module=becas.example/bot $mappings \
  becas/ft/v1/event.proto becas/ft/v1/example.proto becas/ft/v1/ingest.proto becas/ft/v1/ingest_service.proto
