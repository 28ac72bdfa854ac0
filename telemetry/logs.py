"""Log set-up: structured, levelled, limited, and without secrets."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, Literal, TextIO

import structlog

from telemetry.limits import LOG_BURST, LOG_WINDOW_SECONDS, TRACE_BURST, RateLimit
from telemetry.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from structlog.typing import EventDict

_QUIET: Final = (
    "pykka", "yoyo", "waitress", "urllib3", "websocket", "websockets", "psycopg", "werkzeug",
)  # fmt: skip
_LAYOUT: Final = frozenset("\n\t")
"""Of tracebacks."""


class _LimitFilter(logging.Filter):
    """Drops records past the rate limit; a record that passes says how many were dropped."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._limit = RateLimit(LOG_BURST, LOG_WINDOW_SECONDS)
        self._traces = RateLimit(TRACE_BURST, LOG_WINDOW_SECONDS)
        self._clock = clock

    def filter(self, record: logging.LogRecord) -> bool:
        limit = self._traces if _is_trace(record) else self._limit
        suppressed = limit.admit(_limit_key(record), self._clock())
        record.suppressed = suppressed
        return suppressed is not None


class _Handler(logging.StreamHandler[TextIO]):
    """The one handler that `configure_logging` adds, and takes away when it is called again."""


def configure_logging(
    level: str,
    log_format: Literal["console", "json"],
    stream: TextIO,
    secrets: Iterable[str] | Redactor = (),
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Send the logs of structlog and of the standard library to a stream, one event a line.

    Times are UTC. Of one event name and actor at most 5 lines go out in 10 s; the next one after
    that says in `suppressed` how many did not. An event with the field `trace=True` was asked for
    line by line: of these 2,000 go out. Colours appear on a terminal only. Changes the
    configuration of the whole process; calling it again replaces what it did before.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        log_format: `console` for people, `json` for machines.
        stream: Where to; it stays open.
        secrets: Texts to mask wherever they occur, such as `settings.secret_values` gives; or a
            redactor, which can learn more of them later.
        clock: Monotonic seconds, for the rate limit.
    """
    handler = _Handler(stream)
    handler.addFilter(_LimitFilter(clock))
    redactor = secrets if isinstance(secrets, Redactor) else Redactor(secrets)
    handler.setFormatter(_formatter(log_format, stream, redactor))
    root = logging.getLogger()
    for old in [known for known in root.handlers if isinstance(known, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    set_log_level(level)
    structlog.configure(
        processors=[
            # Not in the wrapper class, which those who have a logger keep when the level changes.
            structlog.stdlib.filter_by_level,
            *_COMMON,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("DEBUG"),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def set_log_level(level: str) -> None:
    """Log from this level on, in the whole process; those who have a logger keep it."""
    root = logging.getLogger()
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # Whoever asked the pool for a connection reports the outage, once and in its own words.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


_COMMON: Final[tuple[structlog.typing.Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def _formatter(
    log_format: Literal["console", "json"], stream: TextIO, redactor: Redactor
) -> logging.Formatter:
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(default=repr)
    if log_format == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_COMMON, _name_logger],
        processors=[
            _say_suppressed,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # As text before the masking: a traceback is where secrets hide.
            structlog.processors.format_exc_info,
            _masking_values(redactor),
            renderer,
            _masking_line(redactor, stream.encoding or "utf-8"),
        ],
    )


def _masking_values(redactor: Redactor) -> structlog.typing.Processor:
    def mask(_logger: object, _method: str, event: EventDict) -> EventDict:
        return {key: _harmless(redactor.value(value)) for key, value in event.items()}

    return mask


def _masking_line(redactor: Redactor, encoding: str) -> structlog.typing.Processor:
    # Again on the finished line, for what only became text in it; and so that no name of a coin, be
    # it half a surrogate pair, can make the stream refuse the line.
    def mask(_logger: object, _method: str, line: object) -> str:
        return redactor.text(str(line)).encode(encoding, "backslashreplace").decode(encoding)

    return mask


def _harmless(value: object) -> object:
    """Spell out what does not print: a coin's name could rewrite a terminal, or turn a line round.

    Also what turns the direction of writing (U+202E), and blanks that look like nothing.
    """
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(c if c.isprintable() or c in _LAYOUT else _spelled_out(c) for c in value)


def _spelled_out(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def _say_suppressed(_logger: object, _method: str, event: EventDict) -> EventDict:
    event.pop("trace", None)
    suppressed = getattr(event.get("_record"), "suppressed", 0)
    return {**event, "suppressed": suppressed} if suppressed else event


def _name_logger(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {**event, "logger": event["_record"].name}


def _is_trace(record: logging.LogRecord) -> bool:
    message: object = record.msg
    return isinstance(message, dict) and message.get("trace") is True


def _limit_key(record: logging.LogRecord) -> tuple[str, ...]:
    """Say what counts as the same event: its name and actor, or a library's logger and template."""
    message: object = record.msg
    if isinstance(message, dict):
        return str(message.get("event")), str(message.get("actor")), record.levelname
    return record.name, str(message), record.levelname
