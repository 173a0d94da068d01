# For bootstrap.sh and bootstrap_airflow.sh, which read it: fetch_python VERSION SAYING prints the path of a Python that uv
# fetches; uv itself goes to .venv-uv where PATH has none, SAYING before it. Fails where either cannot be had.
fetch_python() {
    uv=$(command -v uv || true)
    if [ -z "$uv" ]; then
        echo "$2" >&2
        { python3 -m venv .venv-uv && .venv-uv/bin/pip install -q --disable-pip-version-check uv; } >&2 || return 1
        uv=.venv-uv/bin/uv
    fi
    "$uv" python install -q "$1" >&2 || return 1
    "$uv" python find --managed-python --system --no-project "$1"
}
