"""What the model server is measured against, each in a process of its own, and the models they all serve.

    python benchmarks/serving_peers.py models FOLDER     writes the models
    python benchmarks/serving_peers.py empty             the same gRPC server with a handler that does nothing
    python benchmarks/serving_peers.py plain FOLDER      gRPC, tf.saved_model.load and a call of the signature
    python benchmarks/serving_peers.py fastapi FOLDER    FastAPI, uvicorn and a call of the Keras model

Each server prints `ready PORT` and runs until it is killed. They are written as a person in a hurry would, and
with the same event loop and server library as ours, so that the difference is the server's own doing.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

PREDICT = "/tensorflow.serving.PredictionService/Predict"
FEATURES = 10
COLUMNS = 30
WORDS = 40


def write_models(folder: Path) -> None:
    """dense/1: 10 floats -> 64 -> 32 -> 1; dense.h5: the same for Keras; wide/1: 784 floats -> their mean;
    rows/1: serialized tf.Examples of 30 floats -> parsed, normalised -> 64 -> 1 (the shape of card_fraud);
    words/1: 40 word numbers -> vectors -> 40 recurrent steps -> 1 (the shape of sentiment), which cost nearly
    the same for one row as for thirty; cnn/1: 28 x 28 pixels -> the layers of digits' cnn -> 10."""
    import tensorflow as tf
    import tf_keras as keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    dense = keras.Sequential(
        [layers.Dense(64, "relu"), layers.Dense(32, "relu"), layers.Dense(1, "sigmoid", name="p")]
    )
    dense.build((None, FEATURES))
    dense.save(folder / "dense.h5")

    @tf.function(input_signature=[tf.TensorSpec([None, FEATURES], tf.float32, "x")])
    def predict(x: Any) -> dict[str, Any]:
        return {"p": dense(x)}

    tf.saved_model.save(dense, str(folder / "dense" / "1"), signatures={"serving_default": predict})

    class Wide(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 784], tf.float32, "x")])
        def call(self, x: Any) -> dict[str, Any]:
            return {"mean": tf.reduce_mean(x, axis=1)}

    wide = Wide()
    tf.saved_model.save(wide, str(folder / "wide" / "1"), signatures={"serving_default": wide.call})

    head = keras.Sequential([layers.Dense(64, "relu"), layers.Dense(1, "sigmoid")])
    head.build((None, COLUMNS))
    spec = {f"V{i}": tf.io.FixedLenFeature([], tf.float32, 0.0) for i in range(COLUMNS)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def rows(examples: Any) -> dict[str, Any]:
        parsed = tf.io.parse_example(examples, spec)
        columns = [tf.clip_by_value((parsed[name] - 0.5) / 2.0, -3.0, 3.0) for name in spec]
        return {"p": head(tf.stack(columns, axis=1))}

    tf.saved_model.save(head, str(folder / "rows" / "1"), signatures={"serving_default": rows})

    class Words(tf.Module):
        def __init__(self) -> None:
            self.vectors = tf.Variable(tf.random.stateless_normal([1000, 16], [1, 2]))
            self.weights = tf.Variable(tf.eye(16))

        @tf.function(input_signature=[tf.TensorSpec([None, WORDS], tf.int32, "words")])
        def call(self, words: Any) -> dict[str, Any]:
            steps = tf.transpose(tf.gather(self.vectors, words), [1, 0, 2])
            state = tf.zeros_like(steps[0])
            for step in tf.range(WORDS):
                state = tf.tanh(steps[step] + state @ self.weights)
            return {"p": tf.sigmoid(tf.reduce_mean(state, axis=1))}

    _write_cnn(folder / "cnn" / "1")
    words = Words()
    tf.saved_model.save(words, str(folder / "words" / "1"), signatures={"serving_default": words.call})


def _write_cnn(folder: Path) -> None:
    """The graph that digits' variant cnn exports, without its training: speed does not depend on the weights."""
    import tensorflow as tf
    import tf_keras as keras

    layers = keras.layers
    given = keras.Input((28, 28))
    body = layers.Reshape((28, 28, 1))(layers.Rescaling(1 / 255)(given))
    for width, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        body = layers.Conv2D(width, 3, stride, "same", use_bias=False)(body)
        body = layers.ReLU()(layers.BatchNormalization()(body))
    body = layers.Dense(64, use_bias=False)(layers.Flatten()(body))
    body = layers.Dense(10)(layers.ReLU()(layers.BatchNormalization()(body)))
    model = keras.Model(given, body)

    @tf.function(input_signature=[tf.TensorSpec([None, 28, 28], tf.uint8, "image")])
    def predict(image: Any) -> dict[str, Any]:
        logits = model(tf.cast(image, tf.float32), training=False)
        return {"probabilities": tf.nn.softmax(logits), "label": tf.argmax(logits, 1)}

    tf.saved_model.save(model, str(folder), signatures={"serving_default": predict})


async def _serve_grpc(handler: Any) -> None:
    import grpc

    server = grpc.aio.server()
    service = PREDICT.split("/")[1]
    method = grpc.unary_unary_rpc_method_handler(handler)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Predict": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"ready {port}", flush=True)
    await server.wait_for_termination()


def empty() -> None:
    """Answers every Predict with the same prepared bytes."""
    from serving.wire import protos

    response = protos.predict_pb2.PredictResponse()
    response.model_spec.name = "dense"
    response.outputs["p"].float_val.append(0.5)
    data = response.SerializeToString()

    async def handler(request: bytes, context: Any) -> bytes:
        return data

    _loop_run(_serve_grpc(handler))


def plain(folder: Path) -> None:
    """What one writes by hand: tf.saved_model.load, make_ndarray, the signature, make_tensor_proto."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    model = tf.saved_model.load(str(folder / "dense" / "1"))
    signature = model.signatures["serving_default"]

    async def handler(request: bytes, context: Any) -> bytes:
        message = predict_pb2.PredictRequest.FromString(request)
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in message.inputs.items()}
        response = predict_pb2.PredictResponse()
        response.model_spec.CopyFrom(message.model_spec)
        for name, value in signature(**inputs).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
        return response.SerializeToString()

    _loop_run(_serve_grpc(handler))


def fastapi(folder: Path) -> None:
    """POST / {"instances": [[...]]} -> {"predictions": ...} with a Keras model called directly."""
    import socket

    import numpy as np
    import tf_keras as keras
    import uvicorn
    from fastapi import FastAPI, Request

    model = keras.models.load_model(folder / "dense.h5", compile=False)
    app = FastAPI()

    async def answer(request: Request) -> dict[str, Any]:
        body = await request.json()
        return {"predictions": model(np.asarray(body["instances"], np.float32)).numpy().tolist()}

    # Annotations are text in this module, which FastAPI would look up outside of this function.
    answer.__annotations__ = {"request": Request}
    app.post("/v1/models/dense:predict")(answer)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    print(f"ready {listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


def _loop_run(main: Any) -> None:
    import uvloop

    uvloop.install()
    asyncio.run(main)


if __name__ == "__main__":
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kind, *rest = sys.argv[1:]
    call: Any = {"models": write_models, "empty": empty, "plain": plain, "fastapi": fastapi}[kind]
    call(*[Path(argument) for argument in rest])
