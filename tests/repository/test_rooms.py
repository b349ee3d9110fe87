"""The order of the rooms: a module imports from its own room and those below. No import climbs, and none circles."""

import subprocess
import sys

from rooms import circles, imports, room, rooms
from scripts import ROOT

PACKAGE = ROOT / "gram_pyro"
ROOMS = [  # from the ground up
    "storage",
    "tasks",
    "networks",
    "distributions",
    "priors",
    "model",
    "guide",
    "inference",
    "contract",
    "training",
    "evaluation",
    "baselines",
    "plots",
    "harness",
    "benchmark",
    "app",
    "__main__",
]


def test_every_module_has_a_room():
    assert {room(module) for module in imports(PACKAGE)} == set(ROOMS)


def test_no_import_climbs():
    climbing = [f"{a} imports {b}" for a, b in imports(PACKAGE).edges if ROOMS.index(room(a)) < ROOMS.index(room(b))]
    assert not climbing


def test_there_is_no_circle():
    assert circles(imports(PACKAGE)) == circles(rooms(imports(PACKAGE))) == 0


def test_a_circle_and_a_climb_are_seen(tmp_path):
    package = tmp_path / "gram_pyro"
    for name, text in {
        "tasks/a": "from gram_pyro.harness.b import f",
        "harness/b": "from gram_pyro.tasks import a",
        "model": "from gram_pyro.tasks.a import g",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / f"{name}.py").write_text(text)
    assert set(imports(package).edges) == {("tasks.a", "harness.b"), ("harness.b", "tasks.a"), ("model", "tasks.a")}
    assert circles(imports(package)) == circles(rooms(imports(package))) == 1
    printed = subprocess.run(
        [sys.executable, ROOT / "tests/support/rooms.py", tmp_path], capture_output=True, text=True, check=True
    ).stdout
    assert printed.split()[:3] == ["3", "rooms", "3"] and "1 circles of modules" in printed
