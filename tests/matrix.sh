#!/usr/bin/env bash
# Runs the tests that it is given on the oldest torch that pyproject.toml names, the pinned one and the newest that pip
# installs. Their environments stay in .matrix for the next run: gigabytes each, as most builds of torch bring CUDA.
set -uo pipefail
cd "$(dirname "$0")/.."

declare -A requirements=(
    [oldest]=$(sed -nE 's/^dependencies = \["torch>=(.*)"\]$/torch==\1/p' pyproject.toml)
    [pinned]=$(grep '^torch==' constraints.txt)
    [newest]=torch
)
mkdir -p .matrix
grep -v '^torch==' constraints.txt > .matrix/constraints.txt

run() {
    local python=.matrix/$1/bin/python
    # without pip's cache, which would hold every CUDA library a second time
    python3 -m venv ".matrix/$1" \
        && $python -m pip install -q --no-cache-dir --upgrade -c .matrix/constraints.txt "${requirements[$1]:?}" -e . \
            expecttest hypothesis numpy pytest pytest-xdist scipy \
        && $python -c 'import torch; print("torch", torch.__version__)' \
        && $python -m pytest "${@:2}"
}

failed=0
for name in oldest pinned newest; do
    run "$name" "$@" 2>&1 | tee ".matrix/$name.log" || failed=1
done
for name in oldest pinned newest; do
    echo "$name: $(grep -m 1 '^torch [0-9]' ".matrix/$name.log"), $(tail -n 1 ".matrix/$name.log")"
done
exit $failed
