"""The examples as the base model reads them: the same text and tokens as transformers makes, and what is learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tokenizers")

from workers.errors import BadInput
from workers.llm import dataset
from workers.llm.dataset import FileTokens, Rendered
from workers.llm.plan import Row
from workers.llm.templates import ChatTemplate

MESSAGES: tuple[dict[str, Any], ...] = (
    {"role": "user", "content": "I want to watch Dune"},
    {"role": "assistant", "content": "I'll request Dune for you via Overseerr."},
)
CALL = {"id": "1", "type": "function", "function": {"name": "request", "arguments": '{"title": "Dune"}'}}


class Letters:
    def ids(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


def row(number: int) -> Rendered:
    return Rendered(number, f"question {number}?", f"answer {number}!")


def test_text_and_tokens_are_those_of_transformers(tiny: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    text = dataset.rendered(Row(1, MESSAGES), ChatTemplate.of_folder(tiny))
    assert text.prompt + text.completion == tokenizer.apply_chat_template(list(MESSAGES), tokenize=False)
    asked = tokenizer.apply_chat_template(list(MESSAGES[:1]), add_generation_prompt=True, tokenize=False)
    assert text.prompt == asked
    example = dataset.tokenized(text, FileTokens(tiny), 1000)
    whole = tokenizer.apply_chat_template(list(MESSAGES), return_dict=False)
    assert list(example.ids) == list(whole)
    assert tokenizer.decode(example.ids[example.prompt_tokens :]) == text.completion


def test_only_the_answer_is_learned(tiny: Path) -> None:
    text = dataset.rendered(Row(1, MESSAGES), ChatTemplate.of_folder(tiny))
    example = dataset.tokenized(text, FileTokens(tiny), 1000)
    learned = [label for label in example.labels if label != dataset.IGNORED]
    assert len(example.labels) == len(example.ids)
    assert learned == list(example.ids[example.prompt_tokens :])
    assert example.labels[: example.prompt_tokens] == [dataset.IGNORED] * example.prompt_tokens


def test_calls_of_tools_are_in_the_text_whether_the_template_knows_of_them_or_not() -> None:
    messages = (MESSAGES[0], {"role": "assistant", "content": None, "tool_calls": [CALL]})
    unknowing = ChatTemplate("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}", {})
    said = unknowing.text(messages)
    assert said == (
        'user: I want to watch Dune\nassistant: <tool_call>\n{"name": "request", "arguments": {"title": "Dune"}}\n'
        "</tool_call>\n"
    )
    knowing = ChatTemplate(
        "{% for m in messages %}{% for c in m.tool_calls or [] %}{% generation %}{{ c.function.arguments | tojson }}"
        "{% endgeneration %}{% endfor %}{% endfor %}",
        {},
    )
    assert knowing.text(messages) == '{"title": "Dune"}'


def test_a_base_model_without_a_template_gets_a_plain_one_that_ends_its_answers(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "</s>"}}))
    template = ChatTemplate.of_folder(tmp_path)
    text = dataset.rendered(Row(1, MESSAGES), template)
    assert template.is_plain
    assert text == Rendered(
        1, "user: I want to watch Dune</s>\nassistant: ", "I'll request Dune for you via Overseerr.</s>\n"
    )


@pytest.mark.parametrize("source", ["{{ raise_exception('no system role') }}", "{{ messages[9].content.x }}"])
def test_a_template_that_refuses_names_the_prompt(source: str) -> None:
    with pytest.raises(BadInput, match="Prompt 7: The base model's chat template does not take") as caught:
        dataset.rendered(Row(7, MESSAGES), ChatTemplate(source, {}))
    assert caught.value.code == "template_refused"


def test_a_template_cannot_reach_out_of_its_sandbox() -> None:
    template = ChatTemplate("{{ messages.__class__.__mro__[1].__subclasses__() }}", {})
    with pytest.raises(BadInput):
        template.text(MESSAGES)


def test_held_out_examples_are_drawn_by_the_seed_and_are_in_no_other_set() -> None:
    texts = [row(number) for number in range(20)]
    made = dataset.dataset(texts, Letters(), max_tokens=100, eval_share=0.25, seed=1)
    again = dataset.dataset(texts, Letters(), max_tokens=100, eval_share=0.25, seed=1)
    other = dataset.dataset(texts, Letters(), max_tokens=100, eval_share=0.25, seed=2)
    held = {each.rendered.prompt_id for each in made.held_out}
    assert (len(made.train), len(held)) == (15, 5)
    assert held.isdisjoint(each.rendered.prompt_id for each in made.train)
    assert made == again
    assert held != {each.rendered.prompt_id for each in other.held_out}
    assert made.sha256 == other.sha256


def test_few_examples_are_all_learned() -> None:
    assert dataset.dataset([row(n) for n in range(4)], Letters(), max_tokens=99, eval_share=0.5, seed=1).held_out == ()


def test_the_hash_tells_any_difference() -> None:
    texts = [row(1), row(2)]
    others = [[row(2), row(1)], [row(1)], [row(1), Rendered(2, "question 2?a", "nswer 2!")]]
    assert len({dataset.sha256(each) for each in [texts, *others]}) == 4


def test_examples_that_are_all_question_are_refused_when_nothing_is_left() -> None:
    with pytest.raises(BadInput, match="longer than 5 tokens") as caught:
        dataset.dataset([row(1)], Letters(), max_tokens=5, eval_share=0, seed=1)
    assert caught.value.code == "rows_too_long"


def test_kept_texts_come_back_as_they_were(tmp_path: Path) -> None:
    texts = [row(1), Rendered("a", "ü\n\u2028", "“x”")]
    dataset.write_frozen(tmp_path / "kept", texts)
    assert dataset.read_frozen(tmp_path / "kept") == texts
