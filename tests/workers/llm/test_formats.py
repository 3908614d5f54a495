"""Prompts as files: what goes out comes back, what is wrong is named by line and field."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import BadInput
from workers.llm import formats
from workers.llm.formats import Prompt

CALL = {"type": "function", "function": {"name": "overseerr_request", "arguments": {"title": "Dune"}}}
PLAIN = Prompt(
    name="Movie Request Example",
    category="media",
    system_prompt="You are a helpful homelab assistant.",
    user_input="I want to watch Inception",
    expected_output="I'll request Inception for you via Overseerr.",
    tags=("movies", "requests"),
)
CALLING = Prompt(name="Calls", user_input="Get Dune", expected_output="", tool_calls=(CALL,))
BOTH = Prompt(name="Says and calls", user_input="Get Dune", expected_output="At once.", tool_calls=(CALL,))
TURNS = Prompt(
    name="Turns",
    user_input="And Alien?",
    expected_output="That, too.",
    history=({"role": "user", "content": "Dune?"}, {"role": "assistant", "content": "Yes."}),
)

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(lambda text: text.strip())
prompts = st.builds(
    Prompt,
    name=words,
    user_input=words,
    expected_output=words,
    category=st.one_of(st.just(""), words),
    system_prompt=st.one_of(st.just(""), words),
    tags=st.lists(words, max_size=3).map(tuple),
    tool_calls=st.sampled_from([(), (CALL,), (CALL, CALL)]),
    history=st.lists(st.tuples(words, words), max_size=2).map(
        lambda pairs: tuple(
            {"role": role, "content": text}
            for pair in pairs
            for role, text in zip(("user", "assistant"), pair, strict=True)
        )
    ),
)


@pytest.mark.parametrize("form", formats.FORMATS)
@given(many=st.lists(prompts, max_size=3))
def test_what_is_exported_is_imported_as_it_was(form: str, many: list[Prompt]) -> None:
    assert formats.read(formats.write(many, form), form) == many


@pytest.mark.parametrize("form", formats.FORMATS)
@pytest.mark.parametrize("prompt", [PLAIN, CALLING, BOTH, TURNS], ids=lambda prompt: prompt.name)
def test_each_kind_of_prompt_survives_each_form(form: str, prompt: Prompt) -> None:
    assert formats.read(formats.write([prompt], form), form) == [prompt]


def test_files_of_others_are_understood() -> None:
    sharegpt = [{
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "Get Dune"},
            {"from": "function_call", "value": '{"name": "request", "arguments": {"title": "Dune"}}'},
            {"from": "observation", "value": "ok"},
            {"from": "gpt", "value": "Requested."},
            {"from": "human", "value": "Thanks"},
            {"from": "gpt", "value": "Gladly."},
        ]
    }]  # fmt: skip
    (prompt,) = formats.read(json.dumps(sharegpt), "sharegpt")
    assert (prompt.system_prompt, prompt.user_input, prompt.expected_output) == ("Be brief.", "Thanks", "Gladly.")
    assert [message["role"] for message in prompt.history] == ["user", "assistant", "tool", "assistant"]
    assert prompt.history[1]["tool_calls"] == [{"name": "request", "arguments": {"title": "Dune"}}]
    assert prompt.name == "Thanks"
    alpaca = '{"instruction": "Translate", "input": "Hallo", "output": "Hello"}\n'
    (prompt,) = formats.read("\ufeff" + alpaca, "alpaca")
    assert (prompt.user_input, prompt.expected_output) == ("Translate\nHallo", "Hello")


@pytest.mark.parametrize(
    ("form", "content", "said"),
    [
        ("jsonl", '{"user_input": "a", "expected_output": "b"}\n\n{oops\n', "line 3: "),
        ("jsonl", '{"expected_output": "b"}', "line 1: user_input is missing"),
        ("jsonl", '{"user_input": 5, "expected_output": "b"}', "line 1: user_input is no text"),
        ("jsonl", '{"user_input": "a"}', "line 1: expected_output is empty"),
        ("jsonl", '{"user_input": "a", "expected_output": "b", "tags": "x"}', "line 1: tags is no list of texts"),
        ("jsonl", "5", "line 1 is no object"),
        ("alpaca", '[{"instruction": "a", "output": "b"}, {"output": "b"}]', "entry 2: instruction is missing"),
        ("alpaca", '[\n{"instruction": "a",}]', "line 2: "),
        ("sharegpt", '[{"conversations": [{"from": "robot", "value": "a"}]}]', "entry 1, turn 1: from 'robot'"),
        ("sharegpt", '[{"conversations": [{"from": "human", "value": "a"}]}]', "entry 1: conversations does not end"),
        ("sharegpt", "[{}]", "entry 1: conversations is missing"),
        ("csv", "", "format 'csv' is none of jsonl, sharegpt, alpaca"),
    ],
)
def test_what_is_wrong_is_named_by_place_and_field(form: str, content: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        formats.read(content, form)
    assert caught.value.message.startswith(said)


def test_a_conversation_that_alpaca_cannot_hold_is_refused_by_name() -> None:
    odd = Prompt(name="Odd", user_input="a", expected_output="b", history=({"role": "tool", "content": "x"},))
    with pytest.raises(BadInput, match="'Odd'"):
        formats.write([odd], "alpaca")
