"""What each category asks, and the JSON schema of its answer, from the core."""

import json

from becas_ft._core import categories, output_schema, system

_HEAD = """# Categories

What a model is told in each category, and the JSON schema that its answer keeps. The label is the first key. The
runtimes are given the same schema with texts of at most 200 characters, so that an answer ends and parses. This page
is made by `make docs`.
"""


def page() -> str:
    """The page in Markdown."""
    parts = [_HEAD]
    for name, label, target in categories():
        schema = json.dumps(json.loads(output_schema(name)), indent=2, ensure_ascii=False)
        told = system(name).replace("\n", "\n> ")
        parts.append(f"## {name}\n\nLabel: `{label}`. Base model: {target}.\n\n> {told}\n\n```json\n{schema}\n```\n")
    return "\n".join(parts)
