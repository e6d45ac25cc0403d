"""Conditions: the `if` of a call, a boolean expression about calls before it (JB-18, JB-19, GW-03, GW-16).

    expression = and-term *("or" and-term)
    and-term   = not-term *("and" not-term)
    not-term   = "not" not-term / comparison
    comparison = operand [("eq" / "ne" / "gt" / "ge" / "lt" / "le") operand / "in" list]
    operand    = literal / function "(" expression *("," expression) ")" / "(" expression ")" / reference
    reference  = "$" id ["/$succeeded" / "/$status" / *("/" member)]
    list       = "(" operand *("," operand) ")"
    literal    = "null" / "true" / "false" / number / "'" text "'"         ; "''" is a quote

Values are null, boolean, number, string, or whatever JSON a path leads to. A member of a path is a key, or the index of
an array from 0; a path that ends early is null, but one that asks an array for a key is an error, as is an object or
array beside a value of another kind. What one evaluation may do is bounded by
the bytes that it looks at (PL-01). null spreads as OData says: a comparison of
order with null or of different kinds is null, `eq` and `ne` are always true or false; a result that is not `true`
lets the call not run (GW-03). `$status` is an addition of ours. Must never evaluate text in any other way than this.
"""
import re
from decimal import Decimal, InvalidOperation

from batchwire.core.errors import quoted

cdef enum:
    MAX_TEXT = 4096
    MAX_NESTING = 32
    MAX_DIGITS = 4300         # of a number, its exponent left aside; also Python's bound for int()

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![\w.])"
    r"|(?P<text>'(?:[^']|'')*')"
    r"|(?P<reference>\$[A-Za-z0-9._~-]+(?:/[^\s(),'/]+)*)"
    r"|(?P<word>[A-Za-z_]+)(?![\w.])"
    r"|(?P<mark>[(),]))"
)
_COMPARISONS = frozenset(["eq", "ne", "gt", "ge", "lt", "le"])
_FUNCTIONS = {"contains": 2, "startswith": 2, "endswith": 2, "length": 1, "tolower": 1, "toupper": 1, "trim": 1}
# How dear they are, compared with one another; the others look at what they are given in one step.
_READS_ALL = {"contains": 2, "tolower": 16, "toupper": 16, "trim": 4}
_PREDEFINED = frozenset(["it", "root", "this"])


class ConditionError(Exception):
    """The text is no condition, or uses what is not supported: the call gets 424 (JB-19)."""


cdef class _Parser:
    """Recursive descent over the grammar above; builds tuples (kind, ...)."""
    cdef list tokens
    cdef int at, depth
    cdef dict ids, bodies           # each once, in order

    def __init__(self, str text):
        position = 0
        self.tokens = []
        self.ids = {}
        self.bodies = {}
        text = text.rstrip()
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None:
                raise ConditionError(f"the condition is not understood at character {position}")
            self.tokens.append((found.lastgroup, found.group(found.lastgroup)))
            position = found.end()

    cdef object peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else (None, None)

    cdef bint takes(self, str kind, str value):
        if self.peek() == (kind, value):
            self.at += 1
            return True
        return False

    def whole(self):
        node = self.either()
        if self.at < len(self.tokens):
            raise ConditionError("the condition does not end where it should")
        return node

    def either(self):
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise ConditionError("the condition is nested too deeply")
        nodes = [self.both()]
        while self.takes("word", "or"):
            nodes.append(self.both())
        self.depth -= 1
        return nodes[0] if len(nodes) == 1 else ("or", nodes)

    def both(self):
        nodes = [self.negated()]
        while self.takes("word", "and"):
            nodes.append(self.negated())
        return nodes[0] if len(nodes) == 1 else ("and", nodes)

    def negated(self):
        negations = 0
        while self.takes("word", "not"):
            negations += 1
        node = self.comparison()
        return ("not", node) if negations % 2 else (node if not negations else ("not", ("not", node)))

    def comparison(self):
        left = self.operand()
        kind, value = self.peek()
        if kind == "word" and value in _COMPARISONS:
            self.at += 1
            return ("compare", value, left, self.operand())
        if kind == "word" and value == "in":
            self.at += 1
            if not self.takes("mark", "("):
                raise ConditionError("a list must follow `in`")
            items = [self.operand()]
            while self.takes("mark", ","):
                items.append(self.operand())
            self.close()
            return ("in", left, items)
        return left

    def close(self):
        if not self.takes("mark", ")"):
            raise ConditionError("a closing parenthesis is missing")

    def operand(self):
        kind, value = self.peek()
        self.at += 1
        if kind == "number":
            return ("value", number_of(value))
        if kind == "text":
            return ("value", value[1:-1].replace("''", "'"))
        if kind == "reference":
            return self.reference(value)
        if kind == "mark" and value == "(":
            node = self.either()
            self.close()
            return node
        if kind == "word":
            if value in ("true", "false", "null"):
                return ("value", {"true": True, "false": False, "null": None}[value])
            if value in _FUNCTIONS and self.takes("mark", "("):
                arguments = [self.either()]
                while self.takes("mark", ","):
                    arguments.append(self.either())
                self.close()
                if len(arguments) != _FUNCTIONS[value]:
                    raise ConditionError(f"{value} takes {_FUNCTIONS[value]} arguments")
                return ("call", value, arguments)
            raise ConditionError(f"{quoted(value)!r} is not supported in a condition")
        raise ConditionError("the condition is incomplete")

    def reference(self, str text):
        name, *path = text[1:].split("/")
        if name in _PREDEFINED:
            raise ConditionError(f"${quoted(name)} is not supported in a condition")
        name = name.encode()
        self.ids[name] = None
        if path and path[0].startswith("$"):
            if len(path) > 1 or path[0] not in ("$succeeded", "$status"):
                raise ConditionError(f"{quoted(text)} is not supported in a condition")
            return ("succeeded" if path[0] == "$succeeded" else "status", name)
        self.bodies[name] = None
        return ("body", name, tuple([member.encode() for member in path]))


cpdef object number_of(str text):
    """The number that a text of JSON says, exactly (PL-14): int or Decimal. Raises ConditionError.

    How two of them compare takes time by their digits, whatever their exponents are.
    """
    try:
        if len(text) <= MAX_DIGITS:
            # Infinity and NaN are no JSON.
            return Decimal(text) if "." in text or "e" in text or "E" in text else int(text)
    except (InvalidOperation, ValueError):
        pass
    raise ConditionError("a number has too many digits, or too large an exponent")


cdef bint is_number(object value):
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


cdef bint is_scalar(object value):
    return value is None or isinstance(value, (bool, int, Decimal, str))


cdef bint same_kind(object left, object right):
    return (is_number(left) and is_number(right)) or type(left) is type(right)


cdef object compare(str operator, object left, object right):
    if left is not None and right is not None and is_scalar(left) != is_scalar(right):
        # `ne` would be true, of whatever was meant to be asked.
        raise ConditionError("an object or array is compared with a value of another kind")
    if operator == "eq" or operator == "ne":
        equal = same_kind(left, right) and left == right
        return equal if operator == "eq" else not equal
    if left is None or right is None or not same_kind(left, right) or not (is_number(left) or isinstance(left, str)):
        return None
    if operator == "gt":
        return left > right
    if operator == "ge":
        return left >= right
    if operator == "lt":
        return left < right
    return left <= right


cdef object apply(str name, list values):
    if not all([isinstance(value, str) for value in values]):
        return None
    first = values[0]
    if name == "contains":
        return values[1] in first
    if name == "startswith":
        return first.startswith(values[1])
    if name == "endswith":
        return first.endswith(values[1])
    if name == "length":
        return len(first)
    if name == "tolower":
        return first.lower()
    if name == "toupper":
        return first.upper()
    return first.strip()


cdef object value_of(object node, object lookup):
    """The value of a node; None is null."""
    cdef str kind = node[0]
    if kind == "value":
        return node[1]
    if kind == "succeeded":
        return bool(lookup.succeeded(node[1]))
    if kind == "status":
        return lookup.status(node[1])
    if kind == "body":
        return lookup.value(node[1], node[2])
    if kind == "compare":
        return compare(node[1], value_of(node[2], lookup), value_of(node[3], lookup))
    if kind == "in":
        value = value_of(node[1], lookup)
        return any([compare("eq", value, value_of(item, lookup)) for item in node[2]])
    if kind == "call":
        values = [value_of(argument, lookup) for argument in node[2]]
        if node[1] in _READS_ALL:
            lookup.spend(sum([len(value) for value in values if isinstance(value, str)]) * _READS_ALL[node[1]] // 16)
        return apply(node[1], values)
    if kind == "not":
        value = value_of(node[1], lookup)
        return (not value) if isinstance(value, bool) else None
    # OData 11.2.6.1.1: null is "unknown": it decides only where the other side does not.
    deciding = kind == "or"
    unknown = False
    for part in node[1]:
        value = value_of(part, lookup)
        if value is deciding:
            return deciding
        if not isinstance(value, bool):
            unknown = True
    return None if unknown else not deciding


cdef class Expression:
    """lookup: an object with succeeded(id) -> bool, status(id) -> int, value(id, path) -> what lies there or None,
    and spend(n): n units of work are done now; it may raise ConditionError.
    """

    cpdef bint evaluate(self, object lookup) except -1:
        """Whether the condition is true; null and anything that is no boolean is not (GW-03). Raises ConditionError."""
        return value_of(self.root, lookup) is True


cpdef Expression parse(bytes text):
    """Parses a condition. Raises ConditionError."""
    cdef Expression expression
    cdef _Parser parser
    if len(text) > MAX_TEXT:
        raise ConditionError("the condition is too long")
    try:
        parser = _Parser(text.decode())
        expression = Expression.__new__(Expression)
        expression.root = parser.whole()
    except UnicodeDecodeError:
        raise ConditionError("the condition is not valid UTF-8") from None
    expression.ids = list(parser.ids)
    expression.needs_body = list(parser.bodies)
    return expression
