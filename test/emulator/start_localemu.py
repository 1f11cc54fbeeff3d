"""Starts localemu, also on Python 3.11: it is written for 3.13.

Type parameters (PEP 695) are taken out of its source as it is loaded: `class A[T]:` becomes `class A(Generic[T]):`,
`def f[T](` becomes `def f(`, `type A = B` becomes `A = B`. On Python 3.12 and later nothing is changed.
"""

import re
import runpy
import sys
import uuid
import warnings
from importlib.machinery import SourceFileLoader

HEAD = re.compile(r"^(\s*)(class|(?:async )?def) (\w+)\[([^\]]*)\]", re.MULTILINE)
TYPE_ALIAS = re.compile(r"^(\s*)type (\w+) = ", re.MULTILINE)


def without_type_parameters(source):
    variables = {}

    def rewrite(match):
        indent, keyword, name, parameters = match.groups()
        own = [parameter.split(":")[0].strip() for parameter in parameters.split(",")]
        variables.update(dict.fromkeys(own))
        # A class with bases has one that can be subscripted.
        needs_base = keyword == "class" and source[match.end()] == ":"
        return f"{indent}{keyword} {name}" + (f"(_Generic[{', '.join(own)}])" if needs_base else "")

    lines = TYPE_ALIAS.sub(r"\1\2 = ", HEAD.sub(rewrite, source)).split("\n")
    if variables:
        imports = "from typing import Generic as _Generic, TypeVar as _TypeVar"
        made = "; ".join(f"{name} = _TypeVar('{name}')" for name in variables)
        # What comes from __future__ must stay first.
        first = max((i + 1 for i, line in enumerate(lines) if line.startswith("from __future__")), default=0)
        lines.insert(first, f"{imports}; {made}")
    return "\n".join(lines)


def compile_without_type_parameters(loader, data, path, *, _optimize=-1):
    if "/localemu/" in path and (b"[" in data or b"type " in data):
        data = without_type_parameters(data.decode())
    return compile(data, path, "exec", dont_inherit=True, optimize=_optimize)


def add_what_is_missing():
    """What the standard library has since 3.12 (uuid5 of bytes) and 3.13 (deprecated)."""
    from typing_extensions import deprecated

    uuid5 = uuid.uuid5
    # The ids are only to differ: no other implementation reads them.
    uuid.uuid5 = lambda namespace, name: uuid5(namespace, name if isinstance(name, str) else name.hex())
    warnings.deprecated = deprecated


if __name__ == "__main__":
    if sys.version_info < (3, 12):
        SourceFileLoader.source_to_code = compile_without_type_parameters
        add_what_is_missing()
    runpy.run_module("localemu.runtime.main", run_name="__main__", alter_sys=True)
