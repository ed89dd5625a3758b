"""Declarations that type-check, and some that must not: mypy fails where an ignored error is gone."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

from bodega.distributions import (
    S3,
    Answer,
    Behavior,
    CachePolicy,
    Declarations,
    Deny,
    Distribution,
    ForwardRules,
    HeaderEdits,
    Health,
    HttpOrigin,
    KeyRules,
    OriginGroup,
    Redirect,
)
from bodega.edge import EdgeServer, EdgeStats, Request, Response

shop = Distribution(
    "shop",
    hosts=["shop.example.com"],
    behaviors=[
        Behavior("/images/*", origin=S3("shop-images"), policy="immutable"),
        Behavior(["/a", "/b"], methods=["GET", "HEAD"], origin="site", strip_prefix="/a", allow="10.0.0.0/8"),
        Behavior("/old", redirect="https://shop.example.com/new"),
        Behavior("/older", redirect=Redirect("/new", status=308)),
        Behavior("/gone", answer=Answer(status=410, body="gone", headers={"x-a": "1"})),
        Behavior(origin="https://www.example.com", policy=CachePolicy(default_ttl="24h")),
        Behavior(origin=HttpOrigin("https://www.example.com", host="viewer"), request_headers=HeaderEdits()),
        Behavior(origin=OriginGroup(["site", "https://b.example", S3("files")], failover=[503])),
        Behavior(origin=HttpOrigin("https://www.example.com", health=Health(max_failures=5, retry_after="2s"))),
    ],
)
policy = CachePolicy(
    extends=CachePolicy(extends="api"),
    default_ttl=timedelta(hours=1),
    min_ttl=0,
    negative_ttl={404: "10s"},
    strict="off",
    refresh_every="10m",
    key=KeyRules(query=Deny(["utm_source"]), cookies=["session"]),
    forward=ForwardRules(query="all", headers=["authorization"]),
    max_object="1GiB",
)
Declarations(origins={"site": HttpOrigin("https://x.example")}, policies={"p": policy}, distributions=[shop])


async def ask(edge: EdgeServer) -> None:
    assert_type(edge.request("GET", "/", headers={"a": "b"}, body=b""), Response)
    assert_type(await edge.handle_request(Request("/predict", {"x": 1.0})), Response)
    assert_type(edge.stats(), EdgeStats)
    assert_type(edge.metrics.get_stats(), dict[str, float])
    assert_type(edge.invalidate("all"), int)
    with edge as same:
        assert_type(same, EdgeServer)


EdgeServer("eu", distribution=shop, listen=["127.0.0.1:0"], memory="1GB", threads=2)
EdgeServer(origin_url="https://x.example", ttl=0)

# A number needs a unit; zero is the same in all.
CachePolicy(default_ttl=60)  # type: ignore[arg-type]
CachePolicy(max_object=1024)  # type: ignore[arg-type]
EdgeServer(origin_url="https://x.example", ttl=60)  # type: ignore[arg-type]
EdgeServer(origin_url="https://x.example", memory=512)  # type: ignore[arg-type]
# What a name means stands beside it: only what a noun is about may be without.
Behavior("/a", "https://x.example")  # type: ignore[call-arg]
CachePolicy("web")  # type: ignore[call-arg]
EdgeServer("eu", "https://x.example")  # type: ignore[call-arg]
# Nouns and not tables.
Distribution("a", behaviors=[{"origin": "x"}])  # type: ignore[list-item]
HttpOrigin("https://x.example", health={"max_failures": 5})  # type: ignore[arg-type]
OriginGroup([OriginGroup(["a", "b"]), "c"])  # type: ignore[list-item]
CachePolicy(key={"query": "all"})  # type: ignore[arg-type]
Behavior(answer={"status": 200})  # type: ignore[arg-type]
# Nouns do not change.
shop.name = "other"  # type: ignore[misc]
EdgeServer().invalidate(b"all")  # type: ignore[arg-type]
