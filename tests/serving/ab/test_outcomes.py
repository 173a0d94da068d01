"""What is an outcome and what is none: JSON, JSON lines and CSV; of a wrong batch nothing is taken."""

import json

import pytest

from serving.ab import outcomes
from serving.ab.outcomes import Outcome, OutcomeError, of_document, of_file
from serving.ab.units import Feedback


def test_numbers_truth_values_and_texts_are_outcomes():
    found = of_document({"outcomes": [{"request_id": "a", "bought": True, "spent": 3, "label": "cat"}]})
    assert found == [Outcome("a", {"bought": 1.0, "spent": 3.0, "label": "cat"})]
    assert of_document({"request_id": "a", "x": 0.5}) == [Outcome("a", {"x": 0.5})]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ([1], "the body is"),
        ({"bought": 1}, "'request_id' is None"),
        ({"request_id": 7, "bought": 1}, "'request_id' is 7"),
        ({"request_id": "", "bought": 1}, "'request_id' is ''"),
        ({"request_id": "a"}, "one or more outcomes"),
        ({"request_id": "a", "": 1}, "one or more outcomes"),
        ({"request_id": "a", "bought": None}, "'bought' is None"),
        ({"request_id": "a", "bought": [1]}, r"'bought' is \[1\]"),
        ({"request_id": "a", "bought": float("nan")}, "'bought' is nan"),
        ({"request_id": "a", "bought": 10**400}, "expected a finite number"),
        ({"request_id": "a", "note": "x" * 1001}, "'note' is"),
        ({"outcomes": []}, "there is no outcome"),
        ({"outcomes": {"a": 1}}, "expected a list"),
        ({"outcomes": [], "model": "m"}, "nothing beside it"),
        ({"outcomes": [{"request_id": "a", "x": 1}, {"request_id": "b", "x": {}}]}, "outcome 1: 'x' is {}"),
    ],
)
def test_what_is_no_outcome_is_named(document, told):
    with pytest.raises(OutcomeError, match=told):
        of_document(document)


def test_a_batch_has_an_end(monkeypatch):
    monkeypatch.setattr(outcomes, "MOST", 2)
    with pytest.raises(OutcomeError, match="more than 2"):
        of_document({"outcomes": [{"request_id": "a", "x": 1}] * 3})


def test_json_lines_and_csv_say_the_same(tmp_path):
    lines, table = tmp_path / "f.jsonl", tmp_path / "f.csv"
    lines.write_text(
        '{"request_id": "a", "bought": true, "spent": 2.5}\n\n{"request_id": "b", "bought": 0}\n'
    )
    table.write_text("\ufeffrequest_id,bought,spent\r\na,true,2.5\r\nb,0,\r\n", encoding="utf-8")
    assert list(of_file(lines)) == list(of_file(table))
    table.write_text("request_id,label\n17,tabby cat\n")
    assert list(of_file(table)) == [Outcome("17", {"label": "tabby cat"})]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"request_id": "a", "x": 1}\n{"request_id": "b", "x"', "line 2 is no JSON.*cut off"),
        ('{"request_id": "a", "x": 1}\n[1]\n', "line 2 is \\[1\\]"),
        ("id,x\na,1\n", "one of them 'request_id'"),
        ("request_id,x,x\na,1,2\n", "different names"),
        ("request_id,x\na,1\nb\n", "line 3 has 1 cells"),
        ("request_id,x\na,\n", "line 2: names are"),
        ("request_id,x\na,nan\n", "'x' is nan"),
        ('request_id,x\na,"1\n', "no text of JSON lines or CSV"),
        ("\xff\xfe", "no text of JSON lines or CSV"),
        ("", "holds no outcome"),
    ],
)
def test_a_wrong_or_torn_file_is_refused_whole(shop, tmp_path, capsys, text, told):
    import re

    file = tmp_path / "feedback"
    file.write_bytes(text.encode("latin-1"))
    assert shop.feedback(file) == 1
    said = capsys.readouterr().err
    assert re.search(told, said) and "Nothing was taken" in said
    assert not list(shop.base.rglob("*.log"))


def test_a_file_may_be_given_twice(shop, tmp_path, capsys):
    file = tmp_path / "feedback.jsonl"
    file.write_text(json.dumps({"request_id": "a", "bought": 1}) + "\n")
    assert shop.feedback(file) == 0 and shop.feedback(file) == 0
    assert "1 outcomes" in capsys.readouterr().out
    found = Feedback(shop.base)
    found.read()
    assert {name: value for name, (_, value) in found.outcomes["a"].items()} == {"bought": 1.0}
    assert shop.feedback(tmp_path / "nowhere") == 1
