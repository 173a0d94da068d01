"""`python -m serving.workers.worker FD EPOCH NUMBER FLAGS...`: one worker. Started by the supervisor only.

FD is this worker's end of the channel, EPOCH the descriptor of the shared number, NUMBER tells workers apart in logs
and metrics, FLAGS are the server's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys

from serving import main as single


def main() -> int:
    """Exit codes as `serving.main`'s."""
    channel, shared, number = map(int, sys.argv[1:4])
    end = socket.socket(fileno=channel)
    for descriptor in (channel, shared):
        os.set_inheritable(descriptor, False)
    single.prepare(f"worker {number} ")
    # Ctrl-C reaches every process of the terminal; what to do about it is the supervisor's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from serving import flags as flag_module
    from serving.flags import UsageError
    from serving.server import Server
    from serving.workers.epoch import Epoch
    from serving.workers.member import Member

    try:
        flags, _ = flag_module.parse(sys.argv[4:])
        servers: list[Server] = []
        patience_s = flags.drain_seconds + 15.0
        member = Member(end, Epoch(shared), number, lambda: servers[0].stop(), patience_s)
        servers.append(Server(flags, member))
    except (UsageError, OSError) as error:
        print(f"viaduct-serving: {error}", file=sys.stderr)
        return 2
    return single.serve(servers[0], _run)


async def _run(server: object) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.stop)  # type: ignore[attr-defined]
    await server.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
