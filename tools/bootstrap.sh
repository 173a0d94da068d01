#!/bin/sh
# Makes .venv from requirements.lock with Python 3.11; does nothing when it is there and the lock is the same.
set -eu
cd "$(dirname "$0")/.."
. tools/fetch_python.sh

# A Python that can make an environment (Debian's own lacks ensurepip without its package python3.11-venv) and compile
# for it (its headers): two packages of the lock come as source.
fits() {
    [ -x "$1" ] && "$1" - 2>/dev/null <<'EOF'
import ensurepip, os, sys, sysconfig, venv
headers = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(sys.version_info[:2] != (3, 11) or not os.path.exists(headers))
EOF
}

stamp=.venv/viaduct-lock.stamp
lock_digest() { cat requirements.lock setup.py | cksum; }
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(lock_digest)" ] && fits .venv/bin/python; then exit 0; fi

find_python() {
    for candidate in "${PYTHON311:-}" "$(command -v python3.11 || true)" "$(command -v python3 || true)" \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.11*/bin/python /usr/local/bin/python3.11 /usr/bin/python3.11 \
        "$HOME"/.local/share/uv/python/cpython-3.11*/bin/python3.11; do
        if [ -n "$candidate" ] && fits "$candidate"; then echo "$candidate"; return; fi
    done
    fetch_python 3.11 "No Python 3.11 found that can make environments; fetching one with uv ..." || {
        echo "Viaduct needs Python 3.11 with venv and headers: none was found, and none could be fetched." >&2
        echo "Install it (apt install python3.11-venv python3.11-dev, or pyenv install 3.11) and run make again." >&2
        exit 1
    }
}

command -v c++ >/dev/null || command -v g++ >/dev/null || {
    echo "A C++ compiler is needed: the lock has a package that comes as source (apt install g++)." >&2
    exit 1
}
python=$(find_python)
begin=$(date +%s)
echo "Setting up .venv with $("$python" --version) and the $(grep -c == requirements.lock) packages of requirements.lock" \
    "(4 GB on disk) ..."
# An environment of another Python is made anew; one of this Python keeps what it has.
if [ -e .venv/bin/python ] && fits .venv/bin/python; then clear=; else clear=--clear; fi
"$python" -m venv $clear .venv
if [ -x .venv-uv/bin/uv ] && ! command -v uv >/dev/null; then export VIADUCT_UV=.venv-uv/bin/uv; fi
"$python" tools/install.py requirements.lock .venv/bin/python || {
    echo "The set-up stopped; what is installed stays, and make goes on from there." >&2
    exit 1
}
.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
.venv/bin/python -m dashboards.bundle || true
# Where PYTHONDONTWRITEBYTECODE is set, every process would compile our rooms anew.
.venv/bin/python -m compileall -q bridges components dags dashboards pipelines serving || true
lock_digest > "$stamp"
seconds=$(($(date +%s) - begin))
echo "Done in $((seconds / 60)) min $((seconds % 60)) s: .venv/bin/viaduct"
