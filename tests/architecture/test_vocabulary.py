"""Outcomes, reasons and levels have the same names in the code and in the documents."""

from __future__ import annotations

from pathlib import Path

from tools.reference import outcomes

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_page_lists_the_outcomes_of_the_code() -> None:
    page = ROOT / outcomes.PAGE
    assert page.read_text() == outcomes.render(ROOT), (
        f"{outcomes.PAGE} is not what {outcomes.SOURCE} says: one vocabulary for log line, metric, header and page; "
        "run `make docs`"
    )


def test_the_three_vocabularies_are_read() -> None:
    assert [vocabulary.name for vocabulary in outcomes.read(ROOT)] == ["Outcome", "Reason", "Level"]
    n_names = sum(len(vocabulary.values) for vocabulary in outcomes.read(ROOT))
    assert n_names == (ROOT / outcomes.SOURCE).read_text().count(' = "'), "a name of the source was not read"


def test_every_name_is_one_word_in_lower_case() -> None:
    for vocabulary in outcomes.read(ROOT):
        for name, meaning in vocabulary.values:
            assert name == name.lower(), name
            assert name.replace("-", "").isalnum(), name
            assert meaning.endswith("."), f"{name} is not explained by a sentence"


def test_no_vocabulary_has_a_name_twice() -> None:
    for vocabulary in outcomes.read(ROOT):
        names = [name for name, _ in vocabulary.values]
        assert len(names) == len(set(names)), vocabulary.name
