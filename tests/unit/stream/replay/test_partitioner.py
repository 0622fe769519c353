"""Keys go to the partitions to which Kafka's clients send them."""

import random

from kafka.partitioner.default import murmur2

from stream.replay.partitioner import partition_of


def test_as_kafka_does():
    """For keys of every length, the partition is that of kafka-python's murmur2."""
    rng = random.Random(5)
    for length in range(40):
        for partitions in (1, 2, 7, 12, 100):
            key = rng.randbytes(length)
            assert partition_of(key, partitions) == (int(murmur2(key)) & 0x7FFFFFFF) % partitions
