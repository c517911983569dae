#!/usr/bin/env bash
# Write the lock files that the images install from: every package with its version and the hashes of its files.
# Needs uv (`pip install uv`) and a package index. Versions stay as they are unless pyproject.toml asks for others;
# give --upgrade for the newest ones.
#
#     scripts/lock.sh [--upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."

lock() { # FILE PYTHON EXTRA...
    local file=$1 python=$2 extras=()
    shift 2
    for extra in "$@"; do extras+=(--extra "$extra"); done
    uv pip compile --quiet --universal --python-version "$python" --generate-hashes --no-header \
        "${options[@]}" "${extras[@]}" --output-file "$file" pyproject.toml
}

options=("$@")
lock requirements.lock 3.11 openvino service earthdata cds
lock requirements-gpu.lock 3.11 cuda tensorrt-rtx service earthdata cds
lock requirements-tensorrt.lock 3.11 tensorrt-image service earthdata cds
