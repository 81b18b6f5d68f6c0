"""Names come apart into what they were made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from becas_ft.rollout.names import ModelName, alias, family, parse


@given(
    st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True),
    st.from_regex(r"[a-z]+(_[a-z]+){0,3}", fullmatch=True),
    st.integers(1, 10**6),
)
def test_parse_is_the_inverse_of_format(base: str, category: str, version: int) -> None:
    """Whatever was named can be read back."""
    name = ModelName(base, category, version)

    assert parse(str(name)) == name


@pytest.mark.parametrize(
    "name", ["", "becas-qwen-scam_detection", "becas-qwen-scam_detection-v0", "becas-scam_detection"]
)
def test_other_names_are_refused(name: str) -> None:
    """An alias, a version 0 and a torso are no versions."""
    with pytest.raises(ValueError, match="is not of the form"):
        parse(name)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("qwen3:1.7b", "qwen"),
        ("llama3.2:3b", "llama"),
        ("smollm2-135m-instruct", "smollm2"),
        ("hf.co/x/Phi-4:q4", "phi4"),
    ],
)
def test_families_are_the_designs(model: str, expected: str) -> None:
    """The names of the design: qwen, llama, smollm2."""
    assert family(model) == expected
    assert alias("scam_detection") == "becas-scam_detection"
