"""Write the pages and pictures of the documentation that are made from the product itself.

docs/categories.md is committed, since other pages of the repository lead to it; the rest is made for the site only.
"""

from pathlib import Path

from lint_protos import compile_protos

from pages import api, categories, commands, configuration, pictures

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    """Replace them all."""
    reference = DOCS / "reference"
    reference.mkdir(exist_ok=True)
    (DOCS / "categories.md").write_text(categories.page(), encoding="utf-8")
    (reference / "api.md").write_text(api.page(compile_protos()), encoding="utf-8")
    (reference / "commands.md").write_text(commands.page(), encoding="utf-8")
    (reference / "configuration.md").write_text(configuration.page(), encoding="utf-8")
    pictures.draw(DOCS / "pictures")


if __name__ == "__main__":
    main()
