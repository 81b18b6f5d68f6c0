"""The registry: which models there are, which versions they have, and what each alias points at."""

from becas.ft.v1 import example_pb2, model_pb2
from becas_ft.ledger import ReadTransaction, WriteTransaction
from becas_ft.ledger.schema import ALIASES, MODELS
from becas_ft.rollout import names

CATEGORY_PREFIX = "CATEGORY_"


class UnknownModelError(Exception):
    """No model of this name or version is registered."""

    def __init__(self, message: str, version: int | None = None) -> None:
        super().__init__(message)
        self.version = version


def category_name(category: "example_pb2.Category.ValueType") -> str:
    """`scam_detection` for CATEGORY_SCAM_DETECTION."""
    return example_pb2.Category.Name(category).removeprefix(CATEGORY_PREFIX).lower()


def category_number(name: str) -> "example_pb2.Category.ValueType":
    """The inverse of category_name.

    Raises: ValueError for a name that is none.
    """
    return example_pb2.Category.Value(f"{CATEGORY_PREFIX}{name.upper()}")


def get(transaction: ReadTransaction, name: str) -> model_pb2.Model:
    """The model of a name.

    Raises: UnknownModelError.
    """
    model = transaction.get(MODELS, name)
    if model is None:
        raise UnknownModelError("no model of this name is registered: `becas-ft models` lists those that are")
    return model


def models(transaction: ReadTransaction, category: int = 0) -> list[model_pb2.Model]:
    """Models, newest first within a category, categories in the order of the proto; bases first."""
    found = [model for _, model in transaction.scan(MODELS) if category in {0, model.category}]
    return sorted(found, key=lambda model: (model.category, -model.version, model.name))


def next_version(transaction: ReadTransaction, category: int) -> int:
    """One more than the highest version ever registered for the category."""
    return 1 + max((model.version for model in models(transaction, category)), default=0)


def register(transaction: WriteTransaction, model: model_pb2.Model) -> model_pb2.Model:
    """Writes a model for good; the same name again replaces nothing but its state.

    Raises: ValueError where the name is taken by another adapter.
    """
    known = transaction.get(MODELS, model.name)
    if known is not None and known.adapter_digest != model.adapter_digest:
        raise ValueError(f"model {model.name} is registered with another adapter")
    stored = model_pb2.Model()
    stored.CopyFrom(known or model)
    if not stored.HasField("created"):
        stored.created.GetCurrentTime()
    transaction.put(MODELS, stored.name, stored)
    return stored


def set_state(transaction: WriteTransaction, name: str, state: "model_pb2.ModelState.ValueType") -> None:
    """Moves a model on in its life; a base stays a base."""
    model = get(transaction, name)
    if model.state != model_pb2.MODEL_STATE_BASE:
        model.state = state
        transaction.put(MODELS, name, model)


def alias_of(transaction: ReadTransaction, category: int) -> model_pb2.Alias | None:
    """What production calls for the category; None before the first promotion."""
    return transaction.get(ALIASES, int(category))


def aliases(transaction: ReadTransaction, category: int = 0) -> list[model_pb2.Alias]:
    """What the aliases point at, in the order of the categories; of one category where given."""
    return [alias for _, alias in transaction.scan(ALIASES) if category in {0, alias.category}]


def point(transaction: WriteTransaction, category: "example_pb2.Category.ValueType", model: str) -> model_pb2.Alias:
    """Points the category's alias at a model and remembers the one before."""
    before = alias_of(transaction, category)
    alias = model_pb2.Alias(
        name=names.alias(category_name(category)),
        category=category,
        model=model,
        previous_model=before.model if before else "",
    )
    alias.since.GetCurrentTime()
    transaction.put(ALIASES, int(category), alias)
    return alias
