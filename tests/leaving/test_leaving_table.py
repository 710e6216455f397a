"""The table of leaving clients on real frameworks: handlers end, logs stay clean, slots return."""

from __future__ import annotations

import re
import time

import psutil
from leaving_apps import INSTALLED
from leaving_table import HERE, NGINX, Case, run_table

from tests.deployment.balanced import run_nginx
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.support import TIMEOUT, ServerProcess

SERVE = ("leaving_apps:app", "--timeout-disconnect", "1s")

LISTENS = [name for name in INSTALLED if name not in ("raw", "a2wsgi")]


async def test_table(site, tmp_path):
    inner = free_port()
    with (
        ServerProcess(*SERVE, "--port", str(inner), cwd=HERE, port=False) as plain,
        ServerProcess(*SERVE, *site.flags, cwd=HERE) as tls,
    ):
        plain.wait_listening()
        ports = {"plain": inner, "TLS": int(tls.wait_listening().rpartition(":")[2])}
        outer = free_port()

        def output():
            return plain.stderr + tls.stderr

        with run_nginx(tmp_path, NGINX.format(behind=inner, port=outer), outer):
            ports["nginx"] = outer
            results = await run_table(INSTALLED, ports, site.trust, output)
        for server in (plain, tls):
            assert wait_for_no_connection(server.process.pid) == []
            assert not re.search("ERROR|Traceback|WARNING", server.stderr), server.stderr
            assert '" 500 ' not in server.stdout
    wrong = {case: result for case, result in results.items() if not right(case, result)}
    assert wrong == {}


def right(case: Case, result) -> bool:
    """Whether a handler ended as it should."""
    if case.when in ("before", "after"):
        # Some frameworks cancel a handler that has not answered; none loses what it does after.
        ended = result.end in (("whole", "cancelled") if case.when == "before" else ("whole",))
    else:
        ended = result.end in ("cancelled", "closed")
    return ended and result.seconds < (2 if case.framework in LISTENS else 4) * PATIENCE


def wait_for_no_connection(pid):
    """The connections that a server is left with, once there has been time for them to go."""
    deadline = time.monotonic() + TIMEOUT / 2
    while True:
        found = [
            each
            for each in psutil.Process(pid).net_connections("tcp")
            if each.status != psutil.CONN_LISTEN
        ]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)
