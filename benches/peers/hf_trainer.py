"""The plain Hugging Face Trainer: fixed padding, the same model, LoRA layers, rows, rates and steps as the product's.

`python -m peers.hf_trainer JOBDIR` reads `job.json` of a job of the product and prints `{"tokens", "seconds",
"peak_rss_bytes", "steps", "padded_to"}`; tokens are those of real text. Rows are padded to the longest one, the least
that fixed padding can do.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from becas_ft.training import base, gguf, job
from becas_ft.training.chat import ChatTemplate
from becas_ft.training.lora import peak_rss_bytes
from becas_ft.training.rows import read_rows
from becas_ft.training.tokens import Tokenizer, encode

_NO_TARGET = -100


def main() -> None:
    """Train."""
    folder = Path(sys.argv[1])
    asked = job.TrainingJob.read(folder)
    recipe = asked.recipe
    import torch

    torch.set_num_threads(asked.threads or torch.get_num_threads())
    from transformers import Trainer, TrainerCallback, TrainingArguments

    header = gguf.read_header(asked.base)
    template, tokenizer = ChatTemplate.of(header), Tokenizer(header, asked.base)
    rows = [
        encode(row, template=template, tokenizer=tokenizer, recipe=recipe, label_key=asked.label_key)
        for row in read_rows(asked.dataset, asked.label_key)
        if row.split == "train"
    ]
    longest = max(map(len, rows))
    model = base.load_base(asked.base, header, device=torch.device("cpu"), dtype=torch.float32)
    # It was read from GGUF into float32; the Trainer refuses what calls itself quantized.
    model.is_quantized = False
    model = base.add_lora(model, recipe, asked.seed)

    def padded(row: Any) -> dict[str, Any]:  # noqa: ANN401 - an encoded row
        rest = longest - len(row)
        return {
            "input_ids": [*row.prompt, *row.answer, *[0] * rest],
            "attention_mask": [*[1] * len(row), *[0] * rest],
            "labels": [*[_NO_TARGET] * len(row.prompt), *row.answer, *[_NO_TARGET] * rest],
        }

    class Clock(TrainerCallback):
        """Times from the first step's begin to the last one's end."""

        began = ended = 0.0

        def on_train_begin(self, *_: object, **__: object) -> None:
            """The model is loaded."""
            self.began = time.monotonic()

        def on_step_end(self, *_: object, **__: object) -> None:
            """A step is done."""
            self.ended = time.monotonic()

    clock = Clock()
    arguments = TrainingArguments(
        output_dir=str(folder / "hf"),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.micro_rows,
        gradient_accumulation_steps=recipe.batch_rows // recipe.micro_rows,
        learning_rate=recipe.learning_rate,
        warmup_steps=1,
        lr_scheduler_type="cosine",
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.clip,
        seed=asked.seed,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=[padded(row) for row in rows], callbacks=[clock])  # type: ignore[arg-type]  # any sequence serves
    trainer.train()
    said = {
        "tokens": recipe.epochs * sum(map(len, rows)),
        "seconds": clock.ended - clock.began,
        "peak_rss_bytes": peak_rss_bytes(),
        "steps": trainer.state.global_step,
        "padded_to": longest,
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
