"""`python -m tailrace_eventhubs.emulator`: serve until SIGTERM or SIGINT.

When it listens, it prints one line of JSON: `port`, `health_port`, `endpoint`, `connection_string`. When it
has ended, another: what was stored, how attempts ended, which faults were met.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence

from tailrace_eventhubs.emulator import faultline, tlsfiles
from tailrace_eventhubs.emulator.config import Config, ConfigError, Hub
from tailrace_eventhubs.emulator.effects import EFFECTS
from tailrace_eventhubs.emulator.server import CannotListen, Emulator

_OPTIONS = {"port": "--port", "health_port": "--health-port"}


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    try:
        config = _config(asked)
        server = Emulator(
            config,
            host=asked.host,
            port=asked.port,
            tls=tlsfiles.context(asked.tls_cert, asked.tls_key),
            health_port=asked.health_port,
        )
        for fault in asked.fault:
            faultline.add(server.faults, fault, config)
    except ConfigError as error:
        return _refuse(f"{_OPTIONS.get(error.where, error.where)}: {error.problem}")
    except ValueError as error:
        return _refuse(str(error))
    return _serve(server, config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tailrace_eventhubs.emulator", description=__doc__)
    parser.add_argument("--config", metavar="FILE", help="the official emulator's Config.json")
    parser.add_argument("--hub", metavar="NAME[:PARTITIONS]", action="append", default=[], help="repeatable")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5672, help="0 for any (default: 5672)")
    parser.add_argument("--health-port", type=int, help="also serve GET /health there, 0 for any")
    parser.add_argument("--tls-cert", metavar="FILE", help="serve TLS, with this certificate (PEM)")
    parser.add_argument("--tls-key", metavar="FILE", help="its key, if it is not in the same file")
    parser.add_argument(
        "--fault", metavar="'KIND NAME=VALUE …'", action="append", default=[],
        help=f"repeatable, for example 'server-busy every=20'; the kinds are {', '.join(sorted(EFFECTS))}; "
        f"the names are {', '.join(faultline.FIELDS)}",
    )  # fmt: skip
    return parser


def _config(asked: argparse.Namespace) -> Config:
    if asked.config is not None and asked.hub:
        raise ValueError("Give --config or --hub, not both.")
    if asked.config is not None:
        try:
            return Config.read(asked.config)
        except ConfigError as error:
            raise ConfigError("--config", str(error)) from None
    hubs = [_hub(text) for text in asked.hub or ["hub"]]
    try:
        return Config(hubs=hubs)
    except ConfigError as error:
        raise ConfigError("--hub", error.problem) from None


def _hub(text: str) -> Hub:
    name, colon, count = text.partition(":")
    if colon and not (count.isascii() and count.isdigit() and len(count) <= 6):
        raise ConfigError(f"--hub {text}", "NAME or NAME:PARTITIONS is needed, such as orders:4")
    try:
        return Hub(name, int(count)) if colon else Hub(name)
    except ConfigError as error:
        raise ConfigError(f"--hub {text}", error.problem) from None


def _serve(server: Emulator, config: Config) -> int:
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    try:
        server.start()
    except CannotListen as error:
        return _refuse(f"{_OPTIONS[error.where]}: {error.strerror}")
    except Exception as error:  # whatever it is, nothing is served
        return _refuse(f"The server cannot start: {type(error).__name__}: {error}")
    _say(
        port=server.port,
        health_port=server.health_port,
        endpoint=server.endpoint,
        connection_string=server.connection_string(),
    )
    over.wait()
    server.stop()
    names = [hub.name for hub in config.hubs]
    _say(
        stored={name: server.stored(name) for name in names},
        outcomes={name: server.outcomes(name) for name in names},
        fired=server.faults.fired,
    )
    return 0


def _refuse(problem: str) -> int:
    sys.stderr.write(f"{problem}\n")
    return 2


def _say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
