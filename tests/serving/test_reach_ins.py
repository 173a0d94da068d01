"""What serving takes from inside other packages: each name is there, and an upgrade past what was tested is refused.

These names are not part of those packages' public interface, so a new version may drop or change them without a
word. A name that is gone fails here, by its name, and not in production; setup.py caps each package at the
versions that these tests have seen.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import importlib.util
import inspect
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import uvicorn
from packaging.requirements import Requirement
from packaging.version import Version
from uvicorn.server import ServerState

from serving.engine import op_libraries
from serving.rest.connections import RestProtocol
from tests import environments
from tests.serving.processes import ROOT

HTTPTOOLS = "uvicorn.protocols.http.httptools_impl"
# Distribution -> "module:name" (or "module:class.name") as serving uses it, and the parameters that it gives.
REACH_INS: dict[str, dict[str, tuple[str, ...]]] = {
    "uvicorn": {
        f"{HTTPTOOLS}:STATUS_LINE": (),
        f"{HTTPTOOLS}:HttpToolsProtocol._unset_keepalive_if_required": ("self",),
        f"{HTTPTOOLS}:HttpToolsProtocol.send_400_response": ("self", "msg"),
        f"{HTTPTOOLS}:HttpToolsProtocol.on_message_begin": ("self",),
        f"{HTTPTOOLS}:HttpToolsProtocol.on_headers_complete": ("self",),
        f"{HTTPTOOLS}:HttpToolsProtocol.on_body": ("self", "body"),
        f"{HTTPTOOLS}:HttpToolsProtocol.on_message_complete": ("self",),
        f"{HTTPTOOLS}:HttpToolsProtocol.on_response_complete": ("self",),
        f"{HTTPTOOLS}:HttpToolsProtocol.shutdown": ("self",),
        "uvicorn:Config.load": ("self",),
        "uvicorn:Server.startup": ("self", "sockets"),
        "uvicorn:Server.main_loop": ("self",),
        "uvicorn:Server.shutdown": ("self", "sockets"),
    },
    "httptools": {
        "httptools:HttpRequestParser.set_dangerous_leniencies": (),
        "httptools:HttpRequestParser.should_upgrade": (),
        "httptools:HttpParserUpgrade": (),
    },
    "tensorflow": {
        "tensorflow.python.client.session:Session._make_callable_from_options": ("self", "callable_options"),
        "tensorflow.python.client.session:Session._call_tf_sessionrun": (
            "self", "options", "feed_dict", "fetch_list", "target_list", "run_metadata",
        ),
        "tensorflow.python.client.session:tf_session.TF_NewBufferFromString": (),
        "tensorflow.python.client.session:tf_session.TF_DeleteBuffer": (),
        "tensorflow.python.framework.ops:SymbolicTensor._as_tf_output": (),
        "tensorflow.python.framework.ops:Graph": (),
        "tensorflow.python.framework.load_library:load_op_library": ("library_filename",),
        "tensorflow.python.framework.op_def_registry:get": ("name",),
        "tensorflow.python.ops.resource_variable_ops:ResourceVariable.from_proto": (),
        "tensorflow.python.saved_model.loader_impl:SavedModelLoader.load": ("self", "sess", "tags"),
        "tensorflow.python.saved_model.loader_impl:parse_saved_model": ("export_dir",),
        "tensorflow.core.protobuf.config_pb2:RunOptions.INTER_OP_THREAD_POOL_FIELD_NUMBER": (),
    },
    # Its services are described in serving.wire.services, and compared with the original ones in test_services.
    "tensorflow-serving-api": {"tensorflow_serving.apis.predict_pb2:DESCRIPTOR": ()},
    "protobuf": {
        "google.protobuf.message_factory:GetMessageClass": ("descriptor",),
        "google.protobuf.unknown_fields:UnknownFieldSet": (),
    },
    # gRPC's own Python package is used by its public names only; those of its companions change with protobuf.
    "grpcio-health-checking": {
        "grpc_health.v1.health:aio.HealthServicer.enter_graceful_shutdown": ("self",),
        "grpc_health.v1.health:aio.HealthServicer.Check": ("self", "request", "context"),
        "grpc_health.v1.health:aio.HealthServicer.Watch": ("self", "request", "context"),
        "grpc_health.v1.health:SERVICE_NAME": (),
    },
    "grpcio-reflection": {
        "grpc_reflection.v1alpha.reflection:aio.ReflectionServicer.ServerReflectionInfo": (
            "self", "request_iterator", "unused_context",
        ),
    },
    # Its op library, by its place in the package: see test_the_op_library_of_decision_forests.
    "tensorflow-decision-forests": {},
    "CPython": {
        "importlib._bootstrap:_ModuleLockManager": (),
        "asyncio:Future._asyncio_future_blocking": (),
    },
}  # fmt: skip
CASES = [(name, given) for names in REACH_INS.values() for name, given in names.items()]


@pytest.mark.parametrize(("name", "given"), CASES, ids=[name for name, _ in CASES])
def test_the_name_is_there_and_takes_what_it_is_given(name, given):
    module, _, path = name.partition(":")
    value = importlib.import_module(module)
    for part in path.split("."):
        value = getattr(value, part)
    if given:
        parameters = inspect.signature(value).parameters.values()
        required = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
        assert {p.name for p in required} <= set(given)
        inspect.signature(value).bind(*given)


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data):
        self.written += data

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True


def _own_names(class_: ast.ClassDef) -> set[str]:
    """What a class defines in its body."""
    names = set()
    for node in class_.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {ast.unparse(target) for target in targets}
    return names


def test_a_connection_of_uvicorn_has_what_ours_uses():
    """Its attributes, and those of a request on its way, after the head of a request has arrived."""
    tree = ast.parse(Path(inspect.getsourcefile(RestProtocol)).read_text())
    [class_] = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "RestProtocol"]
    own = _own_names(class_)
    used = {
        ast.unparse(node).removeprefix("self.")
        for node in ast.walk(class_)
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("self.")
    }
    foreign = sorted(path for path in used if path.split(".")[0] not in own)
    assert {"parser", "cycle.keep_alive", "flow.write_paused", "server_state.default_headers"} <= set(foreign)

    async def app(scope, receive, send):
        await asyncio.sleep(60)

    async def meet():
        config = uvicorn.Config(app, http=RestProtocol, ws="none", lifespan="off", log_config=None)
        config.load()
        connection = RestProtocol(config, ServerState(), app_state={})
        connection.connection_made(Transport())
        connection.data_received(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        missing = []
        for path in foreign:
            value = connection
            for part in path.split("."):
                if not hasattr(value, part):
                    missing.append(path)
                    break
                value = getattr(value, part)
        connection.connection_lost(None)
        return missing

    assert asyncio.run(meet()) == []


def test_a_server_of_uvicorn_has_what_ours_sets():
    config = uvicorn.Config(lambda: None, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    config.load()
    assert config.timeout_graceful_shutdown is None
    assert server.should_exit is False
    assert config.lifespan_class(config).should_exit is False


def test_the_part_of_tensorflow_is_imported_by_name_and_nothing_else():
    """In a process that only serves: the package itself is never run."""
    script = (
        "from serving.engine import tf_runtime; tf_runtime.serve_only(); parts = tf_runtime.runtime(); "
        "import tensorflow, sys; assert not hasattr(tensorflow, '__version__'), 'TensorFlow itself was run'; "
        "assert 'tensorflow.python.keras' not in sys.modules and 'keras' not in sys.modules; "
        "print([name for name, part in vars(parts).items() if part is None])"
    )
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr[-2000:]


def test_the_op_library_of_decision_forests_lies_where_it_is_looked_for():
    package, library = op_libraries._PROVIDERS["SimpleML"]
    [folder] = importlib.util.find_spec(package).submodule_search_locations
    assert Path(folder, library).is_file()


def test_no_other_private_name_is_used():
    """Whoever reaches into another package says so in REACH_INS."""
    listed = {
        part for names in REACH_INS.values() for name in names for part in name.split(":")[1].split(".")
    }
    listed |= {name.split(":")[0].rpartition(".")[2] for names in REACH_INS.values() for name in names}
    listed |= {"_replace", "_exit"}  # of named tuples and of os: public, for all their names
    others = []
    for file in sorted((ROOT / "serving").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
                names = [node.attr]
            elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("serving."):
                names = [alias.name for alias in node.names]
            private = [name for name in set(names) - listed if name[0] == "_" and name[:2] != "__"]
            others += [f"{file.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}" for _ in private]
    assert others == []


def _required(name: str) -> list[Requirement]:
    """What setup.py asks of a distribution, or of Python."""
    if name == "CPython":
        return [Requirement(f"CPython{environments.asked()['python_requires']}")]
    return [r for wanted in environments.requirements().values() for r in wanted if r.name == name]


@pytest.mark.parametrize("name", REACH_INS)
def test_setup_caps_a_package_that_is_reached_into(name):
    tested = Version(".".join(map(str, sys.version_info[:3])) if name == "CPython" else version(name))
    major, minor = (*tested.release, 0)[:2]
    # A package of version 0 may break with each minor one, and so may a private name of any other.
    later = (
        [Version(f"{major + 1}.0")]
        if name in ("protobuf", "httptools")
        else [Version(f"{major}.{minor + 1}")]
    )
    assert _required(name), f"{name} is reached into, but no extra of setup.py asks for it"
    for requirement in _required(name):
        assert requirement.specifier.contains(tested), f"{requirement} leaves out {tested}, which is tested"
        for untested in later:
            assert not requirement.specifier.contains(untested), f"{requirement} lets {untested} in unseen"
