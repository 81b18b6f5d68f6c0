"""Answers are graded as the documented table says."""

import json

import pytest

from becas_ft.shadow import grade
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


@pytest.mark.parametrize(
    ("category", "first", "second", "agree"),
    [
        ("scam_detection", '{"isScam":true}', '{"isScam":true,"scamType":"x"}', True),
        ("scam_detection", '{"isScam":true}', '{"isScam":false}', False),
        ("scam_detection", "{", "{", False),
        ("violation_detection", '{"violationType":"Spam"}', '{"violationType":"spam"}', True),
        ("trust_prediction", '{"direction":"up","delta":3}', '{"direction":"up","delta":8}', True),
        ("trust_prediction", '{"direction":"up","delta":3}', '{"direction":"up","delta":80}', False),
        ("trust_prediction", '{"direction":"up"}', '{"direction":"up","delta":80}', False),
        ("sentiment_analysis", '{"sentiment":"negative","score":-0.9}', '{"sentiment":"negative","score":-0.2}', False),
        ("workflow_parsing", '{"steps":["b","a"]}', '{"steps":["a","b"]}', True),
        ("workflow_parsing", '{"steps":["a","b","c","d","e"]}', '{"steps":["a","b","c","d"]}', False),
    ],
)
def test_answers_agree_where_no_label_could_tell_them_apart(
    *, category: str, first: str, second: str, agree: bool
) -> None:
    """A tie without a label is one under every label, but for what lies within the tolerance."""
    assert grade.agree(category, first, second) is agree


def test_garbage_however_deep_is_a_wrong_answer() -> None:
    """A hundred thousand open brackets are no error of ours."""
    deep = "[" * 100_000

    assert not is_right("scam_detection", deep, "true")
    assert not is_right("workflow_parsing", '{"steps":' + json.dumps(deep) + "}", '["a"]')
    assert label_of("scam_detection", deep) is None


@pytest.mark.parametrize(
    ("category", "truth", "known"),
    [
        ("scam_detection", "TRUE", True),
        ("scam_detection", '{"isScam":false}', True),
        ("scam_detection", "banana", False),
        ("intent_classification", "banana", True),
    ],
)
def test_a_truth_is_a_label(*, category: str, truth: str, known: bool) -> None:
    """In a closed vocabulary anything else is none; in an open one everything is."""
    assert grade.is_label(category, truth) is known


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
