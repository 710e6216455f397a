"""Programs as public code has them, which start a server by uvicorn's names.

``IMPORT`` is the line that is exchanged. Each answers ``ok`` at ``/``, and is told its port.
"""

from __future__ import annotations

APP = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                print("shut down", flush=True)
                return
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""

RUN = """
if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", 8000)), log_level="info")
"""

RUN_BY_NAME = """
if __name__ == "__main__":
    uvicorn.run("main:app", host="127.0.0.1", port=int(os.environ["PORT"]), reload=False,
                workers=1, access_log=False, proxy_headers=True, forwarded_allow_ips="*")
"""

RUN_WORKERS = """
if __name__ == "__main__":
    uvicorn.run("main:app", port=int(os.environ["PORT"]), workers=2, log_level="INFO")
"""

RUN_RELOAD = """
if __name__ == "__main__":
    uvicorn.run("main:app", port=int(os.environ["PORT"]), reload=True, reload_dirs=["."],
                reload_includes=["*.html"])
"""

RUN_FACTORY = """
def create_app():
    return app

if __name__ == "__main__":
    uvicorn.run("main:create_app", port=int(os.environ["PORT"]), factory=True)
"""

SERVER_RUN = """
if __name__ == "__main__":
    config = uvicorn.Config(app=app, port=int(os.environ["PORT"]), log_level="info", loop="asyncio")
    server = uvicorn.Server(config=config)
    server.run()
"""

SERVER_SERVE = """
async def main():
    config = uvicorn.Config("main:app", port=int(os.environ["PORT"]), log_level="info")
    server = uvicorn.Server(config)
    await server.serve()

if __name__ == "__main__":
    asyncio.run(main())
"""

SERVER_GATHER = """
async def other():
    await asyncio.sleep(0)

async def main():
    server = uvicorn.Server(uvicorn.Config(app, port=int(os.environ["PORT"]), lifespan="on"))
    await asyncio.gather(server.serve(), other())

if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
"""

SERVER_THREAD = """
class Server(uvicorn.Server):
    def install_signal_handlers(self):
        pass

    @contextlib.contextmanager
    def run_in_thread(self):
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            while not self.started:
                time.sleep(0.001)
            yield
        finally:
            self.should_exit = True
            thread.join()

if __name__ == "__main__":
    port = int(os.environ["PORT"])
    server = Server(config=uvicorn.Config(app, host="127.0.0.1", port=port, log_level="info"))
    with server.run_in_thread():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as response:
            print(response.read().decode(), flush=True)
"""

SERVER_SOCKETS = """
if __name__ == "__main__":
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", int(os.environ["PORT"])))
    uvicorn.Server(uvicorn.Config(app, log_level="info")).run(sockets=[sock])
"""

SERVER_TASK = """
async def main():
    server = uvicorn.Server(uvicorn.Config(app, port=int(os.environ["PORT"]), log_config=None))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["PORT"]))
    writer.write(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
    print((await reader.read()).decode().splitlines()[-1], flush=True)
    writer.close()
    server.should_exit = True
    await task

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="mine %(message)s")
    asyncio.run(main())
"""

PROCESS = """
if __name__ == "__main__":
    process = multiprocessing.Process(
        target=uvicorn.run, args=(app,), kwargs={"port": int(os.environ["PORT"])}, daemon=True)
    process.start()
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    process.join()
"""

LOGGING = """
log_config = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
log_config["formatters"]["access"]["fmt"] = "%(asctime)s - %(levelprefix)s %(request_line)s"

class EndpointFilter(logging.Filter):
    def filter(self, record):
        return record.getMessage().find("/hidden") == -1

if __name__ == "__main__":
    logging.getLogger("uvicorn.access").addFilter(EndpointFilter())
    uvicorn.run(app, port=int(os.environ["PORT"]), log_config=log_config)
"""

CHANGED_LOGGING = """
formatters = uvicorn.config.LOGGING_CONFIG["formatters"]
formatters["default"]["fmt"] = "%(asctime)s %(levelprefix)s %(message)s"
formatters["access"]["fmt"] = "%(asctime)s - %(request_line)s"

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]))
"""

SERVING = {
    "run": RUN,
    "run_by_name": RUN_BY_NAME,
    "run_workers": RUN_WORKERS,
    "run_reload": RUN_RELOAD,
    "run_factory": RUN_FACTORY,
    "server_run": SERVER_RUN,
    "server_serve": SERVER_SERVE,
    "server_gather": SERVER_GATHER,
    "server_sockets": SERVER_SOCKETS,
    "process": PROCESS,
    "logging": LOGGING,
    "changed_logging": CHANGED_LOGGING,
}
"""Programs that serve until SIGTERM."""

ENDING = {"server_thread": SERVER_THREAD, "server_task": SERVER_TASK}
"""Programs that ask their own server once, print the answer and end."""

IMPORTS = """
import asyncio, contextlib, copy, logging, multiprocessing, os, signal, socket, threading, time
import urllib.request
"""


def program(name: str, line: str) -> str:
    """The whole text, with ``line`` as the import of the server."""
    return f"{IMPORTS}{line}\n{APP}{SERVING.get(name) or ENDING[name]}"
