"""Answers are graded as the documented table says."""

import pytest

from becas_ft.shadow.grade import LABEL_KEYS, f1, is_right, is_violation, label_of
from helpers.scorer import LABELS


@pytest.mark.parametrize(
    ("category", "output", "truth", "right"),
    [
        ("scam_detection", '{"isScam":true,"reasoning":"x"}', "true", True),
        ("scam_detection", '{"isScam":true}', "false", False),
        ("scam_detection", '{"isScam":"True"}', "true", True),
        ("scam_detection", '{"isScam":tr', "true", False),
        ("scam_detection", "true", "true", False),
        ("scam_detection", '{"scam":true}', "true", False),
        ("scam_detection", "", "false", False),
        ("violation_detection", '{"violationType":"Harassment"}', "harassment", True),
        ("violation_detection", '{"violationType":"spam"}', "harassment", False),
        ("trust_prediction", '{"direction":"up","delta":8}', '{"direction":"up","delta":3}', True),
        ("trust_prediction", '{"direction":"up","delta":8.1}', '{"direction":"up","delta":3}', False),
        ("trust_prediction", '{"direction":"up","delta":80}', "up", True),
        ("sentiment_analysis", '{"sentiment":"positive","score":0.5}', '{"sentiment":"positive","score":0.75}', True),
        ("sentiment_analysis", '{"sentiment":"positive","score":0.5}', '{"sentiment":"positive","score":0.76}', False),
        ("workflow_parsing", '{"steps":["a","b","c"]}', '["a","b"]', True),
        ("workflow_parsing", '{"steps":["a","b","c","d"]}', '["a","b"]', False),
        ("workflow_parsing", '{"steps":[]}', "[]", True),
        ("workflow_parsing", '{"steps":"a"}', '["a"]', True),
    ],
)
def test_the_table(category: str, output: str, truth: str, right: bool) -> None:
    """F1 of {a,b,c} and {a,b} is .8 and right; of {a,b,c,d} it is 2/3 and wrong."""
    assert is_right(category, output, truth) is right


def test_labels_are_read_in_their_text_form() -> None:
    """As the truth is written."""
    assert label_of("scam_detection", '{"isScam":false}') == "false"
    assert label_of("workflow_parsing", '{"steps":["a", "b"]}') == '["a","b"]'
    assert label_of("scam_detection", "[]") is None


def test_violations_are_also_told_from_none() -> None:
    """The coarser grading of the design."""
    assert is_violation("spam")
    assert not is_violation("none")
    assert f1({"a"}, set()) == 0.0


def test_label_keys_are_the_designs() -> None:
    """The core's vocabulary, compared with the one that the independent scorer was written with."""
    assert LABELS == LABEL_KEYS
