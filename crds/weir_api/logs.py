"""Logs for machines: one JSON object a line on stderr, the runtime's and the operator's alike.

Never in a log: transcript, audio, API key, Secret, query string. What is logged is named field by field.
"""

import json
import logging
import sys
from collections.abc import Iterable

LEVELS = ("debug", "info", "warning", "error")


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line |= fields
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logs(level: str, noisy: Iterable[str] = ()) -> None:
    """Everything of this process, libraries' own words too, goes to stderr as JSON lines of at least `level`; of the
    loggers named `noisy` only warnings.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in noisy:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def log(level: int, event: str, **fields: object) -> None:
    """One line; `event` is a short fixed phrase, what varies goes into `fields`."""
    logging.getLogger("weir").log(level, event, extra={"fields": fields})
