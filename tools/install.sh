#!/bin/sh
# install.sh EXTRAS: make .venv, and install this project into it with EXTRAS, such as "book,test", at the pinned
# versions. make calls it; it sets PYTHON_MIN and may set PYTHON and TORCH_INDEX. If the stamps of all EXTRAS are
# current, there is nothing to do. An interrupted install leaves .venv/unfinished; the next call then makes a new .venv.
set -eu
cd "$(dirname "$0")/.."
extras=$1
log=.venv/pip.log
start=$(date +%s)

say() { echo "cqlib: $*"; }
fail() { say "$*" >&2; exit 1; }

# Print the version of Python $1; fail if it is too old or does not run (such as a pyenv shim without a Python).
version() {
    "$1" -c "import sys
print('%d.%d.%d' % sys.version_info[:3])
sys.exit(sys.version_info[:2] < ($(echo "$PYTHON_MIN" | tr . ,)))" 2>/dev/null </dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3 python3.13 python3.12 python3.11 python; fi
    seen=
    for python; do
        if found=$(version "$python"); then return; fi
        if [ -n "$found" ]; then seen="$seen, $python is $found"; fi
    done
    if [ -z "$seen" ]; then seen=", none of these runs: $*"; fi
    fail "Python $PYTHON_MIN or newer is needed (${seen#, }); install it, or name one: make book PYTHON=/path/to/python."
}

make_venv() {
    find_python
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "The venv module of $python is missing; on Debian and Ubuntu: apt-get install python3-venv."
    say "Creating .venv with Python $found."
    rm -rf .venv
    "$python" -m venv .venv || fail "$python could not create .venv, for the reason above."
    echo "$origin" >.venv/origin
}

# The user's pip settings (index, timeout) apply; there are fewer retries, so that a missing network is reported soon.
pip_install() {
    PIP_RETRIES=${PIP_RETRIES:-3} .venv/bin/python -m pip install --disable-pip-version-check --no-user --no-compile "$@" \
        >>$log 2>&1 && return
    if grep -qiE 'connection broken|max retries|timed out|name resolution|failed to connect' $log; then
        rm .venv/unfinished # pip has not changed .venv: it downloads all packages first
        fail "The package index cannot be reached; check the network or pip's index settings (log: $log)."
    fi
    fail "pip failed with '$(grep ERROR $log | tail -n 1)' (full log: $log)."
}

# A new .venv is needed for a moved checkout or another torch build, and if .venv is unfinished or its Python is gone.
origin="$PWD ${TORCH_INDEX:-}"
if [ -e .venv/unfinished ] || [ "$(cat .venv/origin 2>/dev/null)" != "$origin" ] ||
    ! version .venv/bin/python >/dev/null; then
    make_venv
fi

# Stamps are checksums of content, since a checkout changes file times.
inputs=$(cat pyproject.toml constraints.txt | cksum)
stale=
for extra in $(echo "$extras" | tr , ' '); do
    [ "$(cat ".venv/$extra.stamp" 2>/dev/null)" = "$inputs" ] || stale=yes
done
[ -n "$stale" ] || exit 0

say "Installing cqlib[$extras] into .venv: one or two minutes plus the download (to watch: tail -f $log)."
touch .venv/unfinished
: >$log
if [ -n "${TORCH_INDEX:-}" ]; then
    pip_install --no-deps --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"
    pip_install -c constraints.txt -e ".[$extras]" --extra-index-url "$TORCH_INDEX" # for the libraries of this build
else
    pip_install -c constraints.txt -e ".[$extras]"
fi
for extra in $(echo "$extras" | tr , ' '); do
    echo "$inputs" >".venv/$extra.stamp"
done
rm .venv/unfinished
say "Installed in $(($(date +%s) - start)) s."
