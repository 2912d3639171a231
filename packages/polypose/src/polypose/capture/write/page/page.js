// What the user does: time, keys, switches, turning the room.

const at = (id) => document.getElementById(id);
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const state = {frame: 0, seconds: 0, playing: false, speed: 1,
  shown: {seen: true, found: true, names: motion.people.length > 1, spread: false, cameras: motion.views.length > 0}};
const last = times.length - 1;

function show() {
  film.draw(state.frame, state.shown);
  space.draw(state.frame, state.shown);
  at("time").value = state.frame;
  at("clock").firstChild.textContent = clock(times[state.frame] + motion.starts);
  at("clock").lastChild.textContent = `· frame ${state.frame * motion.frames}`;
}

function clock(seconds) {
  const whole = Math.floor(seconds / 60);
  return `${whole}:${(seconds - 60 * whole).toFixed(2).padStart(5, "0")}`;
}

/** Go to a frame, the film too. */
function goTo(frame) {
  state.frame = Math.max(0, Math.min(last, frame));
  state.seconds = times[state.frame];
  film.seek(state.seconds);
  if (state.playing) play();
  show();
}

function play() {
  if (!state.playing && state.frame === last) { state.frame = 0; state.seconds = 0; }
  state.playing = last > 0;
  at("play").setAttribute("aria-label", state.playing ? "pause" : "play");
  if (state.playing) film.play(state.seconds, state.speed);
}

function pause() {
  state.playing = false;
  at("play").setAttribute("aria-label", "play");
  film.pause();
  film.seek(times[state.frame]);
}

let before = 0;
function tick(now) {
  const passed = Math.min(0.25, (now - before) / 1000);
  before = now;
  if (state.playing) {
    if (film.leads(state.seconds)) state.seconds = film.seconds(); else state.seconds += passed * state.speed;
    state.frame = frameAt(state.seconds);
    show();
    if (state.seconds >= times[last]) pause();
  }
  requestAnimationFrame(tick);
}

function speed(value) {
  state.speed = value;
  at("speed").value = value;
  if (state.playing) play();
}

function nextSpeed(step) {
  speed(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(state.speed) + step))]);
}

function button(parent, text, pressed, press) {
  const made = parent.appendChild(document.createElement("button"));
  made.append(text);
  made.setAttribute("aria-pressed", pressed);
  made.onclick = () => { press(made); show(); };
  return made;
}

const switches = {};
function flip(name) {
  if (!switches[name]) return;
  state.shown[name] = !state.shown[name];
  switches[name].setAttribute("aria-pressed", state.shown[name]);
  show();
}

function openView(number) {
  if (!motion.views.length) return;
  film.open(number);
  [...at("views").children].forEach((tab, i) => tab.setAttribute("aria-selected", i === number));
  film.video.addEventListener("loadeddata", () => { film.seek(state.seconds); if (state.playing) play(); }, {once: true});
  show();
}

const KEYS = {
  " ": () => state.playing ? pause() : play(),
  ArrowLeft: (e) => e.shiftKey ? goTo(frameAt(state.seconds - 1)) : goTo(state.frame - 1),
  ArrowRight: (e) => e.shiftKey ? goTo(frameAt(state.seconds + 1)) : goTo(state.frame + 1),
  Home: () => goTo(0), End: () => goTo(last),
  "[": () => nextSpeed(-1), "]": () => nextSpeed(1),
  v: () => openView((film.view + 1) % Math.max(1, motion.views.length)),
  u: () => flip("spread"), n: () => flip("names"), c: () => flip("cameras"),
  r: () => { space.reset(); show(); },
};

document.addEventListener("keydown", (event) => {
  const key = KEYS[event.key];
  if (!key || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  event.preventDefault();
  key(event);
});

// turning: one finger or button turns, two fingers or shift move; wheel and pinch zoom
const fingers = new Map();
space.canvas.addEventListener("pointerdown", (e) => { space.canvas.setPointerCapture(e.pointerId); fingers.set(e.pointerId, [e.clientX, e.clientY]); });
for (const name of ["pointerup", "pointercancel"]) space.canvas.addEventListener(name, (e) => fingers.delete(e.pointerId));
space.canvas.addEventListener("pointermove", (e) => {
  const was = fingers.get(e.pointerId);
  if (!was) return;
  const dx = e.clientX - was[0], dy = e.clientY - was[1];
  if (fingers.size === 1 && !e.shiftKey && e.buttons !== 2) {
    space.turn -= dx * 0.008;
    space.rise = Math.max(-0.1, Math.min(1.5, space.rise + dy * 0.006));
  } else {
    const share = 1 / fingers.size, metre = share * 0.73 * space.distance / space.canvas.clientHeight, c = Math.cos(space.turn), s = Math.sin(space.turn);
    space.target = [space.target[0] + s * dx * metre, space.target[1] - c * dx * metre, space.target[2] + dy * metre];
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== e.pointerId)[1];
      zoom(Math.hypot(was[0] - other[0], was[1] - other[1]) / Math.max(1, Math.hypot(e.clientX - other[0], e.clientY - other[1])));
    }
  }
  fingers.set(e.pointerId, [e.clientX, e.clientY]);
  show();
});
space.canvas.addEventListener("contextmenu", (e) => e.preventDefault());
space.canvas.addEventListener("wheel", (e) => { e.preventDefault(); zoom(Math.exp(e.deltaY * 0.001)); show(); }, {passive: false});
function zoom(by) { space.distance = Math.max(0.4, Math.min(200, space.distance * by)); }

function build() {
  at("title").textContent = motion.title;
  at("facts").textContent = motion.facts;
  at("notes").hidden = !motion.notes.length;
  at("notes").firstChild.textContent = `${motion.notes.length} note${motion.notes.length === 1 ? "" : "s"}`;
  for (const note of motion.notes) at("notes").lastChild.appendChild(document.createElement("li")).textContent = note;
  const filmed = motion.views.length > 0, unsure = motion.people.some((p) => p.sure);
  for (const [name, text, where, there] of [["seen", "2D", "drawn", filmed], ["found", "3D", "drawn", filmed], ["names", "Names", "switches", true], ["spread", "Uncertainty", "switches", unsure], ["cameras", "Cameras", "switches", filmed]]) {
    if (there) switches[name] = button(at(where), text, state.shown[name], () => flip(name));
  }
  if (unsure) switches.spread.title = "ellipsoids of two standard deviations";
  button(at("switches"), "Reset", false, () => space.reset());
  for (const person of motion.people) {
    const chip = button(at("people"), person.name, true, (made) => { person.shown = !person.shown; made.setAttribute("aria-pressed", person.shown); });
    const spot = document.createElement("i");
    spot.style.background = person.colour;
    chip.prepend(spot);
  }
  if (motion.views.length > 1) motion.views.forEach((view, i) => { const tab = button(at("views"), view.name, false, () => openView(i)); tab.removeAttribute("aria-pressed"); });
  for (const value of SPEEDS) at("speed").add(new Option(`${value}×`, value));
  at("speed").onchange = () => speed(Number(at("speed").value));
  at("time").max = last;
  at("time").oninput = () => goTo(Number(at("time").value));
  at("play").onclick = KEYS[" "];
  document.body.classList.toggle("alone", !motion.views.length);
  speed(1);
}

/** Below the slider, when each person is there. */
function spans() {
  const pen = sharp(at("spans")), w = at("spans").clientWidth, h = at("spans").clientHeight, row = Math.min(5, 16 / Math.max(1, motion.people.length));
  pen.fillStyle = tone("--line"); pen.fillRect(0, h / 2 - 1, w, 2);
  motion.people.forEach((person, i) => {
    const whole = Math.max(1, last), y = h / 2 + (i - motion.people.length / 2) * row;
    pen.fillStyle = person.colour;
    pen.fillRect(w * person.first / whole, y, Math.max(2, w * (person.count - 1) / whole), Math.max(1, row - 1));
  });
}

build();
film.watch();
space.start();
space.reset();
openView(0);
spans();
show();
new ResizeObserver(() => { spans(); show(); }).observe(document.body);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { spans(); show(); });
requestAnimationFrame(tick);
