// Shows where this page and its pictures came from: Cache-Status (RFC 9211), and how long each took.
"use strict";

async function look(address) {
  const began = performance.now();
  // "reload" passes over the browser's own cache, so that it is the edge that answers.
  const response = await fetch(address, { cache: "reload" });
  await response.arrayBuffer();
  const said = response.headers.get("Cache-Status") || "no Cache-Status: straight from the origin";
  return { address, said, milliseconds: performance.now() - began };
}

function line(seen) {
  const row = document.createElement("div");
  const kind = /;\s*hit/.test(seen.said) ? "hit" : "miss";
  const said = document.createElement("span");
  said.className = kind;
  said.textContent = seen.said;
  row.append(`${new URL(seen.address).pathname}  ${seen.milliseconds.toFixed(0)} ms  `, said);
  return row;
}

async function show() {
  const bar = document.createElement("div");
  bar.id = "from";
  document.body.append(bar);
  const picture = document.querySelector("main img");
  const addresses = [location.href].concat(picture ? [picture.src] : []);
  for (const address of addresses) {
    bar.append(line(await look(address)));
  }
}

addEventListener("load", () => show().catch((error) => console.warn(error)));
