"""The service: its lock, its schedule, its alerts and its web server, from start to stop."""

from __future__ import annotations

import asyncio
import logging
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import uvicorn
from fastapi import FastAPI

from runtime.archive.lock import hold_archive
from runtime.archive.paths import ArchivePaths
from runtime.common.clock import today
from runtime.common.logs import LogFormat
from runtime.config import Config
from runtime.errors import ArchiveBusy, ConfigError
from service.alerts import Alerts
from service.connections import LimitedConnection, drop_unread_answers, raise_descriptor_limit
from service.metrics import ArchiveCollector
from service.runner import Runner
from service.schedule import FillSchedule
from service.web import application

logger = logging.getLogger(__name__)

_Wait = Callable[[float | None], bool]
"""Waits for a signal to stop, at most so many seconds (None: any time); returns whether one has come."""

_LOCK_RETRY_S = 5
_SHUTDOWN_S = 3
_BACKLOG = 128  # so many connections may be accepted at once before the limit closes some
_KEEP_ALIVE_S = 75  # longer than clients and proxies: a request on a connection that the server just closed is lost


def serve(config: Config, arguments: Sequence[str], log_format: LogFormat = LogFormat.AUTO) -> None:
    """Keep an archive current and answer over HTTP until SIGTERM or SIGINT.

    Parameters
    ----------
    config : Config
        The configuration.
    arguments : sequence of str
        The configuration and its overrides, as the command line of ``runtime fill`` has them.
    log_format : LogFormat
        Format of the runs' logs.

    Raises
    ------
    ConfigError
        The configured address cannot be listened on.
    ArchiveError
        The archive's folder cannot be written.
    """
    raise_descriptor_limit()
    runner = Runner(arguments, log_format)
    with _stop_signals() as wait, ExitStack() as stack:
        if _hold_service_lock(config, stack, wait):
            _run_until_stopped(config, runner, wait)


@contextmanager
def _stop_signals() -> Iterator[_Wait]:
    """Yield a function that waits for SIGTERM or SIGINT.

    The kernel may deliver a signal to any thread, but Python's handlers run in the main thread, once it wakes up. If
    the main thread waits for an event that only the handler sets, it may never wake up. So the thread that takes the
    signal writes to the wake-up socket, and the main thread waits for that.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    with receiver, sender:
        before = signal.set_wakeup_fd(sender.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        try:
            yield lambda seconds: bool(select.select([receiver], [], [], seconds)[0])
        finally:
            signal.set_wakeup_fd(before)


def _hold_service_lock(config: Config, stack: ExitStack, wait: _Wait) -> bool:
    """Wait until no other service serves the archive; return False if a signal to stop comes before that."""
    is_first = True
    while True:
        try:
            stack.enter_context(hold_archive(ArchivePaths.of(config).service_lock, "serves"))
            return True
        except ArchiveBusy as busy:
            if is_first:
                logger.warning("%s; waiting", busy)
            is_first = False
            if wait(_LOCK_RETRY_S):
                return False


def _run_until_stopped(config: Config, runner: Runner, wait: _Wait) -> None:
    """Start the schedule, the alerts and the web server; stop them when a signal comes."""
    schedule = FillSchedule(config, runner)
    collector = ArchiveCollector(config, runner, today)
    app = application(config, runner, schedule, collector)
    with listening(config, app) as address:
        schedule.scheduler.start()
        logger.info(
            "listening on %s; filling now, then every day at %s UTC; stop with SIGTERM", address, config.service.run_at
        )
        with Alerts(config, runner, schedule).watching():
            wait(None)
        runner.stop()
        schedule.scheduler.shutdown()


class _Server(uvicorn.Server):
    """A web server that leaves no connection open when it stops."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; connections that were accepted after all others had been asked to close are cut off at the end."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                transport.abort()
        await asyncio.sleep(0)  # transports close their sockets in the next turn of the loop


@contextmanager
def listening(config: Config, app: FastAPI) -> Iterator[str]:
    """Serve an application over HTTP, in a thread.

    Parameters
    ----------
    config : Config
        Its section ``[service]`` has host and port.
    app : FastAPI
        The application.

    Yields
    ------
    str
        The address it listens on, with the port that was chosen if the configured one is 0.

    Raises
    ------
    ConfigError
        The configured address cannot be listened on.
    """
    host, port = config.service.host, config.service.port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        # Without it each answer waits 40 ms for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        drop_unread_answers(listener)
    except OSError as error:
        raise ConfigError(
            f"{host} port {port} cannot be listened on ({error.strerror}); set service.host and service.port"
        ) from error
    settings = uvicorn.Config(
        app,
        http=LimitedConnection,
        ws="none",
        backlog=_BACKLOG,
        log_config=None,  # uvicorn's log goes where the service's goes
        log_level=logging.WARNING,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    server = _Server(settings)
    thread = threading.Thread(target=server.run, args=([listener],), name="web", daemon=True)
    thread.start()
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_SHUTDOWN_S + 2)
        listener.close()
