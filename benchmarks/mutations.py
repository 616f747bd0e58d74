"""The handlers with one change each, for `benchmarks.mutants`: made from their syntax trees.
A change is put in by the code of the function, so that whoever knows the function has it."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sim.engine.handlers import MODULES

MOVED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}


Change = Callable[[Any], None]


@dataclass(frozen=True)
class Mutant:
    """One change to one handler: to a node of its tree, by its number in `ast.walk`. lines: of its statement;
    name: what it is called, which stays as it is when lines move."""

    module: ModuleType
    function: ast.FunctionDef
    lines: range
    node: int
    change: Change
    name: str

    def __str__(self) -> str:
        return self.name

    def put(self) -> None:
        """Puts it in the place of the sound one, for all who know that."""
        tree = copy.deepcopy(self.function)
        self.change(list(ast.walk(tree))[self.node])
        code = ast.Module([tree], [])
        scope = dict(vars(self.module))
        exec(compile(ast.fix_missing_locations(code), str(self.module.__file__), "exec"), scope)
        getattr(self.module, self.function.name).__code__ = scope[self.function.name].__code__


def mutants() -> Iterator[Mutant]:
    """All of them, in the order of the sources."""
    for module in MODULES:
        source = Path(str(module.__file__)).read_text()
        for tree in ast.parse(source).body:
            if isinstance(tree, ast.FunctionDef):
                yield from _of(module, tree, source.splitlines())


def _of(module: ModuleType, tree: ast.FunctionDef, source: list[str]) -> Iterator[Mutant]:
    begins, seen = _statements(tree), Counter[str]()
    place = f"{module.__name__.rpartition('.')[2]}.{tree.name}"
    for node, found in enumerate(ast.walk(tree)):
        for at, what, change in _changes(found):
            lines = begins.get(at, range(at, at + 1))
            name = f"{place}: {what}"
            if not what.startswith("without `"):
                name += f", in `{source[lines[0] - 1].strip()}`"
            seen[name] += 1
            twin = f" ({seen[name]})" if seen[name] > 1 else ""
            yield Mutant(module, tree, lines, node, change, name + twin)


def _statements(tree: ast.FunctionDef) -> dict[int, range]:
    """The lines of the statement that a line belongs to, without those of its body."""
    found: dict[int, range] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            ends = (
                node.body[0].lineno - 1 if isinstance(node, ast.If | ast.While | ast.For) else node.end_lineno
            )
            if not isinstance(node, ast.FunctionDef):
                lines = range(node.lineno, max(ends or 0, node.lineno) + 1)
                found |= dict.fromkeys(lines, lines)
    return found


def _changes(node: ast.AST) -> Iterator[tuple[int, str, Change]]:
    """What may be put wrong at a node: on which line, in words, and how."""
    line = getattr(node, "lineno", 0)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in MOVED:
        other = MOVED[type(node.ops[0])]
        yield line, f"{ast.unparse(node)}: {other.__name__}", lambda it: it.ops.__setitem__(0, other())
    if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Add | ast.Sub):
        turned = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        yield line, f"{ast.unparse(node)}: {type(turned).__name__}", lambda it: setattr(it, "op", turned)
    if isinstance(node, ast.BoolOp):
        joined = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield line, f"{ast.unparse(node)}: {type(joined).__name__}", lambda it: setattr(it, "op", joined)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        value = (not node.value) if isinstance(node.value, bool) else node.value + 1
        yield line, f"{node.value} becomes {value}", lambda it: setattr(it, "value", value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield line, f"{ast.unparse(node)}: without not", lambda it: setattr(it, "op", ast.UAdd())
    bodies = [getattr(node, name, []) for name in ("body", "orelse")]
    for position, body in enumerate(bodies):
        for number, one in enumerate(body if isinstance(body, list) else []):
            if _can_be_left_out(one):
                name = ("body", "orelse")[position]

                def leave_out(it: Any, name: str = name, number: int = number) -> None:
                    getattr(it, name)[number] = ast.copy_location(ast.Pass(), getattr(it, name)[number])

                yield one.lineno, f"without `{ast.unparse(one).splitlines()[0]}`", leave_out


def _can_be_left_out(node: ast.AST) -> bool:
    """Statements that change what is elsewhere; without others a name has no value, which breaks down."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign):
        return not any(isinstance(one, ast.Name) for target in node.targets for one in _parts(target))
    return isinstance(node, ast.AugAssign | ast.Continue | ast.Break)


def _parts(target: ast.expr) -> list[ast.expr]:
    return target.elts if isinstance(target, ast.Tuple) else [target]
