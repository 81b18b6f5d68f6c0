"""From a dataset to a checked LoRA adapter."""

from becas_ft.training.job import Adapter, Failure, FailureReason, TrainingJob
from becas_ft.training.progress import Progress
from becas_ft.training.recipe import RECIPES, Recipe, recipe_for
from becas_ft.training.trainer import ProcessTrainer, Trainer

__all__ = [
    "RECIPES",
    "Adapter",
    "Failure",
    "FailureReason",
    "ProcessTrainer",
    "Progress",
    "Recipe",
    "Trainer",
    "TrainingJob",
    "recipe_for",
]
