"""The order of the rooms: a module imports from its own room and those below. No import climbs, and none circles."""

import ast
from graphlib import TopologicalSorter

from scripts import ROOT

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


def imports():
    """The modules that each module of the package imports, by their names below it."""
    package = ROOT / "gram_pyro"
    paths = {file: file.relative_to(package).with_suffix("").parts for file in package.rglob("*.py")}
    names = {file: ".".join(parts).removesuffix(".__init__") for file, parts in paths.items() if len(parts) > 1}
    names |= {file: parts[0] for file, parts in paths.items() if len(parts) == 1 and parts[0] != "__init__"}
    known, found = set(names.values()), {}
    for file, name in names.items():
        nodes = [n for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.ImportFrom)]
        ours = [n for n in nodes if n.module and n.module.split(".")[0] == "gram_pyro"]
        named = {f"{n.module}.{alias.name}".removeprefix("gram_pyro.") for n in ours for alias in n.names}
        found[name] = {name if name in known else name.rpartition(".")[0] for name in named}
    return found


def room(module):
    return module.split(".")[0]


def test_every_module_has_a_room():
    assert {room(module) for module in imports()} == set(ROOMS)


def test_no_import_climbs():
    climbing = [
        f"{module} imports {other}"
        for module, others in imports().items()
        for other in others
        if ROOMS.index(room(other)) > ROOMS.index(room(module))
    ]
    assert not climbing


def test_there_is_no_circle():
    assert list(TopologicalSorter(imports()).static_order())
