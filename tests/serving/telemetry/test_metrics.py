"""The numbers of several processes on one page."""

import asyncio

import pytest

from serving.telemetry.metrics import Metrics


def made(requests, waiting):
    metrics = Metrics()
    metrics.request_count.add(("m", "OK"), requests)
    metrics.request_latency.add(("m", "Predict", "GRPC"), 15.0)
    metrics.gauge("waiting", ["model_name"], lambda: {("m",): waiting})
    metrics.gauge("state", ["model_name"], lambda: {("m",): 1}, shared=True)
    return metrics


def test_counts_and_buckets_of_several_processes_add_up_and_what_all_say_alike_does_not():
    one, two = made(3, 5), made(4, 6)
    two.request_count.add(("m", "NOT_FOUND"))
    page = one.page(one.added([one.values(), two.values()]))
    assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 7' in page
    assert ':tensorflow:serving:request_count{model_name="m",status="NOT_FOUND"} 1' in page
    labels = 'model_name="m",API="Predict",entrypoint="GRPC"'
    assert f':tensorflow:serving:request_latency_bucket{{{labels},le="18"}} 2' in page
    assert f":tensorflow:serving:request_latency_sum{{{labels}}} 30" in page
    assert f":tensorflow:serving:request_latency_count{{{labels}}} 2" in page
    assert 'waiting{model_name="m"} 11' in page
    assert 'state{model_name="m"} 1' in page
    assert one.request_count.value(("m", "OK")) == 3


@pytest.mark.parametrize("gauges", [True, False])
def test_what_outlives_a_process_is_without_its_gauges(gauges):
    assert ("waiting" in made(1, 2).values(gauges=gauges)) == gauges


def test_the_whole_page_asks_the_other_processes():
    one, two = made(3, 5), made(4, 6)

    async def others():
        return [two.values()]

    one.others = others
    assert 'status="OK"} 7' in asyncio.run(one.whole_page())
    assert 'status="OK"} 4' in asyncio.run(two.whole_page())
