"""Arithmetic of an app's manifest: how many cores, how long, how much memory, from what the person filled in.

An expression is parsed by Python's own grammar and walked by the whitelist below: numbers, names, + - * / // % **,
comparisons, and/or/not, and the functions min, max, ceil, len, width and size. There is no attribute, index, text,
lambda or call of anything else. Length, number of parts and depth are bounded, and so is every value on the way, so that
no manifest can make the broker think for long. Nothing but `BadExpression` is raised.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: Characters of an expression, parts of its tree, and how deep they are nested.
LONGEST, MOST_PARTS, DEEPEST = 500, 200, 30
#: No value on the way may be larger, and no exponent.
LARGEST, LARGEST_EXPONENT = 1e18, 64
#: What may be called; `size` is answered by the caller: MiB of a file.
FUNCTIONS = ("min", "max", "ceil", "len", "width", "size")

Value = float | int | bool

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}


class BadExpression(ValueError):
    """An expression that is none, or that has no value with these inputs; the message says why."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression. `names` are the names it uses, functions left out."""

    text: str
    names: frozenset[str]
    _tree: ast.expr

    def value(self, values: Mapping[str, Any], size: Callable[[str], float] | None = None) -> Value:
        """What it comes to with these `values` of names; `size` answers size(NAME) with MiB.

        Raises:
            BadExpression: a name has no value, a value has no number, or the result is not a finite number.
        """
        try:
            return _bounded(_Reader(values, size).of(self._tree))
        except (ArithmeticError, TypeError, ValueError) as error:
            raise BadExpression(f"{self.text!r} has no value here: {error}") from None


def parse(text: str) -> Expression:
    """The expression `text`.

    Raises:
        BadExpression: it is none that is allowed.
    """
    if not text.strip() or len(text) > LONGEST:
        raise BadExpression(f"an expression has 1 to {LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser warns of "1is 2"; what is meant is refused below
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise BadExpression('is no expression: an example is "20 + 0.5 * years / cores"') from None
    names: set[str] = set()
    _check(tree, names, 1, [0])
    return Expression(text.strip(), frozenset(names), tree)


def _check(node: ast.expr, names: set[str], depth: int, parts: list[int]) -> None:  # noqa: PLR0912  (one case a kind)
    parts[0] += 1
    if parts[0] > MOST_PARTS or depth > DEEPEST:
        raise BadExpression("is too long or nested too deeply")
    match node:
        case ast.Constant(value=value) if isinstance(value, int | float):
            if not isinstance(value, bool) and not abs(value) <= LARGEST:
                raise BadExpression(f"a number is at most {LARGEST:g}")
            inner: list[ast.expr] = []
        case ast.Name(id=name):
            names.add(name)
            inner = []
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            inner = [left, right]
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
            inner = [operand]
        case ast.BoolOp(values=values):
            inner = values
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
            inner = [left, *others]
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]) if function in FUNCTIONS and arguments:
            if function in ("len", "width", "size") and [type(a) for a in arguments] != [ast.Name]:
                raise BadExpression(f"{function}(...) takes the name of one input")
            if function == "ceil" and len(arguments) != 1:
                raise BadExpression("ceil(...) takes one number")
            inner = arguments
        case _:
            allowed = "numbers, names of inputs, + - * / // % **, comparisons, and, or, not, " + ", ".join(FUNCTIONS)
            raise BadExpression(f"has something in it that is not allowed; allowed are {allowed}")
    for one in inner:
        _check(one, names, depth + 1, parts)


class _Reader:
    """Walks a checked tree."""

    def __init__(self, values: Mapping[str, Any], size: Callable[[str], float] | None) -> None:
        self._values, self._size = values, size

    def of(self, node: ast.expr) -> Value:
        """The number of one part; every part is bounded, so that none grows without end."""
        return _bounded(self._of(node))

    def _of(self, node: ast.expr) -> Any:  # noqa: PLR0911  (one line for each kind of part)
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._number(name)
            case ast.BinOp(left=left, op=op, right=right):
                a, b = self.of(left), self.of(right)
                if isinstance(op, ast.Pow) and abs(b) > LARGEST_EXPONENT:
                    raise ValueError(f"an exponent is at most {LARGEST_EXPONENT}")
                # As floats: 10**18 ** 64 of whole numbers would be computed to its last digit before it is refused.
                return _BINARY[type(op)](float(a), float(b)) if isinstance(op, ast.Pow) else _BINARY[type(op)](a, b)
            case ast.UnaryOp(op=sign, operand=operand):
                return _UNARY[type(sign)](self.of(operand))
            case ast.BoolOp(op=ast.And(), values=parts):
                return all(self.of(part) for part in parts)
            case ast.BoolOp(values=parts):
                return any(self.of(part) for part in parts)
            case ast.Compare(left=left, ops=ops, comparators=others):
                numbers = [self.of(left), *map(self.of, others)]
                return all(_COMPARE[type(op)](numbers[i], numbers[i + 1]) for i, op in enumerate(ops))
            case ast.Call(func=ast.Name(id=function), args=arguments):
                return self._call(function, arguments)
        raise ValueError("an unknown part")

    def _call(self, function: str, arguments: list[ast.expr]) -> Any:
        if function in ("min", "max"):
            return (min if function == "min" else max)([self.of(one) for one in arguments])
        if function == "ceil":
            return math.ceil(self.of(arguments[0]))
        name = arguments[0].id if isinstance(arguments[0], ast.Name) else ""
        value = self._value(name)
        if function == "size":
            return self._size(name) if self._size and value is not None else 0
        if value is None:
            return 0
        if function == "width":
            if not isinstance(value, list | tuple) or len(value) != 2:
                raise ValueError(f"{name} is no range")
            return value[1] - value[0]
        return len(value) if isinstance(value, list | tuple | str) else 1

    def _value(self, name: str) -> Any:
        if name not in self._values:
            raise ValueError(f"{name} has no value")
        return self._values[name]

    def _number(self, name: str) -> Any:
        value = self._value(name)
        if value is None:
            return 0
        if not isinstance(value, int | float):
            raise ValueError(f"{name} is no number")
        return value


def _bounded(value: Any) -> Value:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and abs(value) <= LARGEST:  # false for NaN
        return value
    raise ValueError(f"a value on the way is no number, or larger than {LARGEST:g}")
