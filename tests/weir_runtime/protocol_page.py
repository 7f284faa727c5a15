"""The tables of docs/protocol.md, for the tests that hold the server against them."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"


@dataclass(frozen=True)
class Table:
    above: str  # the last line of text before it
    head: list[str]
    rows: list[list[str]]


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def read_tables():
    found, above, lines = [], "", iter(PAGE.read_text().splitlines())
    for line in lines:
        if line.startswith("|"):
            head, rows = cells(line), []
            next(lines)
            while (line := next(lines, "")).startswith("|"):
                rows.append(cells(line))
            found.append(Table(above, head, rows))
        elif line:
            above = line
    return found


TABLES = read_tables()


def table(first, second=""):
    """The rows of the one table whose head begins so."""
    (found,) = [each for each in TABLES if each.head[0] == first and each.head[1].startswith(second)]
    return found.rows


def names(cell):
    return re.findall(r"`([^`]+)`", cell)


def first_names(rows):
    return [name for row in rows for name in names(row[0])]
