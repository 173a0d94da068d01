#!/bin/sh
# Makes .venv from requirements.lock with Python 3.10; does nothing when it is there and the lock is the same.
set -eu
cd "$(dirname "$0")/.."

lock_digest() { cat requirements.lock setup.py | cksum; }
stamp=.venv/viaduct-lock.stamp
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(lock_digest)" ]; then exit 0; fi

is_310() { [ -x "$1" ] && "$1" -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null; }

find_python() {
    for candidate in "${PYTHON310:-}" "$(command -v python3.10 || true)" \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.10*/bin/python /usr/bin/python3.10 /usr/local/bin/python3.10 \
        "$HOME"/.local/share/uv/python/cpython-3.10*/bin/python3.10; do
        if [ -n "$candidate" ] && is_310 "$candidate"; then echo "$candidate"; return; fi
    done
    uv=$(command -v uv || true)
    if [ -z "$uv" ]; then
        echo "No Python 3.10 found; fetching one with uv ..." >&2
        python3 -m venv .venv-uv >&2 && .venv-uv/bin/pip install -q uv >&2 || {
            echo "Python 3.10 is needed (TFX 1.16 knows no newer one) and could not be installed." >&2
            echo "Install it (pyenv install 3.10, or your distribution's package) and run make again." >&2
            exit 1
        }
        uv=.venv-uv/bin/uv
    fi
    "$uv" python install -q 3.10 >&2
    "$uv" python find 3.10
}

python=$(find_python)
echo "Setting up .venv with $("$python" --version) from requirements.lock (one to three minutes, 4 GB) ..."
"$python" -m venv .venv
if command -v uv >/dev/null 2>&1; then
    uv pip install -q --python .venv/bin/python --no-deps -r requirements.lock
    uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e .
else
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps -r requirements.lock
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
fi
lock_digest > "$stamp"
echo "Done: .venv/bin/viaduct"
