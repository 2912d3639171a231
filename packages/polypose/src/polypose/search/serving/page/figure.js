"use strict";
// A figure of joints and bones: drawn, turned, and posed by hand. Body frame: hips along y, the right one ahead, z up.

const RIGHT = "#d1582c", LEFT = "#1c6fb8", MIDDLE = "#777";

/** Axes of the screen, x right, y down, z away, for a yaw and a pitch: rows of a rotation. */
function axesOf(yaw, pitch) {
  const c = Math.cos(yaw), s = Math.sin(yaw), d = Math.cos(pitch), e = Math.sin(pitch);
  const away = [-c * d, -s * d, -e], right = [-s, c, 0];
  const down = [away[1] * right[2] - away[2] * right[1], away[2] * right[0] - away[0] * right[2], away[0] * right[1] - away[1] * right[0]];
  return [right, down, away];
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const plus = (a, b) => a.map((v, i) => v + b[i]);
const minus = (a, b) => a.map((v, i) => v - b[i]);
const times = (a, f) => a.map((v) => v * f);
const length = (a) => Math.hypot(...a);

/** A joint's colour by its side. */
const colourOf = (name) => name.startsWith("left") ? LEFT : name.startsWith("right") ? RIGHT : MIDDLE;

/** Draw a figure; returns where its joints are on the canvas, in its own pixels. */
function drawFigure(canvas, pose, figure, yaw, pitch, chosen = -1) {
  const pen = canvas.getContext("2d"), axes = axesOf(yaw, pitch);
  const scale = Math.min(canvas.width, canvas.height) / 1.9, [cx, cy] = [canvas.width / 2, 0.5 * canvas.height];
  const middle = [0, 0, 0].map((_, i) => (Math.max(...pose.map((p) => p[i])) + Math.min(...pose.map((p) => p[i]))) / 2);
  const at = pose.map((p) => axes.map((axis) => dot(axis, minus(p, canvas.still || middle))));
  const places = at.map(([x, y]) => [cx + scale * x, cy + scale * y]);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.lineCap = "round";
  const bones = figure.parents.map((parent, joint) => [joint, parent]).filter(([, parent]) => parent >= 0);
  bones.sort((a, b) => at[b[0]][2] + at[b[1]][2] - at[a[0]][2] - at[a[1]][2]);
  for (const [joint, parent] of bones) {
    pen.strokeStyle = colourOf(figure.joints[joint]);
    pen.lineWidth = canvas.width / 55;
    pen.beginPath(); pen.moveTo(...places[joint]); pen.lineTo(...places[parent]); pen.stroke();
  }
  if (chosen >= -0.5) {
    places.forEach(([x, y], joint) => {
      pen.fillStyle = joint === chosen ? "#ffd400" : colourOf(figure.joints[joint]);
      pen.beginPath(); pen.arc(x, y, joint === chosen ? 9 : 6, 0, 7); pen.fill();
      pen.strokeStyle = "#fff"; pen.lineWidth = 1.5; pen.stroke();
    });
  }
  return {places, scale, axes};
}

/** A figure on a canvas that is posed by dragging, and turned by dragging beside it. */
class Poser {
  constructor(canvas, figure, changed) {
    Object.assign(this, {canvas, figure, changed, yaw: Math.PI - 0.5, pitch: 0.1, chosen: 16, drag: null});
    this.reset();
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { this.drag = null; });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  reset() { this.set(this.figure.pose); }

  set(pose) {
    this.pose = pose.map((p) => [...p]);
    this.bones = this.pose.map((p, j) => this.figure.parents[j] < 0 ? 0 : length(minus(p, this.pose[this.figure.parents[j]])));
    this.canvas.still = [0, 0, 0].map((_, i) => (Math.max(...pose.map((p) => p[i])) + Math.min(...pose.map((p) => p[i]))) / 2);
    this.draw();
  }

  draw() { this.shown = drawFigure(this.canvas, this.pose, this.figure, this.yaw, this.pitch, this.chosen); }

  /** The joints below one in the tree, itself among them. */
  below(joint) {
    const found = [joint];
    for (let i = 0; i < found.length; i++) this.figure.parents.forEach((p, j) => { if (p === found[i]) found.push(j); });
    return found;
  }

  /** Bring a joint as near to a place as its bone lets it; what hangs on it goes along. */
  put(joint, place) {
    const parent = this.figure.parents[joint];
    if (parent < 0) return;
    const towards = minus(place, this.pose[parent]), far = length(towards);
    if (far < 1e-6) return;
    const shift = minus(plus(this.pose[parent], times(towards, this.bones[joint] / far)), this.pose[joint]);
    for (const other of this.below(joint)) this.pose[other] = plus(this.pose[other], shift);
    this.draw();
    this.changed();
  }

  /** Move a joint along the screen, in metres to the right and down. */
  nudge(joint, right, down) {
    const [x, y] = this.shown.axes;
    this.put(joint, plus(this.pose[joint], plus(times(x, right), times(y, down))));
  }

  turn(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.max(-1.5, Math.min(1.5, this.pitch + pitch));
    this.draw();
    this.changed();
  }

  mirror() {
    const other = (name) => name.replace(/^(left|right)/, (side) => side === "left" ? "right" : "left");
    const {joints} = this.figure;
    this.set(joints.map((name) => { const [x, y, z] = this.pose[joints.indexOf(other(name))]; return [x, -y, z]; }));
    this.changed();
  }

  choose(joint) {
    this.chosen = (joint + this.figure.joints.length) % this.figure.joints.length;
    this.draw();
    this.canvas.dispatchEvent(new CustomEvent("choose"));
  }

  /** The figure as the screen shows it: x right, y down, z away. */
  seen() { return this.pose.map((p) => this.shown.axes.map((axis) => dot(axis, p))); }

  at(event) {
    const box = this.canvas.getBoundingClientRect(), f = this.canvas.width / box.width;
    return [(event.clientX - box.left) * f, (event.clientY - box.top) * f];
  }

  down(event) {
    this.canvas.focus();
    this.canvas.setPointerCapture(event.pointerId);
    const [x, y] = this.at(event), reach = event.pointerType === "touch" ? 30 : 16;
    const away = this.shown.places.map(([u, v]) => Math.hypot(u - x, v - y)), near = Math.min(...away);
    const joint = near < reach ? away.indexOf(near) : -1;
    this.drag = {joint, x, y};
    if (joint >= 0) this.choose(joint);
  }

  move(event) {
    if (!this.drag) return;
    const [x, y] = this.at(event), [dx, dy] = [x - this.drag.x, y - this.drag.y], {scale} = this.shown;
    if (this.drag.joint >= 0) this.nudge(this.drag.joint, dx / scale, dy / scale);
    else this.turn(-dx / 120, dy / 160);
    Object.assign(this.drag, {x, y});
  }

  key(event) {
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (step && event.shiftKey) this.turn(-0.15 * step[0], 0.15 * step[1]);
    else if (step) this.nudge(this.chosen, 0.03 * step[0], 0.03 * step[1]);
    else if (event.key === "[" || event.key === "]") this.choose(this.chosen + (event.key === "]" ? 1 : -1));
    else return;
    event.preventDefault();
  }
}
