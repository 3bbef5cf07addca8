// The page: asks who we are, listens to the stream of snapshots, and shows each.

import { by, keyed, make, say, table, write } from "./page.js";
import { Charts, colour } from "./chart.js";
import * as format from "./format.js";

const MODES = ["on", "master", "backup", "handover", "off"];
const SPANS = [["live", "Live"], ["hour", "Hour"], ["day", "Day"], ["week", "Week"], ["month", "Month"], ["year", "Year"]];
const FIGURES = [["traffic", "Traffic"], ["rtt", "Round trip"], ["loss", "Loss"]];
const STATES = { up: "good", open: "good", waiting: "warn", benched: "warn", degraded: "warn", down: "bad", spent: "bad", ok: "good" };
const KEPT = 300;
const AGAIN = 2000;
const OVERDUE = 6000;

let token = "";
let mayChange = false;
let stream = null;
let heard = 0;
let lostSince = 0;
let charts = null;
let span = "live";
let live = { step: 1, times: [], paths: {} };
let order = [];
let former = new Map();
let last = null;
let sort = "rate";
let asking = false;
let sessions = [];
let shown = "";

class Fault extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function ask(path, options = {}) {
  const answer = await fetch(path, { credentials: "same-origin", ...options, headers: { "X-Plait-Token": token, ...(options.body ? { "Content-Type": "application/json" } : {}) } });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    if (answer.status === 401 && path !== "/api/login") begin();
    throw new Fault(answer.status, [said.error ?? `status ${answer.status}`, said.hint].filter(Boolean).join("; "));
  }
  return said;
}

// Who are we?

async function begin() {
  let me;
  try {
    me = await fetch("/api/me", { credentials: "same-origin" }).then((answer) => answer.json());
  } catch {
    lost("plait does not answer");
    setTimeout(begin, AGAIN);
    return;
  }
  token = me.token ?? "";
  mayChange = me.rights === "change";
  const inside = me.rights === "change" || me.rights === "read";
  by("login").hidden = inside;
  by("main").hidden = !inside;
  by("logout").hidden = !inside || me.open;
  if (inside) { start(); return; }
  stop();
  found();
  write(by("pulse-text"), "not logged in");
  by("pulse").className = "pulse";
  if (!me.login) write(by("login-fault"), "The config has no password to log in with.");
  by("password").focus();
}

by("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = by("password");
  write(by("login-fault"), "");
  try {
    await ask("/api/login", { method: "POST", body: JSON.stringify({ password: field.value }) });
    field.value = "";
    begin();
  } catch (fault) {
    write(by("login-fault"), fault.status === 429 ? "Too many wrong passwords; wait a little." : fault.message === "that is not the password" ? "That is not the password." : fault.message);
    field.select();
  }
});

by("logout").addEventListener("click", async () => {
  await ask("/api/logout", { method: "POST" }).catch(() => {});
  begin();
});

// The stream.

async function start() {
  charts ??= new Charts();
  stop();
  try {
    live = await ask("/api/history?span=live");
  } catch { /* the stream says it */ }
  await draw();
  stream = new EventSource("/api/stream");
  stream.onmessage = (message) => {
    heard = Date.now();
    const status = JSON.parse(message.data);
    if (status.silent) { lost("plait does not answer"); return; }
    found();
    show(status);
  };
  stream.onerror = () => {
    lost("No connection to plait");
    // A server that refuses ends an EventSource for good; one that is away does not.
    if (stream?.readyState === EventSource.CLOSED) { stop(); setTimeout(begin, AGAIN); }
  };
  heard = Date.now();
}

function stop() {
  stream?.close();
  stream = null;
}

setInterval(() => {
  if (stream && Date.now() - heard > OVERDUE) lost("Nothing has come from plait");
}, 1000);

function lost(why) {
  lostSince ||= Date.now();
  by("pulse").className = "pulse lost";
  write(by("pulse-text"), "no connection");
  const banner = by("banner");
  banner.hidden = false;
  write(banner, `${why} since ${format.clock(lostSince / 1000)}. What is shown is of then; this page tries again by itself.`);
}

function found() {
  if (lostSince && stream) say("plait answers again");
  lostSince = 0;
  by("banner").hidden = true;
  by("pulse").className = "pulse live";
  write(by("pulse-text"), "live");
}

// One snapshot.

function show(status) {
  write(by("identity"), `${status.role} · version ${status.version} · up ${format.duration(status.uptime)}`);
  order = status.paths.map((path) => path.name);
  const [down, up] = order.length ? [sum(status.paths, "rx_bps"), sum(status.paths, "tx_bps")] : payload(status);
  document.title = `${format.rate(down)} · plait`;
  big("sum-down", ...format.rateParts(down));
  big("sum-up", ...format.rateParts(up));
  // An exit alone has no paths of its own.
  for (const id of ["chart-card", "paths-card", "tile-paths"]) by(id).hidden = !order.length;
  big("sum-sessions", String(status.sessions.open), "open");
  const wanted = status.paths.filter((path) => path.mode !== "off");
  big("sum-paths", String(wanted.filter((path) => path.state === "up" || path.state === "standby").length), `of ${wanted.length}`);
  showPaths(status.paths);
  announce(status);
  by("exits-card").hidden = !status.exits.length;
  table(by("exits"), EXITS, status.exits, (exit) => exit.name);
  by("tunnels-card").hidden = !status.tunnels?.length;
  table(by("tunnels"), TUNNELS, status.tunnels ?? [], (tunnel) => tunnel.exit);
  by("users-card").hidden = !status.users.length;
  table(by("users"), USERS, status.users, (user) => user.name);
  by("devices-card").hidden = status.role === "exit";
  table(by("devices"), DEVICES, status.clients ?? [], (device) => device.mac || device.name, { none: "No device of the LAN has a session." });
  showEvents(status.events ?? []);
  append(status);
}

// What sessions have carried since the snapshot before, in bits a second.
function payload(status) {
  const { down_bytes: down, up_bytes: up } = status.sessions;
  const before = last ?? { at: status.at - 1, down, up };
  last = { at: status.at, down, up };
  const scale = 8 / Math.max(status.at - before.at, 0.1);
  return [Math.max(0, down - before.down) * scale, Math.max(0, up - before.up) * scale];
}

const sum = (rows, name) => rows.reduce((total, row) => total + row[name], 0);

function big(id, number, unit) {
  const place = by(id);
  const text = `${number} ${unit}`;
  if (place.textContent !== text) place.replaceChildren(`${number} `, make("small", {}, unit));
}

function state(element, word, className = "state") {
  write(element, word);
  const wanted = [className, STATES[word]].filter(Boolean).join(" ");
  if (element.className !== wanted) element.className = wanted;
}

function showPaths(paths) {
  keyed(by("paths"), paths, (path) => path.name, pathCard, (card, path) => {
    const part = card.parts;
    part.swatch.className = `swatch ${colour(order.indexOf(path.name))}`;
    write(part.where, path.interface === path.name ? "" : path.interface);
    const benched = path.why.startsWith("benched: ");
    state(part.state, benched ? "benched" : path.state);
    write(part.why, benched ? path.why.slice(9) : path.why || (path.state === "up" ? "in use" : ""));
    write(part.down, format.rate(path.rx_bps));
    write(part.up, format.rate(path.tx_bps));
    write(part.rtt, format.milliseconds(path.rtt_ms));
    write(part.jitter, format.milliseconds(path.jitter_ms));
    write(part.loss, format.percent(path.loss));
    write(part.subflows, String(path.subflows));
    write(part.received, format.bytes(path.rx_bytes));
    write(part.sent, format.bytes(path.tx_bytes));
    for (const button of part.modes) button.setAttribute("aria-pressed", String(button.value === path.mode));
    part.note.hidden = !path.configured || path.configured === path.mode;
    write(part.configured, `The config says ${path.configured}.`);
  });
}

function pathCard(path) {
  const part = {};
  const dd = (name) => (part[name] = make("dd", {}, "–"));
  const fact = (title, name) => make("div", {}, make("dt", {}, title), dd(name));
  part.modes = MODES.map((mode) => make("button", { type: "button", value: mode, disabled: !mayChange, onclick: (event) => setMode(path.name, mode, event.currentTarget) }, mode));
  const title = `path-${path.name}`;
  const card = make("article", { class: "card path", "aria-labelledby": title },
    make("header", {},
      (part.swatch = make("span", { class: "swatch", "aria-hidden": "true" })), make("h3", { id: title }, path.name),
      (part.where = make("span", { class: "where" })), (part.state = make("span", { class: "state" }))),
    (part.why = make("p", { class: "why" })),
    make("p", { class: "rates" },
      make("span", {}, make("span", { "aria-hidden": "true" }, "↓ "), make("span", { class: "unseen" }, "down "), (part.down = make("b"))),
      make("span", {}, make("span", { "aria-hidden": "true" }, "↑ "), make("span", { class: "unseen" }, "up "), (part.up = make("b")))),
    make("dl", { class: "facts" }, fact("Round trip", "rtt"), fact("Jitter", "jitter"), fact("Loss", "loss"),
      fact("Received", "received"), fact("Sent", "sent"), fact("Subflows", "subflows")),
    make("div", { class: "modes", role: "group", "aria-label": `Mode of ${path.name}` }, ...part.modes),
    (part.note = make("p", { class: "modes-note", hidden: true }, (part.configured = make("span")),
      make("button", { type: "button", disabled: !mayChange, onclick: (event) => setMode(path.name, "config", event.currentTarget) }, "Back to it"))));
  card.parts = part;
  return card;
}

async function setMode(path, mode, button) {
  button.disabled = true;
  try {
    const modes = await ask(`/api/paths/${encodeURIComponent(path)}`, { method: "POST", body: JSON.stringify({ mode }) });
    say(`${path} is now ${modes[path] ?? mode}`);
  } catch (fault) {
    say(`${path} stays as it is: ${fault.message}`);
    const banner = by("banner");
    banner.hidden = false;
    write(banner, `${path} stays as it is: ${fault.message}`);
  } finally {
    button.disabled = false;
  }
}

// A screen reader hears what has changed, and not each figure.
function announce(status) {
  const now = new Map([...status.paths.map((path) => [`path ${path.name}`, path]), ...status.exits.map((exit) => [`exit ${exit.name}`, exit])]);
  const changes = [...now].filter(([name, item]) => former.has(name) && former.get(name) !== item.state)
    .map(([name, item]) => `${name} is ${item.state}${item.why ? `: ${item.why}` : ""}`);
  if (changes.length) say(changes.join("; "));
  former = new Map([...now].map(([name, item]) => [name, item.state]));
}

function showEvents(events) {
  const list = by("events");
  keyed(list, [...events].reverse(), (event) => `${event.id} ${event.at}`, (event) => make("li", {},
    make("time", { datetime: new Date(event.at * 1000).toISOString() }, Date.now() / 1000 - event.at < 43200 ? format.clock(event.at) : format.moment(event.at, 300)),
    make("span", {}, [event.kind === "plait" ? "" : `${event.kind} ${event.name}`, event.what].filter(Boolean).join(": ") + (event.why ? ` (${event.why})` : ""))), () => {});
  if (!events.length && !list.childElementCount) list.append(make("li", { class: "none" }, "Nothing has changed since plait started."));
}

// Tables.

const badge = (place, item) => {
  if (!place.firstElementChild) place.append(make("span"));
  state(place.firstElementChild, item.state);
};
const EXITS = [
  { title: "Exit", text: (exit) => exit.name },
  { title: "State", fill: badge },
  { title: "Round trip", text: (exit) => format.milliseconds(exit.rtt_ms), number: true },
  { title: "Sessions", text: (exit) => String(exit.open ?? "–"), number: true },
  { title: "Down", text: (exit) => format.rate(exit.down_bps), number: true },
  { title: "Up", text: (exit) => format.rate(exit.up_bps), number: true },
  { title: "", text: (exit) => exit.why, wrap: true },
];
const carried = (tunnel, figure) => tunnel.paths.map((path) => `${path.name} ${format.bytes(path[figure])}`).join(", ");
const TUNNELS = [
  { title: "To exit", text: (tunnel) => tunnel.exit },
  { title: "State", fill: badge },
  { title: "Our addresses", text: (tunnel) => tunnel.addresses.join(", ") || "–" },
  { title: "Largest packet", text: (tunnel) => `${tunnel.mtu} B`, number: true },
  { title: "Received", text: (tunnel) => carried(tunnel, "rx_bytes"), wrap: true },
  { title: "Sent", text: (tunnel) => carried(tunnel, "tx_bytes"), wrap: true },
  { title: "Sent again", text: (tunnel) => String(tunnel.resent), number: true },
  { title: "Left out", text: (tunnel) => String(tunnel.dropped + tunnel.refused + tunnel.given_up), number: true },
];
const USERS = [
  { title: "User", text: (user) => user.name },
  { title: "State", fill: badge },
  { title: "Sessions", text: (user) => String(user.open), number: true },
  { title: "Up", text: (user) => format.bytes(user.up_bytes), number: true },
  { title: "Down", text: (user) => format.bytes(user.down_bytes), number: true },
  { title: "Used", text: (user) => format.bytes(user.used_bytes) + (user.volume ? ` of ${format.bytes(user.volume)}` : ""), number: true },
];
const DEVICES = [
  { title: "Device", text: (device) => device.name },
  { title: "Address", text: (device) => device.addresses.filter((address) => address !== device.name).join(", ") || device.mac },
  { title: "Sessions", text: (device) => String(device.open), number: true },
  { title: "Down", text: (device) => format.rate(device.down_bps), number: true },
  { title: "Up", text: (device) => format.rate(device.up_bps), number: true },
  { title: "Received", text: (device) => format.bytes(device.down_bytes), number: true },
  { title: "Sent", text: (device) => format.bytes(device.up_bytes), number: true },
];
const SESSIONS = [
  { title: "Client", text: (each) => each.client, sort: "client", ascending: true },
  { title: "Target", text: (each) => each.target, sort: "target", ascending: true },
  { title: "Exit", text: (each) => each.exit || each.user || "", sort: "exit", ascending: true },
  { title: "Down", text: (each) => format.rate(each.down_bps), number: true, sort: "down" },
  { title: "Up", text: (each) => format.rate(each.up_bps), number: true, sort: "up" },
  { title: "Bytes", text: (each) => format.bytes(each.up_bytes + each.down_bytes), number: true, sort: "bytes" },
  { title: "Age", text: (each) => format.duration(each.age), number: true, sort: "age" },
  { title: "Paths", fill: fillPaths },
];

function fillPaths(place, each) {
  const flows = each.subflows ?? [];
  const names = flows.map((flow) => (flow.path || flow.local) + (flow.backup ? " (stands by)" : "")).join(", ") || each.transport || "";
  if (place.names === names) return;
  place.names = names;
  if (!flows.length) { place.replaceChildren(names); return; }
  place.replaceChildren(make("button", { type: "button", class: "flows", "aria-label": `Paths of this session: ${names}. Details`, onclick: () => showDetails(each.id) },
    ...flows.map((flow) => make("span", { class: flow.backup ? "spare" : null }, swatch(flow), `${flow.path || flow.local} `))));
}

const swatch = (flow) => make("span", { class: `swatch ${order.includes(flow.path) ? colour(order.indexOf(flow.path)) : ""}`, "aria-hidden": "true" });

// One session and its subflows, kept up to date while they are looked at.
const SUBFLOWS = [
  { title: "Path", fill: (place, flow) => { if (!place.firstChild) place.append(swatch(flow), flow.path || flow.local); } },
  { title: "State", text: (flow) => (flow.backup ? "stands by" : flow.state) },
  { title: "Round trip", text: (flow) => format.milliseconds(flow.rtt_ms), number: true },
  { title: "Window", text: (flow) => `${flow.cwnd}`, number: true },
  { title: "Received", text: (flow) => format.bytes(flow.rx_bytes), number: true },
  { title: "Sent", text: (flow) => format.bytes(flow.tx_bytes), number: true },
  { title: "Sent again", text: (flow) => format.bytes(flow.retrans_bytes), number: true },
  { title: "From", text: (flow) => flow.local },
  { title: "To", text: (flow) => flow.remote },
];

function showDetails(id) {
  shown = id;
  fillDetails();
  by("details").showModal();
}

function fillDetails() {
  const each = sessions.find((session) => session.id === shown);
  if (!each) { if (shown) write(by("details-title"), "This session is over, or no longer among those listed."); return; }
  write(by("details-title"), `${each.client} to ${each.target}`);
  const facts = [each.exit ? ["Exit", each.exit] : ["User", each.user || "–"], ["Carried by", each.transport || "–"], ["Token", each.token || "–"], ["Down", format.rate(each.down_bps)], ["Up", format.rate(each.up_bps)], ["Age", format.duration(each.age)]];
  keyed(by("details-facts"), facts, ([title]) => title, ([title]) => make("div", {}, make("dt", {}, title), make("dd")), (place, [, text]) => write(place.lastChild, text));
  table(by("subflows"), SUBFLOWS, each.subflows ?? [], (flow) => `${flow.local} ${flow.remote}`);
}

by("details").addEventListener("close", () => { shown = ""; });

async function showSessions() {
  if (asking || !stream || document.hidden) return;
  asking = true;
  try {
    const query = new URLSearchParams({ sort, limit: "100", filter: by("filter").value.trim() });
    const found = await ask(`/api/connections?${query}`);
    const rows = (sessions = found.connections ?? []);
    fillDetails();
    table(by("sessions"), SESSIONS, rows, (each) => each.id, { none: "No session matches.", sort, onSort: (name) => { sort = sort === name ? "rate" : name; showSessions(); } });
    const matched = found.matched ?? rows.length;
    write(by("sessions-count"), rows.length < matched ? `the first ${rows.length} of ${matched}` : `${matched}`);
  } catch { /* the banner says it */ } finally {
    asking = false;
  }
}

let typing = 0;
by("filter").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(showSessions, 200); });
setInterval(showSessions, 2000);

// Charts.

function append(status) {
  const at = status.at || Date.now() / 1000;
  if (live.times.length && at <= live.times.at(-1)) return;
  live.times.push(at);
  for (const path of status.paths) {
    const curve = (live.paths[path.name] ??= { tx: [], rx: [], rtt: [], loss: [] });
    const works = path.state === "up" || path.state === "standby";
    const now = { tx: path.tx_bps, rx: path.rx_bps, rtt: works ? path.rtt_ms : null, loss: works ? path.loss : null };
    for (const figure of Object.keys(curve)) {
      while (curve[figure].length < live.times.length - 1) curve[figure].push(null);
      curve[figure].push(now[figure]);
    }
  }
  for (const curve of Object.values(live.paths)) {
    for (const values of Object.values(curve)) while (values.length < live.times.length) values.push(null);
  }
  const drop = live.times.length - KEPT;
  if (drop > 0) {
    live.times.splice(0, drop);
    for (const curve of Object.values(live.paths)) for (const values of Object.values(curve)) values.splice(0, drop);
  }
  if (span === "live") charts.set(live, order);
}

async function draw() {
  if (!charts) return;
  if (span === "live") { charts.set(live, order); write(by("chart-note"), "The last five minutes."); return; }
  try {
    const curves = await ask(`/api/history?span=${span}`);
    if (span === "live") return;
    charts.set(curves, order);
    write(by("chart-note"), curves.why ? `No history: ${curves.why}.` : `Each point stands for ${format.duration(curves.step)}.`);
  } catch (fault) {
    write(by("chart-note"), fault.message);
  }
}

function choices(id, words, chosen, choose) {
  const group = by(id);
  group.append(...words.map(([value, title]) => make("button", { type: "button", value, "aria-pressed": String(value === chosen), onclick: (event) => {
    for (const button of group.children) button.setAttribute("aria-pressed", String(button === event.currentTarget));
    choose(value);
  } }, title)));
}

choices("spans", SPANS, span, (value) => { span = value; draw(); });
choices("figures", FIGURES, "traffic", (value) => charts?.show(value));
setInterval(() => { if (span !== "live" && stream && !document.hidden) draw(); }, 15000);

begin();
