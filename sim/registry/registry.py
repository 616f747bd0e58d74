"""The mechanism: families of kinds, in the order of registration, and what other packages add to a kind.
Below everything: the schema, the rules, the pages and the contract tests are made from what stands here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import reduce
from operator import or_
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from pydantic import Field

from sim.errors import BadInput
from sim.scenario.schema.values import Part, as_it_stands

Entry = TypeVar("Entry")

Examples = Mapping[str, Mapping[str, Any]]

FAMILIES: dict[str, Family[Any]] = {}


class Kind(Part):
    """A part of the scenario that is one of several kinds: with its keys, its facts and its code.

    examples: how it may be written, by a name of their own and without the tag; the contract tests of its
    family try them all. A kind without any is tried without any key.
    """

    examples: ClassVar[Examples] = {}


KindType = TypeVar("KindType", bound=Kind)


def rebuild() -> None:
    """Builds the schema of every part of a scenario anew, with the kinds that there are now."""
    for part in Part.in_order:
        part.model_rebuild(force=True)


class Table(Mapping[str, Entry]):
    """Entries by name. noun: what a message calls one."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._entries: dict[str, Entry] = {}

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def choose(self, name: str, path: str) -> Entry:
        """The entry called `name`.

        Raises BadInput, one line with the scenario's `path`, the value, the choices and the nearest one.
        """
        if name in self:
            return self[name]
        near = get_close_matches(name, self, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise BadInput(f"{path}: '{name}' is not a known {self.noun} ({', '.join(self)}){hint}")

    def remove(self, name: str) -> Entry:
        """Takes back what was registered from outside."""
        return self._entries.pop(name)

    def _add(self, name: str, entry: Entry) -> None:
        if name in self._entries:
            raise ValueError(f"there is a {self.noun} '{name}' already")
        self._entries[name] = entry


class Family(Table[Entry]):
    """All kinds of one sort, such as the scores. `register` adds one; its order is that of registration.

    entries: to begin with, each with its `name`. is_open: whether researchers bring more, see
    `commands.plugins`.
    """

    def __init__(self, name: str, noun: str, *entries: Entry, is_open: bool = False) -> None:
        super().__init__(noun)
        self.name, self.is_open = name, is_open
        if name in FAMILIES:
            raise ValueError(f"there is a family '{name}' already")
        FAMILIES[name] = self
        for entry in entries:
            self.register(entry.name, entry)  # type: ignore[attr-defined]

    def register(self, name: str, entry: Entry) -> Entry:
        """Adds a kind. Raises ValueError if the name is taken."""
        self._add(name, entry)
        return entry

    def literal(self) -> Any:
        """The type of a key that holds one of the names."""
        return as_it_stands(lambda: Literal[tuple(self)])


class PartFamily(Family[type[KindType]]):
    """Kinds that are written as a part of the scenario: the part is the entry, with its facts and its code.

    tag: the key of the part that says which of them is meant; its literal is the kind's name.
    """

    def __init__(self, name: str, noun: str, tag: str = "kind", is_open: bool = False) -> None:
        super().__init__(name, noun, is_open=is_open)
        self.tag = tag

    def part(self, part: type[KindType]) -> type[KindType]:
        """Registers a part under the name that its tag says; a decorator."""
        (name,) = get_args(part.model_fields[self.tag].annotation)
        return self.register(name, part)

    def register(self, name: str, entry: type[KindType]) -> type[KindType]:
        """Adds a kind. Raises ValueError if the name is taken, or is not what the part's tag says."""
        if get_args(entry.model_fields[self.tag].annotation) != (name,):
            raise ValueError(
                f"{entry.__name__} cannot be the {self.noun} '{name}': its {self.tag} says otherwise"
            )
        return super().register(name, entry)

    def examples(self) -> dict[str, dict[str, Any]]:
        """Every kind as it may be written, by the examples' names."""
        return {
            name: {self.tag: kind, **keys}
            for kind, part in self.items()
            for name, keys in (part.examples or {kind: {}}).items()
        }

    def union(self) -> Any:
        """The type of a key that may hold any of them."""
        return as_it_stands(lambda: Annotated[reduce(or_, self.values()), Field(discriminator=self.tag)])


class Code(Table[Entry]):
    """What a package does for the kinds of a family that is declared elsewhere, in the family's order.

    The law, which a test holds: every kind that needs code has it, and no code is for a kind that there is
    not.
    """

    def __init__(self, family: Family[Any]) -> None:
        super().__init__(family.noun)
        self._family = family

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._family if name in self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def attach(self, name: str, code: Entry) -> Entry:
        """Adds the code of a kind. Raises ValueError unless the kind is declared and has none yet."""
        if name not in self._family:
            raise ValueError(f"there is no {self.noun} '{name}'; register it first")
        self._add(name, code)
        return code

    def of(self, *names: str) -> Callable[[Entry], Entry]:
        """A decorator: what follows is the code of these kinds."""

        def attached(code: Entry) -> Entry:
            for name in names:
                self.attach(name, code)
            return code

        return attached


def nearest_of(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is none of these."""
    near = get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}"
