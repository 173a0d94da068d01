"""Texts with backslashes survive the way into and out of protobuf messages; the store itself is tested with Airflow."""

from pipelines.base.backslashes import BACKSLASH, STAND_IN, translated


def test_every_text_of_a_message_is_translated_and_back():
    from ml_metadata.proto import metadata_store_service_pb2 as service

    request = service.PutExecutionRequest()
    request.execution.name = "a\\b"
    request.execution.properties["eval_config"].string_value = '{"config": "{\\"curve\\": \\"PR\\"}"}'
    request.execution.custom_properties["n"].int_value = 3
    request.contexts.add().name = "c\\d"
    request.artifact_event_pairs.add().artifact.uri = "e\\f"
    safe = translated(request, BACKSLASH, STAND_IN)
    assert BACKSLASH.encode() not in safe.SerializeToString()
    assert translated(safe, STAND_IN, BACKSLASH) == request
    assert BACKSLASH.encode() in request.SerializeToString(), "the original stays as it is"
