#!/bin/sh
# Run the tests with the lowest versions that pyproject.toml states, in build/lowest.
#
# Warnings are no errors there, since later versions of a library may complain about earlier ones.
# Outputs stored in notebooks belong to the versions of constraints.txt and are not compared.
set -eu
cd "$(dirname "$0")/.."
here=build/lowest
python3 -m venv $here
test -x $here/uv/bin/uv || { python3 -m venv $here/uv && $here/uv/bin/pip install -q uv==0.13.9; }
$here/uv/bin/uv pip compile -q --resolution lowest-direct --extra test pyproject.toml -o $here/requirements.txt
$here/uv/bin/uv pip sync -q --python $here/bin/python $here/requirements.txt
grep -E '^(numpy|scipy|torch|numba|triton|pandas|matplotlib)==' $here/requirements.txt
PYTHONPATH=. exec $here/bin/python -m pytest -q -n 2 --dist worksteal -o filterwarnings= -m 'not slow' \
    tests/compressors tests/data tests/distributed tests/golden tests/kernels tests/methods tests/problems \
    tests/theory tests/wire tests/cqbook "$@"
