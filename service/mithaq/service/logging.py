"""Log lines as JSON, in which only what was declared beforehand can appear.

An event is declared with the names of its fields; anything else is dropped, and so is
a value that is not a number, an instant, a flag or a short token. Free text, bytes and
the messages of exceptions never pass: they are where names and document numbers leak.
The rule: a log line shows what was let out by name, never what was forgotten.
"""

import contextlib
import logging
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

TOKEN: Final = re.compile(r"[A-Za-z0-9._:/@+=,#-]{0,128}")
EVENT_NAME: Final = re.compile(r"[a-z][a-z0-9 -]{2,60}")
FRAMES_MAX: Final = 12
ITEMS_MAX: Final = 64
UNDECLARED: Final = "undeclared event"
DROPPED: Final = "[dropped]"

_EVENTS: dict[str, frozenset[str]] = {}


def declare(name: str, *fields: str) -> str:
    """Let an event with these fields into the log; return its name, to be logged with.

    Called once per event when a module is loaded. Raise ValueError for a name that
    isn't lower-case words, or that is declared already with other fields.
    """
    if EVENT_NAME.fullmatch(name) is None:
        raise ValueError(f"an event's name is a few lower-case words, not {name!r}")
    if _EVENTS.setdefault(name, frozenset(fields)) != frozenset(fields):
        raise ValueError(f"the event {name!r} is declared twice with different fields")
    return name


RPC_FINISHED: Final = declare("call finished", "method", "code", "duration_ms", "peer")
RPC_FAILED: Final = declare("call failed unexpectedly", "method", "reference")
LIBRARY: Final = declare("library message", "logger", "line")


def configure(component: str, *, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send the log of this process to `stream` (standard error), one JSON object a line."""
    processors = filtering(component, now=lambda: datetime.now(UTC))
    structlog.configure(
        processors=[*processors, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(
            file=cast("TextIO", DroppingStream(stream or sys.stderr))
        ),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[LibraryHandler()], level=logging.WARNING, force=True)


class DroppingStream:
    """A stream that drops what cannot be written: a full disk ends the log, not the process.

    A line may be logged anywhere, where no error of a disk or of a journal is expected.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to this stream as long as it takes anything."""
        self._stream = stream

    def write(self, text: str) -> None:
        """Write text, or drop it."""
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """Hand on what was written, or drop it."""
        with contextlib.suppress(OSError):
            self._stream.flush()


def filtering(component: str, *, now: Callable[[], datetime]) -> tuple[Processor, ...]:
    """Return what every line passes before it is written."""
    return structlog.processors.add_log_level, keep_declared, stamped(component, now=now)


def logger() -> FilteringBoundLogger:
    """Return the logger of this process; `info(EVENT, field=value)`."""
    return cast("FilteringBoundLogger", structlog.get_logger())


def keep_declared(_logger: object, _method: str, line: EventDict) -> EventDict:
    """Return the line with nothing in it but what its event declared."""
    fields = _EVENTS.get(str(line.get("event")))
    if fields is None:
        return {"event": UNDECLARED, "level": line.get("level")}
    kept: EventDict = {"event": line["event"], "level": line.get("level")}
    kept.update((name, safe(line[name])) for name in sorted(fields & line.keys()))
    error = line.get("exc_info")
    error = sys.exc_info()[1] if error is True else error
    if isinstance(error, BaseException):
        kept["exception"] = describe_exception(error)
    return kept


def safe(value: object) -> object:
    """Return a value that may be logged, or the mark of one that was dropped."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Enum):
        return safe(value.value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return value if TOKEN.fullmatch(value) else DROPPED
    if isinstance(value, tuple | list):
        items = cast("Sequence[object]", value)
        return [safe(item) for item in items[:ITEMS_MAX]]
    return DROPPED


def describe_exception(error: BaseException) -> dict[str, Any]:
    """Return the classes and the places of an exception and its causes, without any message."""
    chain: list[dict[str, Any]] = []
    seen: BaseException | None = error
    while seen is not None and len(chain) < FRAMES_MAX:
        chain.append({"class": type(seen).__qualname__, "frames": frames_of(seen)})
        seen = seen.__cause__ or seen.__context__
    return {"code": safe(getattr(error, "code", None)), "chain": chain}


def frames_of(error: BaseException) -> list[str]:
    """Return where an exception came from, innermost last."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_MAX:]
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}:{frame.name}" for frame in frames]


def stamped(component: str, *, now: Callable[[], datetime]) -> Processor:
    """Return the processor that adds the instant and the process's part."""

    def stamp(_logger: object, _method: str, line: EventDict) -> EventDict:
        return {"at": now().isoformat(timespec="milliseconds"), "component": component, **line}

    return stamp


class LibraryHandler(logging.Handler):
    """Says that a library logged something, and where; its text may quote anything."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write logger, line, level and the class of the exception, if there is one."""
        error = record.exc_info[1] if record.exc_info else None
        logger().log(
            record.levelno, LIBRARY, logger=record.name, line=record.lineno, exc_info=error
        )


def silence() -> None:
    """Write no log, until `configure` says where to: structlog's own default prints everything."""
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())


silence()
