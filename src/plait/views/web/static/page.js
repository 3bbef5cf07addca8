// Building and changing the page. Text only ever becomes text: nothing is parsed as HTML.

export const by = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Touches the page only where something has changed: screen readers and selections stay undisturbed.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function say(text) {
  write(by("told"), text);
}

// Children by key: made once, then updated, in the order of `items`.
export function keyed(parent, items, key, create, update) {
  const former = (parent.byKey ??= new Map());
  const seen = new Set();
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    seen.add(name);
    let child = former.get(name);
    if (!child) former.set(name, (child = create(item)));
    update(child, item);
    if (child !== place) parent.insertBefore(child, place);
    else place = place.nextElementSibling;
  }
  for (const [name, child] of former) {
    if (!seen.has(name)) { child.remove(); former.delete(name); }
  }
}

// A table: columns are {title, text | fill, number, wrap, sort}.
export function table(element, columns, rows, key, { none, sort, onSort } = {}) {
  if (!element.tBodies.length) {
    element.append(make("thead", {}, make("tr")), make("tbody"));
    for (const column of columns) {
      const head = make("th", { scope: "col", class: column.number ? "number" : null });
      if (column.sort && onSort) head.append(make("button", { type: "button", onclick: () => onSort(column.sort) }, column.title));
      else head.append(column.title);
      element.tHead.rows[0].append(head);
    }
    element.none = make("p", { class: "none" }, none ?? "none");
    element.after(element.none);
  }
  columns.forEach((column, index) => {
    const head = element.tHead.rows[0].cells[index];
    if (column.sort && sort) {
      const order = column.sort === sort ? (column.ascending ? "ascending" : "descending") : null;
      if (order) head.setAttribute("aria-sort", order); else head.removeAttribute("aria-sort");
    }
  });
  element.hidden = rows.length === 0;
  element.none.hidden = rows.length > 0;
  keyed(element.tBodies[0], rows, key,
    () => make("tr", {}, ...columns.map((column) => make("td", { class: [column.number && "number", column.wrap && "wrap"].filter(Boolean).join(" ") || null }))),
    (row, item) => columns.forEach((column, index) => {
      if (column.fill) column.fill(row.cells[index], item);
      else write(row.cells[index], column.text(item));
    }));
}
