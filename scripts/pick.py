#!/usr/bin/env python3
"""Reads JSON and prints the values found under the given names, one line, blanks between: pick.py access company.code

A name is looked for at any depth, nearest first, so that an envelope around the answer does not matter."""
import json
import sys


def find(value, name):
    """The nearest value under `name` in nested JSON; None when there is none. `a.b` is `b` anywhere below an `a`."""
    head, _, rest = name.partition(".")
    level = [value]
    while level:
        for item in level:
            if isinstance(item, dict) and head in item:
                found = find(item[head], rest) if rest else item[head]
                if found is not None:
                    return found
        level = [child for item in level if isinstance(item, (dict, list))
                 for child in (item.values() if isinstance(item, dict) else item)]
    return None


if __name__ == "__main__":
    document = json.load(sys.stdin)
    values = [find(document, name) for name in sys.argv[1:]]
    missing = [name for name, value in zip(sys.argv[1:], values) if value is None]
    if missing:
        sys.exit(f"no {', '.join(missing)} in {json.dumps(document)[:300]}")
    print(*values)
