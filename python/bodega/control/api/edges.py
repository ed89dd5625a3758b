"""`/v1/edges`: who belongs to the fleet, who is here, and how far each is."""

from __future__ import annotations

import shlex
from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from bodega.config import parse_config, to_text
from bodega.control.api.access import Administrator, ControlHere, EdgeItself, Reader, slow_down
from bodega.control.api.configurations import kept_revision, with_text
from bodega.control.api.refusals import Refusal
from bodega.control.api.tokens import forget_limits
from bodega.control.service import Control
from bodega.distributions import Declarations, meant_for
from bodega.protocol.api import Configuration, Edge, Heard, Heartbeat, Invitation, Invite, Register
from bodega.protocol.events import EdgeDrained, EdgeRegistered, EdgeRemoved, Name, TokenRevoked

router = APIRouter(prefix="/v1/edges", tags=["edges"])

_Edge = Annotated[Name, Path(description="The edge's name.")]


@router.get("")
async def list_edges(_: Reader, control: ControlHere) -> list[Edge]:
    """List the edges of the fleet."""
    return [_report(control, name) for name in sorted(control.state.edges)]


@router.post("/invitations", status_code=201)
async def invite(asked: Invite, by: Administrator, control: ControlHere, request: Request) -> Invitation:
    """Make a token for one edge, and the command to run on its machine. An earlier invitation of it ends."""
    if asked.name in control.state.edges:
        raise Refusal(
            409,
            f'"{asked.name}" belongs to the fleet already',
            hint=f"another token for it: `bodega tokens make NAME --edge {asked.name}`; another edge: another name",
        )
    earlier = [token.id for token in control.state.tokens.values() if token.edge == asked.name]
    if earlier:
        await _revoke(control, earlier, by.name)
    expires_ms = None
    if asked.expires_in_seconds is not None:
        expires_ms = control.wall_ms() + int(asked.expires_in_seconds * 1000)
    created, token = await control.make_token(
        asked.name, ("edges",), by=by.name, expires_ms=expires_ms, edge=asked.name
    )
    url = (asked.url or str(request.base_url)).rstrip("/")
    return Invitation(
        name=asked.name,
        token=token,
        token_id=created.id,
        command=_command(asked, url, token),
        expires_ms=expires_ms,
    )


@router.get("/{edge}")
async def show_edge(edge: _Edge, _: Reader, control: ControlHere) -> Edge:
    """Show one edge."""
    _known(control, edge)
    return _report(control, edge)


@router.put("/{edge}")
async def register(edge: _Edge, asked: Register, by: EdgeItself, control: ControlHere) -> Edge:
    """Join the fleet, or say something else of oneself than before."""
    slow_down(control, by)
    _refuse_other(control, edge, asked.instance, asked.replaces)
    said = EdgeRegistered(
        edge=edge,
        region=asked.region,
        kind=asked.kind,
        place=asked.place,
        capacity=asked.capacity,
        runs=asked.version,
    )
    kept = control.state.edges.get(edge)
    if kept is None or kept.said != said:
        await control.append(said.event(by=by.name))
    control.presence.hear(edge, asked.instance, every_seconds=asked.heard_every_seconds)
    return _report(control, edge)


@router.post("/{edge}/heartbeat")
async def heartbeat(edge: _Edge, said: Heartbeat, _: EdgeItself, control: ControlHere) -> Heard:
    """Say that one is here, and how far. `short_way` answers all of them that can be answered well."""
    if edge not in control.state.edges:
        raise Refusal(404, f'"{edge}" does not belong to the fleet', hint="register it first")
    _refuse_other(control, edge, said.instance)
    return control.hear(edge, said)


@router.get("/{edge}/configuration")
async def configuration(
    edge: _Edge, _: EdgeItself, control: ControlHere, revision: Annotated[int, Query(ge=0)] = 0
) -> Configuration:
    """Fetch the configuration that is meant for an edge; revision 0 is the one in force."""
    kept = control.state.edges.get(edge)
    if kept is None:
        raise Refusal(404, f'"{edge}" does not belong to the fleet', hint="register it first")
    whole = with_text(control, kept_revision(control, revision))
    return whole.model_copy(update={"text": _own_text(whole.text, edge, kept.said.region)})


@router.post("/{edge}/drain")
async def drain(edge: _Edge, by: Administrator, control: ControlHere) -> Edge:
    """Give an edge no new clients."""
    return await _set_drained(control, edge, True, by.name)


@router.post("/{edge}/resume")
async def resume(edge: _Edge, by: Administrator, control: ControlHere) -> Edge:
    """Give a drained edge clients again."""
    return await _set_drained(control, edge, False, by.name)


@router.delete("/{edge}", status_code=204)
async def remove(edge: _Edge, by: Administrator, control: ControlHere) -> None:
    """Take an edge out of the fleet, and end the tokens that are for it alone.

    With a token for several edges, one that is still running registers again: stop it first.
    """
    _known(control, edge)
    own = [token.id for token in control.state.tokens.values() if token.edge == edge]
    if own:
        await _revoke(control, own, by.name)
    await control.append(EdgeRemoved(edge=edge).event(by=by.name))
    control.presence.forget(edge)
    control.progress.forget(edge)


async def _revoke(control: Control, token_ids: list[str], by: str) -> None:
    await control.append(*(TokenRevoked(id=token_id).event(by=by) for token_id in token_ids))
    for token_id in token_ids:
        forget_limits(control, token_id)


def _command(asked: Invite, url: str, token: str) -> str:
    """Return what is typed on the edge's machine. What was not said is left to its own settings."""
    said: dict[str, str | None] = {
        "--control": url,
        "--name": asked.name,
        "--region": asked.region,
        "--kind": asked.kind,
        "--place": None if asked.place is None else f"{asked.place[0]:g},{asked.place[1]:g}",
        "--capacity": None if asked.capacity is None else f"{asked.capacity:g}",
    }
    options = [part for option, value in said.items() if value is not None for part in (option, value)]
    return f"BODEGA_TOKEN={shlex.quote(token)} {shlex.join(['bodega', 'edge', *options])}"


@lru_cache(maxsize=4)
def _declarations(text: str) -> Declarations:
    # All of a fleet ask for the same at once.
    return parse_config(text).declarations


@lru_cache(maxsize=256)
def _own_text(text: str, edge: str, region: str) -> str:
    declarations = _declarations(text)
    own = meant_for(declarations, edge, region)
    return text if own is declarations else to_text(own)


async def _set_drained(control: Control, edge: str, drained: bool, by: str) -> Edge:
    _known(control, edge)
    if control.state.edges[edge].drained != drained:
        await control.append(EdgeDrained(edge=edge, drained=drained).event(by=by))
    return _report(control, edge)


def _known(control: Control, edge: str) -> None:
    if edge not in control.state.edges:
        raise Refusal(404, f'there is no edge "{edge}"', hint="`bodega edges` lists them")


def _refuse_other(control: Control, edge: str, instance: str, replaces: str | None = None) -> None:
    if control.presence.other_instance(edge, instance) and not control.presence.is_instance(edge, replaces):
        raise Refusal(
            409,
            f'another edge that is called "{edge}" is here',
            hint="give this one another name, or stop the other one: after three missed heartbeats its name is free",
        )


def _report(control: Control, name: str) -> Edge:
    kept = control.state.edges[name]
    last = control.presence.last(name)
    said = None if last is None else last.heartbeat
    position = control.presence.position(name)
    return Edge(
        name=name,
        region=kept.said.region,
        kind=kept.said.kind,
        place=kept.said.place,
        capacity=kept.said.capacity,
        version=kept.said.runs,
        drained=kept.drained,
        is_here=control.presence.is_here(name),
        position=position,
        behind=None if position is None else max(0, control.state.position - position),
        revision=None if said is None else said.revision,
        problem="" if said is None else said.problem,
        load=0.0 if said is None else said.load,
        hit_rate=0.0 if said is None else said.hit_rate,
        last_heard_ms=None if last is None else last.heard_ms,
    )
