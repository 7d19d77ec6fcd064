"""A pytest plugin: leaves out the tests that `excluded.txt` names.

Invariant: every line of `excluded.txt` leaves out at least one test, so the list cannot outlive its reasons.
"""

from pathlib import Path

import pytest

LIST = Path(__file__).with_name("excluded.txt")


def excluded():
    """Test names below `tests/`: a file, or file::Class::test."""
    lines = (line.strip() for line in LIST.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pytest_ignore_collect(collection_path):
    if collection_path.name in {name for name in excluded() if "::" not in name}:
        return True


def pytest_collection_modifyitems(config, items):
    names = [name for name in excluded() if "::" in name]
    stays, left_out, used = [], [], set()
    for item in items:
        path = "::".join([item.path.name, *item.nodeid.split("::")[1:]])
        found = [name for name in names if path == name or path.startswith(f"{name}::")]
        used.update(found)
        (left_out if found else stays).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = stays
    files = {item.path.parent for item in (*stays, *left_out)}
    missing = [name for name in excluded() if "::" not in name and not any((at / name).exists() for at in files)]
    missing += [name for name in names if name not in used]
    if missing:
        raise pytest.UsageError(f"excluded.txt names what the suite does not have: {missing}")
