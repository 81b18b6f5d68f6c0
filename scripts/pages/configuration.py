"""Every setting with its default, its variable and its meaning, from the file of defaults."""

import re
import tomllib
from importlib.resources import files

_HEAD = """# Configuration

Copy what you change into a TOML file and name it with `--config` or `BECAS_FT_CONFIG`. A variable
`BECAS_FT_SECTION__KEY` wins over the file: `BECAS_FT_STORE__CAPACITY=100000`. Sizes are numbers of bytes or texts such
as "64 MiB". A setting that is unknown or out of range ends the start, and the error names all of them at once.
"""
_SECTION = re.compile(r"^\[([\w.]+)\]\s*(?:# (.*))?$")
_SETTING = re.compile(r"^(# )?(\w+) = (.+?)\s*(?:# (.*))?$")


def page() -> str:
    """The page in Markdown.

    Raises ValueError where a setting of the file is on no line that this understands.
    """
    text = files("becas_ft").joinpath("default.toml").read_text(encoding="utf-8")
    parts, section, shown = [_HEAD], "", set[str]()
    for line in text.splitlines():
        if found := _SECTION.match(line):
            section = found[1]
            said = f"{found[2]}\n\n" if found[2] else ""
            parts.append(f"\n## [{section}]\n\n{said}| setting | default | meaning |\n| --- | --- | --- |\n")
        elif section and (found := _SETTING.match(line)):
            absent, name, default, meaning = found.groups()
            shown.add(f"{section}.{name}")
            parts.append(f"| `{name}` | {'none' if absent else f'`{default}`'} | {_cell(meaning or '')} |\n")
    if missing := _names("", tomllib.loads(text)) - shown:
        raise ValueError(f"default.toml: not understood: {', '.join(sorted(missing))}")
    return "".join(parts)


def _cell(text: str) -> str:
    """Text that a cell of a table can hold; names of folders are no HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def _names(prefix: str, table: dict[str, object]) -> set[str]:
    """Every setting of a table, with the names of its sections."""
    found = set[str]()
    for name, value in table.items():
        whole = f"{prefix}.{name}" if prefix else name
        found |= _names(whole, value) if isinstance(value, dict) else {whole}
    return found
