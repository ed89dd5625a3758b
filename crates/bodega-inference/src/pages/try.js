"use strict";
// A form from the model's signature; what it says is asked of /predict beside this page.
(() => {
  const model = JSON.parse(document.getElementById("model").textContent);
  const at = (id) => document.getElementById(id);
  const target = location.pathname.replace(/\/+$/, "") + "/predict";
  const mostFields = 128;

  const make = (name, properties, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  const isWhole = (type) => type.startsWith("int") || type.startsWith("uint");
  const isNumber = (type) => isWhole(type) || /^b?float/.test(type);

  // One element: a field of its kind, and how to read and write it.
  const element = (type, id) => {
    if (type === "bool") {
      const field = make("select", { id }, make("option", { value: "true" }, "true"), make("option", { value: "false" }, "false"));
      return { field, read: () => field.value, write: (value) => { field.value = String(value); } };
    }
    const field = make("input", { id, type: "text", required: isNumber(type), autocomplete: "off", spellcheck: false });
    if (isNumber(type)) field.inputMode = isWhole(type) ? "numeric" : "decimal";
    return {
      field,
      // A number goes out as it was typed: 64 bits do not fit into what a script calls a number.
      read: () => (isNumber(type) ? number(field) : JSON.stringify(field.value)),
      write: (value) => { field.value = String(value); },
    };
  };

  const number = (field) => {
    const text = field.value.trim();
    if (/^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$/.test(text)) return text;
    field.focus();
    throw new Error(`"${field.value}" is no number`);
  };

  // One input: fields for a few elements on one axis, else JSON in a text.
  const input = (port, index) => {
    const { name, type, shape } = port;
    const legend = make("legend", {}, make("code", {}, `${name} ${type}[${shape.map((axis) => axis ?? "?").join(", ")}]`));
    const count = shape.length === 0 ? 1 : shape.length === 1 ? shape[0] : null;
    if (count !== null && count <= mostFields) {
      const fields = Array.from({ length: count }, (_, place) => element(type, `input-${index}-${place}`));
      const labelled = fields.map(({ field }, place) =>
        make("div", {}, make("label", { htmlFor: field.id }, shape.length ? `${name}[${place}]` : name), field));
      return {
        box: make("fieldset", {}, legend, make("div", { className: "numbers" }, ...labelled)),
        read: () => {
          const values = fields.map((each) => each.read());
          return shape.length ? `[${values.join(", ")}]` : values[0];
        },
        write: (value) => fields.forEach((each, place) => each.write(shape.length ? value[place] : value)),
      };
    }
    const field = make("textarea", { id: `input-${index}`, required: true, spellcheck: false });
    field.setAttribute("aria-label", `${name} as JSON`);
    return {
      box: make("fieldset", {}, legend, field),
      read: () => {
        JSON.parse(field.value);
        return field.value.trim();
      },
      write: (value) => { field.value = JSON.stringify(value); },
    };
  };

  const inputs = model.inputs.map(input);
  at("inputs").append(...inputs.map((each) => each.box));

  const body = () => {
    const values = inputs.map((each) => each.read());
    const named = model.inputs.map((port, place) => `${JSON.stringify(port.name)}: ${values[place]}`);
    return `{"features": ${model.inputs.length === 1 ? values[0] : `{${named.join(", ")}}`}}`;
  };

  const showExample = () => {
    const example = model.example;
    model.inputs.forEach((port, place) => {
      const isNamed = example !== null && typeof example === "object" && !Array.isArray(example);
      const value = isNamed ? example[port.name] : example;
      if (value !== undefined) inputs[place].write(value);
    });
    showCurl();
  };

  // One word of a shell, whatever is in it: an address comes from whoever wrote the link.
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

  const showCurl = () => {
    try {
      at("curl").textContent = `curl -s ${quote(location.origin + target)} -d ${quote(body())}`;
    } catch {
      at("curl").textContent = "";
    }
  };

  const show = (...children) => at("answer").replaceChildren(...children);

  const facts = (pairs) => {
    const list = make("dl", {});
    for (const [name, value, kind] of pairs) {
      if (value) list.append(make("dt", {}, name), make("dd", { className: kind ?? "" }, value));
    }
    return list;
  };

  const ask = async () => {
    let asked;
    try {
      asked = body();
    } catch (error) {
      show(make("p", { className: "bad" }, error.message));
      return;
    }
    const began = performance.now();
    try {
      const answer = await fetch(target, { method: "POST", headers: { "Content-Type": "application/json" }, body: asked });
      const text = await answer.text();
      const took = `${(performance.now() - began).toFixed(1)} ms`;
      const status = answer.headers.get("Cache-Status");
      let told = {};
      try {
        told = JSON.parse(text);
      } catch {
        told = { error: text };
      }
      if (answer.ok) {
        // The text itself, cut out by what stands before and behind it: 64 bits again.
        const end = text.lastIndexOf(',"cached":');
        const written = text.startsWith('{"prediction":') && end > 0 ? text.slice(14, end) : JSON.stringify(told.prediction);
        show(
          make("pre", {}, make("output", { id: "prediction" }, written)),
          facts([
            ["from", told.cached ? "the cache" : "the model", "good"],
            ["took", took],
            ["Cache-Status", status],
            ["version", told.version],
          ]),
        );
      } else {
        show(
          make("p", { className: "bad" }, told.error ?? text),
          facts([["status", String(answer.status)], ["field", told.field], ["expected", told.expected], ["given", told.given], ["took", took], ["Cache-Status", status]]),
        );
      }
    } catch (error) {
      show(make("p", { className: "bad" }, `no answer: ${error.message}`));
    }
  };

  at("form").addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  at("form").addEventListener("input", showCurl);
  at("example").addEventListener("click", showExample);
  at("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(at("curl").textContent);
      at("copy").textContent = "Copied";
    } catch {
      // Without TLS there is no clipboard: what is selected can be copied by hand.
      getSelection().selectAllChildren(at("curl"));
    }
  });
  showExample();
})();
