"""The Expression of GetPartitions, made into a condition that the store's SQL evaluates.

    or         := and (OR and)*
    and        := not (AND not)*
    not        := NOT not | "(" or ")" | comparison
    comparison := column operator literal | literal operator column
                | column [NOT] IN "(" literal ("," literal)* ")"
                | column [NOT] BETWEEN literal AND literal
                | column [NOT] LIKE string | column IS [NOT] NULL
    column     := name | "(" column ")"

Values are compared as the partition key's type. Sources: the API reference of GetPartitions,
and what AWS's Glue client for Hive and Spark sends: `(year) IN (1)`, `name = 'it\\'s'`.
Literals become parameters, so nothing of the expression's text reaches the SQL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from sagestack.glue.errors import InvalidInputException
from sagestack.glue.partition_type import TYPES, PartitionType, base_name

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""How Hive writes a partition value that is NULL."""

TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:\\'|''|[^'])*')
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<word>\w+|`[^`]+`|"[^"]+")
    | (?P<symbol><\s*>|!=|<=|>=|[=<>(),])
    )""",
    re.VERBOSE,
)
KEYWORDS = {"AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "NULL"}
FLIPPED = {"=": "=", "<>": "<>", "<": ">", ">": "<", "<=": ">=", ">=": "<="}

Values = tuple[Any, ...]
Condition = tuple[str, Values]
"""SQL and its parameters."""


@dataclass(frozen=True)
class PartitionFilter:
    """Which partitions an expression wants, as a condition on their records."""

    condition: Condition
    compared: tuple[Column, ...]
    """The keys whose values it compares: each has to be of its key's type."""


def filter_of(expression: str, keys: Sequence[Mapping[str, str]]) -> PartitionFilter:
    """The filter, for a table with these PartitionKeys. Raises InvalidInputException."""
    parser = _Parser(expression, keys)
    try:
        return PartitionFilter(parser.parse(), tuple(parser.compared))
    except RecursionError:
        raise InvalidInputException("The expression is nested too deeply.") from None


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str

    def is_(self, *texts: str) -> bool:
        return self.kind in ("keyword", "symbol") and self.text in texts


@dataclass(frozen=True)
class Column:
    """A partition key in an expression."""

    index: int
    type: PartitionType

    @property
    def raw(self) -> str:
        return f"json_extract(document, '$.Values[{self.index}]')"

    @property
    def sql(self) -> str:
        """The value in its type. NULL, where Hive's mark for it can't be of that type."""
        return self.type.sql.format(self._value)

    @property
    def unreadable(self) -> str:
        """The condition for a value that is not of the type."""
        return f"NOT ({self.type.readable.format(self._value)})"

    @property
    def _value(self) -> str:
        return self.raw if self.type.is_text else f"NULLIF({self.raw}, '{NO_VALUE}')"


class _Parser:
    def __init__(self, expression: str, keys: Sequence[Mapping[str, str]]) -> None:
        self._expression = expression
        self._keys = {key["Name"].lower(): (n, key) for n, key in enumerate(keys)}
        self.compared: dict[Column, None] = {}
        self._tokens = [*self._tokenize(), _Token("end", "")]
        self._next = 0

    def parse(self) -> Condition:
        condition = self._or()
        if self._peek().kind != "end":
            self._fail()
        return condition

    def _or(self) -> Condition:
        return self._joined("OR", self._and)

    def _and(self) -> Condition:
        return self._joined("AND", self._not)

    def _joined(self, word: str, operand: Any) -> Condition:
        conditions = [operand()]
        while self._accept(word):
            conditions.append(operand())
        if len(conditions) == 1:
            only: Condition = conditions[0]
            return only
        sql = f" {word} ".join(sql for sql, _ in conditions)
        return f"({sql})", tuple(value for _, values in conditions for value in values)

    def _not(self) -> Condition:
        if self._accept("NOT"):
            sql, values = self._not()
            return f"NOT ({sql})", values
        if not self._parenthesised_column() and self._accept("("):
            condition = self._or()
            self._expect(")")
            return condition
        return self._comparison()

    def _parenthesised_column(self) -> bool:
        """Whether the parentheses that come next are a column's own."""
        name = self._next
        while self._tokens[name].is_("("):
            name += 1
        if self._tokens[name].kind != "word":
            return False
        closing = self._tokens[name + 1 : name + 1 + name - self._next]
        return all(token.is_(")") for token in closing)

    def _comparison(self) -> Condition:
        if self._peek().kind in ("string", "number"):
            literal, operator = self._literal(), FLIPPED[self._operator()]
            return self._compare(self._column(), operator, literal)
        column = self._column()
        if self._accept("IS"):
            negated = "NOT " if self._accept("NOT") else ""
            self._expect("NULL")
            return f"NULLIF({column.raw}, '{NO_VALUE}') IS {negated}NULL", ()
        negated = "NOT " if self._accept("NOT") else ""
        if self._accept("IN"):
            return self._in(column, negated)
        if self._accept("BETWEEN"):
            low = self._value(column, self._literal())
            self._expect("AND")
            high = self._value(column, self._literal())
            return f"{column.sql} {negated}BETWEEN ? AND ?", (low, high)
        if self._accept("LIKE"):
            return self._like(column, negated)
        if negated:
            self._fail()
        operator = self._operator()
        return self._compare(column, operator, self._literal())

    def _compare(self, column: Column, operator: str, literal: _Token) -> Condition:
        return f"{column.sql} {operator} ?", (self._value(column, literal),)

    def _in(self, column: Column, negated: str) -> Condition:
        self._expect("(")
        values = [self._value(column, self._literal())]
        while self._accept(","):
            values.append(self._value(column, self._literal()))
        self._expect(")")
        places = ", ".join("?" * len(values))
        return f"{column.sql} {negated}IN ({places})", tuple(values)

    def _like(self, column: Column, negated: str) -> Condition:
        pattern = self._take("string").text
        if not column.type.is_text:
            raise InvalidInputException(
                f"{column.type.noun} data type doesn't support operation 'LIKE'"
            )
        # SQLite's LIKE ignores case; its GLOB does not.
        glob = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
        return f"{column.sql} {negated}GLOB ?", ("".join(glob.get(c, c) for c in pattern),)

    def _column(self) -> Column:
        if self._accept("("):
            column = self._column()
            self._expect(")")
            return column
        name = self._take("word").text
        if name.lower() not in self._keys:
            raise InvalidInputException("Invalid partition expression!")
        index, key = self._keys[name.lower()]
        type_ = base_name(key.get("Type", "string"))
        if type_ not in TYPES:
            raise InvalidInputException(f"Unknown type : '{type_}'")
        return Column(index, TYPES[type_])

    def _value(self, column: Column, literal: _Token) -> Any:
        """A literal in the type of the column it is compared with."""
        self.compared[column] = None
        try:
            return column.type.read(literal.text)
        except ValueError:
            raise InvalidInputException(column.type.complaint.format(literal.text)) from None

    def _operator(self) -> str:
        text = re.sub(r"\s", "", self._take("symbol").text).replace("!=", "<>")
        if text not in FLIPPED:
            self._fail()
        return text

    def _literal(self) -> _Token:
        token = self._peek()
        if token.kind == "word" and token.text.lower() in ("date", "timestamp"):
            self._next += 1
            return self._take("string")
        return self._take("string", "number")

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *kinds: str) -> _Token:
        token = self._peek()
        if token.kind not in kinds:
            self._fail()
        self._next += 1
        return token

    def _accept(self, text: str) -> bool:
        if self._peek().is_(text):
            self._next += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            self._fail()

    def _tokenize(self) -> list[_Token]:
        tokens, text, position = [], self._expression.rstrip(), 0
        while position < len(text):
            match = TOKEN.match(text, position)
            if match is None:
                self._fail()
            assert match.lastgroup is not None
            tokens.append(_token(match.lastgroup, match[match.lastgroup]))
            position = match.end()
        return tokens

    def _fail(self) -> NoReturn:
        raise InvalidInputException(f"Unsupported expression '{self._expression}'")


def _token(kind: str, text: str) -> _Token:
    if kind == "string":
        return _Token(kind, re.sub(r"\\'|''", "'", text[1:-1]))
    if kind == "word" and text[0] in '`"':
        return _Token(kind, text[1:-1])
    if kind == "word" and text.upper() in KEYWORDS:
        return _Token("keyword", text.upper())
    return _Token(kind, text)
