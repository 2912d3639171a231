"use strict";
// Asks the server and shows what it finds. All text goes in as text: names in an index are anybody's.

const $ = (id) => document.getElementById(id);
const state = {figure: null, question: null, asked: 0, poser: null, people: [], playing: 0};

/** An element with attributes, and children or text. */
function made(tag, attributes = {}, ...children) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

function tell(text, wrong = false) {
  $("told").textContent = text;
  $("told").classList.toggle("wrong", wrong);
}

/** What the server answers; an Error with its words otherwise. */
async function call(address, options) {
  const answer = await fetch(address, options);
  const told = await answer.json().catch(() => ({detail: `the server says ${answer.status}`}));
  if (!answer.ok) throw new Error(typeof told.detail === "string" ? told.detail : "the question is not understood");
  return told;
}

function filters() {
  const terms = [];
  for (const name of ["recording", "person", "time"]) if ($(name).value.trim()) terms.push(`${name}=${$(name).value.trim()}`);
  return terms;
}

/** Ask, and show what is found; a later question wins. */
async function ask(question) {
  state.question = question;
  const mine = ++state.asked;
  const view = $("invariant").checked ? "invariant" : "camera";
  const body = JSON.stringify({...question, view, k: Math.max(1, Math.min(100, Number($("count").value) || 20)), where: filters()});
  tell("Looking ...");
  try {
    const found = await call("/api/search", {method: "POST", headers: {"Content-Type": "application/json"}, body});
    if (mine === state.asked) show(found);
  } catch (error) {
    if (mine === state.asked) { $("hits").replaceChildren(); tell(error.message, true); }
  }
}

const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(2).padStart(5, "0")}`;

function show(found) {
  tell(found.hits.length ? `${found.hits.length} places like ${found.told}` : `nothing is like ${found.told}`);
  $("hits").replaceChildren(...found.hits.map((hit) => card(hit, found.view)));
}

function card(hit, view) {
  const pictures = made("div", {className: "pictures"});
  if (hit.thumbnail) pictures.append(made("img", {src: `/api/thumbnail/${hit.row}`, alt: "", loading: "lazy"}));
  const canvas = made("canvas", {width: 160, height: 180});
  canvas.setAttribute("aria-hidden", "true");
  pictures.append(canvas);
  drawFigure(canvas, hit.figure, state.figure, state.poser.yaw, state.poser.pitch, -1);
  const who = [hit.person && `person ${hit.person}`, hit.action, hit.camera].filter(Boolean).join(", ");
  const span = hit.end > hit.start ? `, ${clock(hit.start)} to ${clock(hit.end)}` : "";
  const near = view === "camera" ? `cosine ${hit.near.toFixed(3)}` : `distance ${hit.near.toFixed(2)}`;
  const button = (text, act) => { const b = made("button", {type: "button", textContent: text}); b.onclick = act; return b; };
  const one = made("article", {}, pictures,
    made("p", {}, made("b", {textContent: hit.recording}), ` at ${clock(hit.time)}${span}`),
    made("p", {textContent: [who, near].filter(Boolean).join("; ")}),
    made("div", {className: "row"},
      button("Jump", () => jump(hit)),
      button("Like this", () => ask({row: hit.row})),
      button("Movement", () => ask({row: hit.row, movement: true})),
      button("Pose it", () => { state.poser.set(hit.figure); $("figure").focus(); })));
  one.dataset.row = hit.row;
  return one;
}

/** The moment of a hit: its film, or its figure moving. */
async function jump(hit) {
  const [video, image, canvas, frame] = ["video", "img", "canvas", "i"].map((tag) => document.querySelector(`#screen > ${tag}`));
  for (const element of [video, image, canvas, frame]) element.hidden = true;
  $("moment").textContent = `${hit.recording} at ${clock(hit.time)}`;
  $("player").showModal();
  const address = `/api/footage/${hit.row}`;
  const boxed = (shown, wide) => {
    if (!hit.box || !wide) return;
    const scale = shown.clientWidth / wide, left = shown.offsetLeft, top = shown.offsetTop;
    const [x, y, w, h] = hit.box.map((side) => side * scale);
    Object.assign(frame.style, {left: `${left + x}px`, top: `${top + y}px`, width: `${w}px`, height: `${h}px`});
    frame.hidden = false;
  };
  const figure = () => { video.hidden = image.hidden = true; play(hit, canvas); };
  if (hit.film === "photo") {
    image.hidden = false; image.onerror = figure;
    image.onload = () => boxed(image, image.naturalWidth);
    image.src = address;
  } else if (hit.film === "film") {
    video.hidden = false; video.onerror = figure;
    video.onloadedmetadata = () => { video.currentTime = hit.time; };
    video.onseeked = () => { if (Math.abs(video.currentTime - hit.time) < 0.05) boxed(video, video.videoWidth); };
    video.onplay = () => { frame.hidden = true; };
    video.src = address;
  } else figure();
}

async function play(hit, canvas) {
  canvas.hidden = false;
  const mine = ++state.playing, {time, figures} = await call(`/api/around/${hit.row}`);
  const begun = performance.now(), lasts = time[time.length - 1] - time[0] || 1;
  const step = () => {
    if (mine !== state.playing || !$("player").open) return;
    const now = time[0] + ((performance.now() - begun) / 1000) % (lasts + 0.5);
    const at = time.findLastIndex((t) => t <= now);
    drawFigure(canvas, figures[Math.max(0, at)], state.figure, state.poser.yaw, state.poser.pitch, -1);
    requestAnimationFrame(step);
  };
  step();
}

function closePlayer() {
  state.playing++;
  const video = document.querySelector("#screen > video");
  video.onerror = null;
  video.pause(); video.removeAttribute("src"); video.load();
  $("player").close();
}

/** Hand in a photo or film, and look for who is seen largest. */
async function hand(file) {
  if (!file) return;
  tell(`Looking at ${file.name} ...`);
  $("people").replaceChildren();
  try {
    const {people} = await call("/api/look", {method: "POST", body: file});
    state.people = people;
    const questions = people.flatMap((person) => [
      person.places && [person, "pose", {places: person.places}],
      person.clip && [person, "movement", {clip: person.clip, movement: true}],
    ]).filter(Boolean);
    if (!questions.length) throw new Error("nobody is seen well enough; hips and shoulders must be seen");
    const buttons = questions.map(([person, what, question]) => {
      const b = made("button", {type: "button"}, made("img", {src: person.picture, alt: `person ${person.name}`}), made("span", {textContent: what}));
      b.onclick = () => { for (const other of buttons) other.setAttribute("aria-pressed", other === b); ask(question); };
      return b;
    });
    $("people").replaceChildren(...buttons);
    buttons[0].click();
  } catch (error) { tell(error.message, true); }
}

async function begin() {
  const about = await call("/api/about");
  state.figure = about.figure;
  $("about").textContent = `${about.poses.toLocaleString()} poses of ${about.sources.length} recordings`;
  $("invariant").disabled = !about.views.includes("camera");
  const poser = state.poser = new Poser($("figure"), about.figure, () => {});
  about.figure.joints.forEach((name, joint) => $("joint").append(made("option", {value: joint, textContent: name.replaceAll("_", " ")})));
  $("joint").value = poser.chosen;
  $("joint").onchange = () => poser.choose(Number($("joint").value));
  $("figure").addEventListener("choose", () => { $("joint").value = poser.chosen; });
  $("mirror").onclick = () => poser.mirror();
  $("reset").onclick = () => poser.reset();
  $("pose").onclick = () => ask({pose: poser.pose, seen: poser.seen()});
  $("file").onchange = () => hand($("file").files[0]);
  const drop = $("drop");
  for (const name of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop") hand(event.dataTransfer.files[0]);
    });
  }
  drop.addEventListener("keydown", (event) => { if (event.key === "Enter") $("file").click(); });
  for (const name of ["invariant", "count", "recording", "person", "time"]) {
    $(name).addEventListener("change", () => { if (state.question) ask(state.question); });
  }
  $("close").onclick = closePlayer;
  $("player").addEventListener("cancel", closePlayer);
}

begin().catch((error) => tell(error.message, true));
