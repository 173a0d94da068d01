#!/bin/sh
# Makes .airflow-venv from requirements-airflow.lock with Python 3.12 or 3.11; does nothing when it is there and the lock
# is the same. VIADUCT_AIRFLOW_PYTHON names an environment made elsewhere: then there is nothing to make.
set -eu
cd "$(dirname "$0")/.."
. tools/fetch_python.sh

if [ -n "${VIADUCT_AIRFLOW_PYTHON:-}" ]; then exit 0; fi
venv=.airflow-venv
lock_digest() { cksum < requirements-airflow.lock; }
stamp=$venv/viaduct-lock.stamp
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(lock_digest)" ]; then exit 0; fi

fits() { [ -x "$1" ] && "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 12), (3, 11)))' 2>/dev/null; }

find_python() {
    for candidate in "${PYTHON312:-}" "$(command -v python3.12 || true)" "$(command -v python3.11 || true)" \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12*/bin/python "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.11*/bin/python \
        /usr/bin/python3.12 /usr/local/bin/python3.12 /usr/bin/python3.11 /usr/local/bin/python3.11 \
        "$HOME"/.local/share/uv/python/cpython-3.1[21]*/bin/python3.1[21]; do
        if [ -n "$candidate" ] && fits "$candidate"; then echo "$candidate"; return; fi
    done
    fetch_python 3.12 "No Python 3.12 or 3.11 found; fetching one with uv ..." || {
        echo "Airflow needs Python 3.12 or 3.11, which could not be installed." >&2
        echo "Install one (pyenv install 3.12, or your distribution's package) and run make again." >&2
        exit 1
    }
}

python=$(find_python)
echo "Setting up $venv with $("$python" --version) from requirements-airflow.lock (one to two minutes, 350 MB) ..."
"$python" -m venv "$venv"
"$python" tools/install.py requirements-airflow.lock "$venv/bin/python" || {
    echo "The set-up of Airflow stopped; run make again." >&2
    exit 1
}
"$venv/bin/python" -m compileall -q "$venv/lib" || true
lock_digest > "$stamp"
