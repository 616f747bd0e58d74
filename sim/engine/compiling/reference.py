"""Nested named tuples of arrays by reference: what compiled handlers hand to each other is one pointer.
By value, Numba copies seven numbers for each of a hundred arrays wherever one handler calls another."""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import extending
from numba.core import imputils
from numba.core.typing.templates import AttributeTemplate

types: Any = numba.types
_extending: Any = extending
_imputils: Any = imputils


class Reference(types.Type):  # type: ignore[misc]
    """A pointer to a named tuple that nobody changes; its fields are read through it."""

    def __init__(self, target: Any) -> None:
        self.target = target
        super().__init__(name=f"Reference({target})")

    def field(self, name: str) -> Any:
        """The type of a field: a reference to a named tuple, anything else as it is; None: there is none."""
        if name not in self.target.fields:
            return None
        found = self.target.types[self.target.fields.index(name)]
        return Reference(found) if isinstance(found, types.BaseNamedTuple) else found


_extending.register_model(Reference)(_extending.models.OpaqueModel)


@_extending.infer_getattr
class _Fields(AttributeTemplate):
    key = Reference

    def generic_resolve(self, typ: Reference, attr: str) -> Any:  # type: ignore[override]
        return typ.field(attr)


def _read(context: Any, builder: Any, owner: Reference, pointer: Any, name: str) -> Any:
    place = owner.target.fields.index(name)
    target = builder.bitcast(pointer, context.get_value_type(owner.target).as_pointer())
    field = builder.gep(target, [ir.IntType(32)(0), ir.IntType(32)(place)], inbounds=True)
    found = owner.field(name)
    if isinstance(found, Reference):
        return builder.bitcast(field, context.get_value_type(found))
    return _imputils.impl_ret_borrowed(context, builder, found, builder.load(field))


_imputils.lower_getattr_generic(Reference)(_read)


def _by_reference(_typing: Any, target: Any) -> Any:
    """A reference to a named tuple, good for as long as the calling function runs."""

    def store(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        with builder.goto_entry_block():
            place = builder.alloca(context.get_value_type(target))
        builder.store(arguments[0], place)
        return builder.bitcast(place, context.get_value_type(signature.return_type))

    return Reference(target)(target), store


by_reference: Any = _extending.intrinsic(_by_reference)
