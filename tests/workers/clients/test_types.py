"""The types of outside services and their tools, all together."""

from __future__ import annotations

from workers.clients.types import kind_of, types


def test_every_type_is_there_and_those_without_a_client_are_declared() -> None:
    named = {"plex", "overseerr", "radarr", "sonarr", "tautulli", "ollama", "openwebui", "label_studio", "generic_http"}
    assert set(types()) == named
    assert {name for name, kind in types().items() if not kind.tools} == {"generic_http", "openwebui"}
    assert kind_of("openwebui").read is types()["generic_http"].read
    assert kind_of("a type that is gone") is types()["generic_http"]


def test_every_tool_is_named_after_its_type_and_once() -> None:
    tools = [tool for kind in types().values() for tool in kind.tools]
    assert len({tool.name for tool in tools}) == len(tools)
    assert all(tool.name.startswith(f"{tool.service_type}_") for tool in tools)
    assert all(not (tool.read_only and tool.destructive) for tool in tools)


def test_the_search_of_plex_is_described_as_the_document_shows() -> None:
    tool = next(tool for tool in types()["plex"].tools if tool.name == "plex_search")
    assert tool.description == "Search for media in Plex library"
    assert tool.parameters == {
        "query": {"type": "string", "required": True},
        "type": {"type": "string", "enum": ["movie", "show", "music"]},
    }
