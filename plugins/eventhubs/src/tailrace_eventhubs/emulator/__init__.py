"""An Azure Event Hubs that runs on loopback, for tests: AMQP 1.0, standard library only, no Tailrace.

    from tailrace_eventhubs.emulator import Config, Emulator, Hub

    with Emulator(Config(hubs=[Hub("orders", partitions=4)])) as server:
        server.connection_string("orders")         # for any client of `azure-eventhub`
        server.accepted("orders")                  # events: partition, sequence, key, body, properties
        server.attempts("orders")                  # deliveries of senders, and what became of each
        server.faults.add("server-busy", every=20) # see `faults`
        server.faults.fired["server-busy"]

From a shell: `python -m tailrace_eventhubs.emulator --config Config.json --port 0`.
"""

from tailrace_eventhubs.emulator.config import Config, ConfigError, ConsumerGroup, Hub, Key
from tailrace_eventhubs.emulator.faults import Fault, Faults
from tailrace_eventhubs.emulator.log import Accepted
from tailrace_eventhubs.emulator.namespace import Attempt
from tailrace_eventhubs.emulator.server import Emulator

__all__ = [
    "Accepted", "Attempt", "Config", "ConfigError", "ConsumerGroup", "Emulator", "Fault", "Faults", "Hub",
    "Key",
]  # fmt: skip
