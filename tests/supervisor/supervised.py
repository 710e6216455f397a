"""A program under a supervisor, run by test_supervisor.py: ``supervised.py PLAN [KEY=VALUE ...]``.

Each worker, in the order of their starts, takes one letter of PLAN and behaves like it; after
the last letter it repeats. Workers and log write whole lines to standard output.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import resource
import selectors
import signal
import socket
import sys
from typing import Any

from katana_asgi.config.model import Config
from katana_asgi.errors import StartupError
from katana_asgi.supervisor import backoff, supervisor
from katana_asgi.worker.channel import Channel

PLAN, NEXT_LETTER = os.pipe()
GO, SAY_GO = os.pipe()


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def ready(sock: socket.socket, channel: Channel) -> None:
    sock.listen(16)
    channel.send({"type": "ready", "addresses": []})


def serve(sock: socket.socket, channel: Channel) -> int:
    """Answer each connection with the process id; one that sends "r" is the last."""
    ready(sock, channel)
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        selector.register(channel, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is channel:
                    told = [message["type"] for message in channel.receive()]
                    if told or channel.closed:
                        say("told" if told else "orphan", os.getpid(), *told)
                        return 0
                else:
                    try:
                        client = sock.accept()[0]
                    except BlockingIOError:  # a sibling on the same socket was faster
                        continue
                    if answer(client) == b"r":
                        return retire(client, channel)


def answer(client: socket.socket) -> bytes:
    client.setblocking(True)
    request = client.recv(1)
    client.sendall(b"%d\n" % os.getpid())
    if request != b"r":
        client.close()
    return request


def retire(client: socket.socket, channel: Channel) -> int:
    channel.send({"type": "retiring"})
    client.recv(1)  # drains until the client goes
    say("drained", os.getpid())
    return 0


def fail(sock: socket.socket, channel: Channel) -> int:
    channel.send({"type": "failed", "status": 3, "reason": "lifespan says no"})
    return 3


def die_when_ready(sock: socket.socket, channel: Channel) -> int:
    ready(sock, channel)
    return 7


def never_ready(sock: socket.socket, channel: Channel) -> int:
    say("importing", os.getpid())
    while True:
        signal.pause()


def stubborn(sock: socket.socket, channel: Channel) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready(sock, channel)
    while True:
        signal.pause()


def refuse(sock: socket.socket, channel: Channel) -> int:
    raise StartupError("no such module", 5)


def raise_an_exception(sock: socket.socket, channel: Channel) -> int:
    raise ZeroDivisionError("of course")


def exit_like_a_script(sock: socket.socket, channel: Channel) -> int:
    sys.exit(6)


def kill_itself(sock: socket.socket, channel: Channel) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def end_early(sock: socket.socket, channel: Channel) -> int:
    return 0


def serve_and_say_go(sock: socket.socket, channel: Channel) -> int:
    os.write(SAY_GO, b"!")
    return serve(sock, channel)


def fail_after_go(sock: socket.socket, channel: Channel) -> int:
    os.read(GO, 1)
    return fail(sock, channel)


def tell_signals(sock: socket.socket, channel: Channel) -> int:
    kinds = {signal.SIG_DFL: "default", signal.SIG_IGN: "ignored"}
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        say("signal", number.name, kinds.get(signal.getsignal(number), "handled"))  # type: ignore[call-overload]
    say("blocked", len(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    atexit.register(say, "exit function of", "the worker")
    return serve(sock, channel)


def heartbeats(sock: socket.socket, channel: Channel) -> int:
    ready(sock, channel)
    channel.send({"type": "heartbeat", "lag": 0.5, "requests": 7, "connections": 1})
    channel.send({"type": "of a later version"})
    return serve(sock, channel)


BEHAVIOURS = {
    "s": serve,
    "f": fail,
    "d": die_when_ready,
    "n": never_ready,
    "i": stubborn,
    "r": refuse,
    "z": raise_an_exception,
    "x": exit_like_a_script,
    "k": kill_itself,
    "e": end_early,
    "g": serve_and_say_go,
    "w": fail_after_go,
    "t": tell_signals,
    "h": heartbeats,
}


def entry(config: Config, sockets: list[socket.socket], channel: Channel) -> int:
    letter = os.read(PLAN, 1).decode() or LAST
    return BEHAVIOURS[letter](sockets[0], channel)


def fail_to_describe(sock: socket.socket, scheme: str) -> str:
    raise LookupError("the supervisor itself fails")


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    LAST = sys.argv[1][-1]
    os.write(NEXT_LETTER, sys.argv[1].encode())
    os.close(NEXT_LETTER)
    settings: dict[str, Any] = {"app": "never:imported", "port": 0, "timeout_lifespan_shutdown": 0}
    for word in sys.argv[2:]:
        key, _, value = word.partition("=")
        settings[key] = json.loads(value)
    backoff.DELAYS = (0.0, 0.1, 0.2, 0.3)  # type: ignore[misc]
    supervisor.SHUTDOWN_GRACE = settings.pop("grace", 5.0)  # type: ignore[misc]
    if descriptors := settings.pop("descriptors", 0):
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    if settings.pop("fault", False):
        supervisor.describe = fail_to_describe  # type: ignore[attr-defined]
    atexit.register(say, "exit function of", "the supervisor")
    try:
        sys.exit(supervisor.Supervisor(Config(**settings), entry).run())
    except StartupError as error:
        say("startup error", error.status, error)
        sys.exit(error.status)
