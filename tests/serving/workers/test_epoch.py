"""The number that all workers read."""

import os

from serving.workers.epoch import Epoch


def test_who_opens_the_descriptor_sees_the_number_change():
    ours = Epoch()
    theirs = Epoch(os.dup(ours.descriptor))
    assert theirs.number == 0
    for number in (1, 2**40):
        ours.number = number
        assert theirs.number == number
