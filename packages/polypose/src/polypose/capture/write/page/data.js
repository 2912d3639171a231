"use strict";
// What the page holds: the motion as JSON, its arrays as base64 of little-endian numbers.

const motion = JSON.parse(document.getElementById("motion").textContent);
const GAP = -32768;

function bytesOf(id) {
  const text = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

const arrayOf = (id, Kind) => new Kind(bytesOf(id).buffer);

const times = arrayOf("times", Float32Array);           // seconds from the first frame
const joints = motion.skeleton.joints.length;

for (const person of motion.people) {
  const [x, y, z] = person.centre;
  const raw = arrayOf(`joints-${person.id}`, Int16Array);
  person.places = new Float32Array(raw.length);         // metres; NaN where not known
  for (let i = 0; i < raw.length; i++) {
    person.places[i] = raw[i] === GAP ? NaN : raw[i] * person.step + [x, y, z][i % 3];
  }
  person.spread = arrayOf(`spread-${person.id}`, Int16Array);   // of each joint 6 numbers, or 1; 0.1 mm
  person.seen = {};
  for (const view of person.views) person.seen[view] = arrayOf(`seen-${person.id}-${view}`, Int16Array);
  person.shown = true;
}

/** Where a person's joint is in a frame, or null. */
function placeOf(person, frame, joint) {
  const row = frame - person.first;
  if (row < 0 || row >= person.count) return null;
  const at = 3 * (row * joints + joint);
  const place = person.places.subarray(at, at + 3);
  return Number.isNaN(place[0]) ? null : place;
}

/** Where a view saw a person's joint, [x, y, confidence] in its pixels, or null. */
function pixelOf(person, view, frame, joint) {
  const row = frame - person.first, seen = person.seen[view];
  if (!seen || row < 0 || row >= person.count) return null;
  const at = 3 * (row * joints + joint);
  return seen[at + 2] > 0 ? [seen[at] / motion.views[view].zoom, seen[at + 1] / motion.views[view].zoom, seen[at + 2] / 100] : null;
}

/** The root of a joint's covariance, 9 numbers by columns, metres. */
function spreadOf(person, frame, joint) {
  const at = (frame - person.first) * joints + joint, tenth = 1e-4, s = person.spread;
  if (!person.full) { const r = s[at] * tenth; return [r, 0, 0, 0, r, 0, 0, 0, r]; }
  const [xx, xy, xz, yy, yz, zz] = Array.from(s.subarray(6 * at, 6 * at + 6), (v) => v * tenth);
  return [xx, xy, xz, xy, yy, yz, xz, yz, zz];
}

/** The camera's frame (x right, y down, z forward) of a place in the world. */
function toCamera(view, [x, y, z]) {
  const r = view.rotation, t = view.translation;
  return [0, 1, 2].map((i) => r[i][0] * x + r[i][1] * y + r[i][2] * z + t[i]);
}

/** Pixels of a place in the world, with the lens' distortion; null behind the camera. */
function project(view, place) {
  const [x, y, z] = toCamera(view, place);
  if (z < 1e-3) return null;
  const a = x / z, b = y / z, r2 = a * a + b * b, [k1, k2, p1, p2, k3] = view.distortion;
  const radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3));
  return [
    view.focal[0] * (a * radial + 2 * p1 * a * b + p2 * (r2 + 2 * a * a)) + view.centre[0],
    view.focal[1] * (b * radial + p1 * (r2 + 2 * b * b) + 2 * p2 * a * b) + view.centre[1],
  ];
}

/** The frame that is nearest to a time in seconds. */
function frameAt(seconds) {
  let low = 0, high = times.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < seconds) low = middle + 1; else high = middle;
  }
  return low > 0 && seconds - times[low - 1] < times[low] - seconds ? low - 1 : low;
}
