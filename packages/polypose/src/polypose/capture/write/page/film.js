// The film of a view, with what was seen and what was found drawn on it.

const film = {
  view: 0,
  video: document.querySelector("#screen video"),
  image: document.querySelector("#screen img"),
  canvas: document.querySelector("#screen canvas"),
  missing: document.getElementById("missing"),
  playing: false,
  shown: null,                                            // seconds of the frame on the screen, where the browser tells

  /** Show a view's film. */
  open(number) {
    this.view = number;
    this.shown = null;
    const view = motion.views[number], how = view.film;
    for (const element of [this.video, this.image]) element.style.visibility = "hidden";
    this.video.removeAttribute("src");
    this.missing.textContent = how.why || "";
    if (how.kind === "none") return this.video.load();
    const source = how.kind === "inside" ? (view.url ||= URL.createObjectURL(new Blob([bytesOf(`film-${number}`)], {type: how.type}))) : how.source;
    const element = how.still ? this.image : this.video;
    element.onerror = () => { element.style.visibility = "hidden"; this.missing.textContent = `the film is not to be had: ${how.name}`; };
    element.onloadeddata = element.onload = () => { element.style.visibility = "visible"; this.missing.textContent = ""; };
    element.src = source;
  },

  get moves() {
    const how = motion.views.length ? motion.views[this.view].film : {kind: "none"};
    return how.kind !== "none" && !how.still && this.video.readyState >= 2 && !this.video.error;
  },

  /** Whether the film leads: it plays, and is there at this time. */
  leads(seconds) {
    const at = this.position(seconds);
    return this.playing && this.moves && at >= 0 && at < this.video.duration - 0.02 && !this.video.ended;
  },

  /** The film's own seconds at a time of the motion, and the reverse. */
  position(seconds) { return seconds - motion.views[this.view].film.starts; },
  seconds() { return (this.shown ?? this.video.currentTime) + motion.views[this.view].film.starts; },
  watch() {
    this.video.requestVideoFrameCallback?.((_, frame) => { this.shown = frame.mediaTime; this.watch(); });
  },

  play(seconds, speed) {
    this.playing = true;
    if (!this.moves) return;
    this.seek(seconds);
    this.video.playbackRate = speed;
    this.video.play().catch(() => { this.playing = false; });
  },
  pause() { this.playing = false; this.video.pause(); },
  seek(seconds) {
    if (!this.moves) return;
    const at = Math.max(0, Math.min(this.position(seconds) + 1e-3, this.video.duration - 1e-3));
    if (Math.abs(this.video.currentTime - at) > 1e-3) { this.video.currentTime = at; this.shown = null; }
  },

  size() { return motion.views[this.view].film.size || motion.views[this.view].size; },

  /** Where the picture lies in its pane: [x, y, scale] in CSS pixels. */
  layout() {
    const {clientWidth: w, clientHeight: h} = this.canvas, [width, height] = this.size();
    const scale = Math.min(w / width, h / height);
    return [(w - scale * width) / 2, (h - scale * height) / 2, scale];
  },

  draw(frame, shown) {
    if (!motion.views.length) return;
    const view = motion.views[this.view], pen = sharp(this.canvas);
    const [x0, y0, scale] = this.layout();
    if (motion.views[this.view].film.kind === "none") {
      pen.strokeStyle = "#39414e"; pen.lineWidth = 1;
      pen.strokeRect(x0 + 0.5, y0 + 0.5, scale * this.size()[0] - 1, scale * this.size()[1] - 1);
    }
    const onto = ([x, y]) => [x0 + scale * (x + 0.5), y0 + scale * (y + 0.5)];
    for (const person of motion.people.filter((p) => p.shown)) {
      const found = motion.skeleton.joints.map((_, j) => placeOf(person, frame, j)).map((p) => p && project(view, p)).map((p) => p && onto(p));
      const seen = motion.skeleton.joints.map((_, j) => pixelOf(person, this.view, frame, j)).map((p) => p && [...onto(p), p[2]]);
      if (shown.found) {
        for (const [child, parent] of motion.skeleton.edges) line(pen, found[child], found[parent], person.colour, 2.5);
      }
      if (shown.seen) {
        for (const point of seen.filter(Boolean)) dot(pen, point, 3.2, person.colour, 0.35 + 0.65 * point[2]);
      }
      const top = found.concat(seen).filter(Boolean).sort((a, b) => a[1] - b[1])[0];
      if (top && shown.names) tag(pen, person, top[0], top[1] - 12);
    }
  },
};

/** A canvas' pen, the canvas cleared and as fine as the screen. */
function sharp(canvas) {
  const fine = window.devicePixelRatio || 1, w = Math.round(canvas.clientWidth * fine), h = Math.round(canvas.clientHeight * fine);
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const pen = canvas.getContext("2d");
  pen.setTransform(fine, 0, 0, fine, 0, 0);
  pen.clearRect(0, 0, w, h);
  return pen;
}

function line(pen, a, b, colour, width) {
  if (!a || !b) return;
  for (const [style, wide] of [["#0008", width + 1.6], [colour, width]]) {
    pen.strokeStyle = style; pen.lineWidth = wide; pen.lineCap = "round";
    pen.beginPath(); pen.moveTo(a[0], a[1]); pen.lineTo(b[0], b[1]); pen.stroke();
  }
}

function dot(pen, [x, y], radius, colour, alpha) {
  pen.globalAlpha = alpha; pen.fillStyle = "#fff"; pen.strokeStyle = colour; pen.lineWidth = 2;
  pen.beginPath(); pen.arc(x, y, radius, 0, 7); pen.fill(); pen.stroke(); pen.globalAlpha = 1;
}

function tag(pen, person, x, y, ink = "#fff", halo = "#000a") {
  pen.font = "600 12px system-ui, sans-serif"; pen.textAlign = "center"; pen.textBaseline = "bottom";
  pen.lineWidth = 3.5; pen.strokeStyle = halo; pen.lineJoin = "round"; pen.strokeText(person.name, x, y);
  pen.fillStyle = ink; pen.fillText(person.name, x, y);
}
