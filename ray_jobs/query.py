"""Conditions on heads, as text: `age_years > 60 and glasses and sex == 'female'`.

The language is the part of Python's that compares columns of the index: `and`, `or`, `not`,
comparisons (also chained), `in` (also `'bpy:city' in assets`), `is None`, numbers and text. It is
parsed by `ast` and translated node by node into a filter of pyarrow, which reads only the columns
and row groups that it needs; nothing of it is ever executed.

A comparison with a column that is null for a head (the shape of the glasses of someone without) is
neither true nor false, as in SQL: neither it nor its `not` finds the head; `is None` does.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ray_jobs.index_schema import Column, column_named
from synth.config import did_you_mean
from synth.errors import InputError

if TYPE_CHECKING:
    import pyarrow.compute as compute

_COMPARE = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_TYPES = {"text": (str,), "integer": (int, float), "number": (int, float), "yes/no": (bool,)}
_LARGEST = 2**63 - 1
_FOR_EXAMPLE = "write for example \"age_years > 60 and glasses and sex == 'female'\""


@dataclass(frozen=True)
class Condition:
    """A parsed condition.

    Attributes:
        text: as it was typed.
        filter: for `pyarrow.dataset`.
        values: what it compares, by name, in the order of their first mention.
    """

    text: str
    filter: compute.Expression
    values: Mapping[str, compute.Expression]


def parse_condition(
    text: str, columns: Mapping[str, Column], labels: Mapping[str, Sequence[str]]
) -> Condition:
    """Parse a condition.

    Args:
        text: the condition.
        columns: of the index, by name.
        labels: of each column of numbers by label, the labels that occur.

    Raises:
        InputError: it is no condition; names the part that is wrong, and the nearest column.
    """
    translator = _Translator(text, columns, labels)
    try:
        found = translator.truth(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError as error:
        rest = text.strip()[error.offset - 1 :] if error.offset else ""  # 0: at the end
        where = f" from {rest!r} on" if rest else ""
        raise InputError(
            f"condition {text!r} cannot be read{where}: {error.msg}; {_FOR_EXAMPLE}"
        ) from error
    except ValueError as error:  # a null character
        raise InputError(f"condition {text!r} cannot be read: {error}") from error
    except (RecursionError, MemoryError) as error:
        raise InputError("the condition is nested too deeply") from error
    return Condition(text, found, translator.used)


@dataclass(frozen=True)
class _Value:
    """A column of the index, or a part of one."""

    name: str
    kind: str
    field: compute.Expression


class _Translator:
    """Turns the nodes of one condition into an expression of pyarrow."""

    def __init__(
        self, text: str, columns: Mapping[str, Column], labels: Mapping[str, Sequence[str]]
    ):
        self.used: dict[str, compute.Expression] = {}
        self._text, self._columns, self._labels = text, columns, labels

    def truth(self, node: ast.expr) -> compute.Expression:
        """What is true or false of a head."""
        if isinstance(node, ast.BoolOp):
            join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
            return functools.reduce(join, map(self.truth, node.values))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.truth(node.operand)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            parts = map(self._comparison, sides, node.ops, sides[1:])
            return functools.reduce(operator.and_, parts)
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
            value = self._column(node)
            if value.kind == "yes/no":
                return value.field
            raise self._error(f"{value.name} is {value.kind}: compare it with something")
        raise self._unknown(node)

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> compute.Expression:
        if _is_constant(left) and not _is_constant(right):
            if isinstance(op, ast.In | ast.NotIn):
                return self._membership(left, op, right)
            return self._comparison(right, _mirrored(op), left)
        value = self._column(left)
        if isinstance(op, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Constant) and right.value is None):
                raise self._error("`is` goes with None only; compare with ==")
            return value.field.is_null() if isinstance(op, ast.Is) else value.field.is_valid()
        if value.kind not in _TYPES:
            raise self._error(f"{value.name} is {value.kind}, which cannot be compared")
        if isinstance(op, ast.In | ast.NotIn):
            if not (isinstance(right, ast.Tuple | ast.List | ast.Set) and right.elts):
                values = "20, 30" if _is_number(value) else "'a', 'b'"
                raise self._error(f"`{value.name} in` needs a list such as [{values}]")
            chosen = value.field.isin([self._constant(item, value) for item in right.elts])
            return chosen if isinstance(op, ast.In) else ~chosen & value.field.is_valid()
        if value.kind in ("text", "yes/no") and type(op) in _SIGNS:
            raise self._error(f"{value.name} is {value.kind}: {_SIGNS[type(op)]} does not apply")
        if isinstance(right, ast.Name) and right.id not in self._columns:
            raise self._wrong_value(value, right)
        if isinstance(right, ast.Name | ast.Attribute | ast.Subscript):
            other = self._column(right)
            if _TYPES.get(other.kind) != _TYPES[value.kind]:
                raise self._error(f"{value.name} is {value.kind}, {other.name} is {other.kind}")
            return _COMPARE[type(op)](value.field, other.field)
        return _COMPARE[type(op)](value.field, self._constant(right, value))

    def _membership(self, item: ast.expr, op: ast.cmpop, node: ast.expr) -> compute.Expression:
        """`'bpy:city' in assets`."""
        import pyarrow.compute as compute

        value = self._column(node)
        if value.kind != "texts":
            raise self._error(
                f"{value.name} is {value.kind} and has nothing in it; write `{value.name} == ...`"
            )
        if not (isinstance(item, ast.Constant) and isinstance(item.value, str)):
            raise self._error(f"{value.name} is texts, {ast.unparse(item)} is none")
        # pyarrow has no kernel for it
        end, joined = compute.scalar("\n"), compute.binary_join(value.field, "\n")
        lines = compute.binary_join_element_wise(end, joined, end, compute.scalar(""))
        found = compute.match_substring(lines, f"\n{item.value}\n")
        return found if isinstance(op, ast.In) else ~found

    def _constant(self, node: ast.expr, value: _Value) -> Any:
        """A number or a text that a column may be compared with."""
        sign = 1
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            sign = -1 if isinstance(node.op, ast.USub) else 1
            node = node.operand
        if not isinstance(node, ast.Constant):
            raise self._unknown(node)
        if node.value is None:
            raise self._error(f"write `{value.name} is None`, or `is not None`")
        number = _is_number(value)
        allowed = isinstance(node.value, _TYPES[value.kind]) and not (
            number and isinstance(node.value, bool)
        )
        if not allowed or (sign < 0 and not number):
            raise self._wrong_value(value, node)
        if isinstance(node.value, int) and node.value > _LARGEST:
            raise self._error(f"{node.value} is too large")
        return sign * node.value if number else node.value

    def _wrong_value(self, value: _Value, node: ast.expr) -> InputError:
        """A column is compared with what it can never be; often quotes are missing."""
        remedy = ""
        if value.kind == "yes/no":
            remedy = f"; write `{value.name}`, or `not {value.name}`"
        elif value.kind == "text" and isinstance(node, ast.Name):
            remedy = f"; a text has quotes, {node.id!r}"
        return self._error(f"{value.name} is {value.kind}, {ast.unparse(node)} is not{remedy}")

    def _column(self, node: ast.expr) -> _Value:
        import pyarrow.compute as compute

        keys = self._keys(node)
        parent, label = ".".join(keys[:-1]), keys[-1]
        if parent in self._columns and self._columns[parent].kind == "numbers by label":
            known = self._labels.get(parent, ())
            if label not in known:
                raise self._error(f"no {label!r} in {parent}{did_you_mean(label, known)}")
            found = compute.map_lookup(compute.field(parent), label, "first")
            return self._value(".".join(keys), "number", compute.coalesce(found, 0.0))
        try:
            column = column_named(".".join(keys), self._columns)
        except InputError as error:
            inside = [parent for parent, known in self._labels.items() if label in known]
            hint = f"there is {inside[0]}.{label}; " if inside else ""
            raise self._error(f"{error}; {hint}{_FOR_EXAMPLE}") from None
        return self._value(column.name, column.kind, compute.field(column.name))

    def _value(self, name: str, kind: str, field: compute.Expression) -> _Value:
        self.used[name] = field
        return _Value(name, kind, field)

    def _keys(self, node: ast.expr) -> list[str]:
        """`a.b`, and `a['b']` for what is no Python name."""
        if isinstance(node, ast.Name):
            return [node.id]
        if isinstance(node, ast.Attribute):
            return [*self._keys(node.value), node.attr]
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            return [*self._keys(node.value), str(node.slice.value)]
        raise self._unknown(node)

    def _unknown(self, node: ast.expr) -> InputError:
        return self._error(
            f"{ast.unparse(node)!r} is none of: a column, a comparison, and, or, not, in, is None"
        )

    def _error(self, message: str) -> InputError:
        return InputError(f"condition {self._text!r}: {message}")


def _is_number(value: _Value) -> bool:
    return _TYPES[value.kind] == (int, float)


def _is_constant(node: ast.expr) -> bool:
    """A number, with or without a sign, a text, or None."""
    return isinstance(node.operand if isinstance(node, ast.UnaryOp) else node, ast.Constant)


def _mirrored(op: ast.cmpop) -> ast.cmpop:
    """The comparison with its sides exchanged."""
    swapped = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
    return swapped.get(type(op), type(op))()
