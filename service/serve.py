"""The service: one holder of an archive, its schedule, its alerts and its web server, until told to stop."""

from __future__ import annotations

import datetime as dt
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import uvicorn
from fastapi import FastAPI

from runtime.archive.lock import hold_archive
from runtime.config import Config
from runtime.errors import ArchiveBusy, ConfigError
from service.alerts import Alerts
from service.metrics import ArchiveCollector
from service.runs import FillRun, FillSchedule, Runner
from service.web import application

_Wait = Callable[[float | None], bool]

_ASK_AGAIN_S = 5
_KEEP_ALIVE_S = 75  # longer than clients and proxies keep theirs: whoever closes first decides which request is lost


def serve(config: Config, arguments: Sequence[str]) -> None:
    """Run until SIGTERM or SIGINT.

    Parameters
    ----------
    arguments : the configuration and its overrides, as the runs' command lines want them

    Raises
    ------
    ConfigError
        The address cannot be listened on.
    """
    with _signals() as stopped, ExitStack() as held:
        if _alone(config, held, stopped):
            _keep(config, arguments, stopped)


@contextmanager
def _signals() -> Iterator[_Wait]:
    """Yield a function that waits for SIGTERM or SIGINT, and returns whether one has come.

    The kernel may give a signal to any thread, but Python's handlers run in the main one, when it wakes up: if it waits
    for what a handler does, maybe never. Whichever thread takes the signal writes to the wake-up socket.
    """
    told, tell = socket.socketpair()
    tell.setblocking(False)
    with told, tell:
        before = signal.set_wakeup_fd(tell.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        try:
            yield lambda seconds: bool(select.select([told], [], [], seconds)[0])
        finally:
            signal.set_wakeup_fd(before)


def _alone(config: Config, held: ExitStack, stopped: _Wait) -> bool:
    """Wait until no other service keeps the archive; return False if told to stop before."""
    told = False
    while True:
        try:
            held.enter_context(hold_archive(config.catalog_path.with_name("service"), "serves"))
            return True
        except ArchiveBusy as busy:
            if not told:
                print(f"{busy}; waiting", flush=True)
            told = True
            if stopped(_ASK_AGAIN_S):
                return False


def _keep(config: Config, arguments: Sequence[str], stopped: _Wait) -> None:
    alerts = Alerts(config)

    def ended(run: FillRun) -> None:
        if run.exit_code is not None:
            collector.count_run(run.exit_code)
        alerts.exit_code = run.exit_code
        alerts.look()

    runner = Runner(arguments, ended)
    schedule = FillSchedule(config, runner, alerts.look)
    collector = ArchiveCollector(config, runner, lambda: dt.datetime.now(dt.UTC).date())
    with _listening(config, application(config, runner, schedule, collector)) as address:
        schedule.scheduler.start()
        print(
            f"listening on {address}; filling now, then every day at {config.service.run_at} UTC; stop with SIGTERM",
            flush=True,
        )
        stopped(None)
        runner.stop()
        schedule.scheduler.shutdown()


@contextmanager
def _listening(config: Config, app: FastAPI) -> Iterator[str]:
    host, port = config.service.host, config.service.port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.create_server((host, port), family=family)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each answer waits 40 ms for an acknowledgement
    except OSError as error:
        raise ConfigError(
            f"{host} port {port} cannot be listened on ({error.strerror}); set service.host and service.port"
        ) from error
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", timeout_keep_alive=_KEEP_ALIVE_S
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, args=([bound],), name="web", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(5)
        bound.close()
