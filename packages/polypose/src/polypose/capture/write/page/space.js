// The room in 3D: bodies of capsules, their shadows, uncertainty, cameras and the floor, by WebGL 2.

const BODY = `#version 300 es
precision highp float;
in vec3 ball; in vec3 start; in vec3 end; in vec3 colour; in vec2 radii;
uniform mat4 look; uniform float shadow;
out vec3 normal; out vec3 tint; out vec3 place;
void main() {
  vec3 way = end - start; float far = length(way);
  vec3 w = far > 1e-6 ? way / far : vec3(0, 0, 1);
  vec3 u = normalize(cross(w, abs(w.z) < 0.9 ? vec3(0, 0, 1) : vec3(1, 0, 0))), v = cross(w, u);
  normal = ball.x * u + ball.y * v + ball.z * w;
  place = (ball.z > 0.0 ? end : start) + (ball.z > 0.0 ? radii.y : radii.x) * normal;
  if (shadow > 0.5) place = vec3(place.xy + vec2(0.12, 0.06) * place.z, 0.004);
  tint = colour;
  gl_Position = look * vec4(place, 1);
}`;
const BLOB = `#version 300 es
precision highp float;
in vec3 ball; in vec3 start; in mat3 spread; in vec3 colour;
uniform mat4 look;
out vec3 normal; out vec3 tint; out vec3 place;
void main() {
  place = start + 2.0 * spread * ball;
  normal = normalize(ball); tint = colour;
  gl_Position = look * vec4(place, 1);
}`;
const SHADE = `#version 300 es
precision highp float;
in vec3 normal; in vec3 tint; in vec3 place;
uniform vec3 eye; uniform float alpha, lit;
out vec4 colour;
void main() {
  vec3 n = normalize(normal), to = normalize(eye - place);
  float light = 0.74 + 0.24 * max(dot(n, normalize(vec3(-0.4, -0.5, 1.0))), 0.0) + 0.16 * n.z;
  float rim = pow(1.0 - max(dot(n, to), 0.0), 2.5);
  vec3 shaded = tint * light + 0.12 * rim;
  colour = vec4(mix(tint, shaded, lit), alpha);
}`;
const WIRE = `#version 300 es
precision highp float;
in vec3 start; in vec3 colour; uniform mat4 look; out vec3 tint;
void main() { tint = colour; gl_Position = look * vec4(start, 1); }`;
const PLAIN = `#version 300 es
precision highp float;
in vec3 tint; uniform float alpha; out vec4 colour;
void main() { colour = vec4(tint, alpha); }`;

const space = {
  canvas: document.getElementById("space"),
  labels: document.getElementById("labels"),

  start() {
    const gl = this.gl = this.canvas.getContext("webgl2", {antialias: true, stencil: true, preserveDrawingBuffer: true});
    if (!gl) return;
    const ball = sphere(14, 18);
    this.count = ball.triangles.length;
    this.ball = this.fill(gl.ARRAY_BUFFER, new Float32Array(ball.vertices));
    this.triangles = this.fill(gl.ELEMENT_ARRAY_BUFFER, new Uint16Array(ball.triangles));
    this.stream = gl.createBuffer();
    this.body = this.program(BODY, SHADE);
    this.blob = this.program(BLOB, SHADE);
    this.wire = this.program(WIRE, PLAIN);
    gl.enable(gl.DEPTH_TEST); gl.enable(gl.CULL_FACE);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
  },

  fill(kind, values) {
    const buffer = this.gl.createBuffer();
    this.gl.bindBuffer(kind, buffer); this.gl.bufferData(kind, values, this.gl.STATIC_DRAW);
    return buffer;
  },

  program(...sources) {
    const gl = this.gl, made = gl.createProgram();
    sources.forEach((source, i) => {
      const shader = gl.createShader(i ? gl.FRAGMENT_SHADER : gl.VERTEX_SHADER);
      gl.shaderSource(shader, source); gl.compileShader(shader); gl.attachShader(made, shader);
    });
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
    return made;
  },

  /** Look at the whole room from beside the first camera. */
  reset() {
    let low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    for (const person of motion.people) {
      for (let i = 0; i < person.places.length; i++) {
        const v = person.places[i], axis = i % 3;
        if (v < low[axis]) low[axis] = v;
        if (v > high[axis]) high[axis] = v;
      }
    }
    if (!(high[0] > low[0])) { low = [-1, -1, 0]; high = [1, 1, 1.8]; }
    this.target = low.map((v, i) => (v + high[i]) / 2);
    this.floor = {centre: [Math.round(this.target[0]), Math.round(this.target[1])], half: Math.ceil(Math.max(high[0] - low[0], high[1] - low[1]) / 2) + 2};
    this.distance = 0.95 * Math.hypot(...high.map((v, i) => v - low[i])) + 1.2;
    const first = motion.views[0], at = first ? positionOf(first) : [this.target[0] + 1, this.target[1] - 3, 0];
    this.turn = Math.atan2(at[1] - this.target[1], at[0] - this.target[0]) + 0.45;
    this.rise = 0.22;
  },

  eye() {
    const {target: t, distance: d, turn, rise} = this, flat = d * Math.cos(rise);
    return [t[0] + flat * Math.cos(turn), t[1] + flat * Math.sin(turn), t[2] + d * Math.sin(rise)];
  },

  /** World to clip space, column by column. */
  look() {
    const eye = this.eye(), f = unit(minus(this.target, eye)), s = unit(cross(f, [0, 0, 1])), u = cross(s, f);
    const near = this.distance / 100, far = this.distance + 60, aspect = this.canvas.width / Math.max(1, this.canvas.height);
    const tall = 1 / Math.tan(0.35), wide = Math.min(1, aspect), a = (far + near) / (near - far), b = 2 * far * near / (near - far);
    const view = [s, u, f.map((v) => -v)].map((row) => [...row, -dot3(row, eye)]);
    const rows = [view[0].map((v) => v * tall * wide / aspect), view[1].map((v) => v * tall * wide), view[2].map((v, i) => a * v + (i === 3 ? b : 0)), view[2].map((v) => -v)];
    return new Float32Array([0, 1, 2, 3].flatMap((c) => rows.map((row) => row[c])));
  },

  /** CSS pixels of a place, or null. */
  onto(place, look = this.look()) {
    const [x, y, , w] = [0, 1, 2, 3].map((r) => look[r] * place[0] + look[4 + r] * place[1] + look[8 + r] * place[2] + look[12 + r]);
    return w > 0 ? [(x / w + 1) / 2 * this.canvas.clientWidth, (1 - y / w) / 2 * this.canvas.clientHeight] : null;
  },

  draw(frame, shown) {
    const gl = this.gl, pen = sharp(this.labels);
    if (!gl) { pen.fillStyle = tone("--soft"); pen.textAlign = "center"; pen.fillText("This browser has no WebGL 2 to show 3D.", this.labels.clientWidth / 2, this.labels.clientHeight / 2); return; }
    const w = this.labels.width, h = this.labels.height;
    if (this.canvas.width !== w || this.canvas.height !== h) { this.canvas.width = w; this.canvas.height = h; }
    const look = this.look();
    gl.viewport(0, 0, w, h);
    gl.clearColor(...rgb(tone("--pane")), 1); gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT | gl.STENCIL_BUFFER_BIT);
    this.lines(look, this.ground(), 0.9);
    const bones = this.bones(frame);
    gl.enable(gl.BLEND); gl.enable(gl.STENCIL_TEST); gl.disable(gl.CULL_FACE); gl.depthMask(false);
    gl.stencilFunc(gl.EQUAL, 0, 255); gl.stencilOp(gl.KEEP, gl.KEEP, gl.INCR);   // shade no place twice
    this.capsules(look, bones.map((b) => [...b.slice(0, 6), 0, 0, 0, ...b.slice(9)]), {shadow: 1, alpha: 0.14, lit: 0});
    gl.disable(gl.BLEND); gl.disable(gl.STENCIL_TEST); gl.enable(gl.CULL_FACE); gl.depthMask(true);
    this.capsules(look, bones, {shadow: 0, alpha: 1, lit: 1});
    if (shown.cameras) this.lines(look, motion.views.flatMap((view) => frustum(view, this.distance * 0.06)), 1);
    if (shown.spread) this.ellipsoids(look, frame);
    for (const person of motion.people) {
      const head = person.shown && shown.names && topOf(person, frame), at = head && this.onto([head[0], head[1], head[2] + 0.16], look);
      if (at) tag(pen, person, ...at, tone("--ink"), tone("--pane"));
    }
    if (shown.cameras) motion.views.forEach((view) => { const at = this.onto(positionOf(view), look); if (at) { pen.font = "11px system-ui"; pen.textAlign = "center"; pen.fillStyle = tone("--soft"); pen.fillText(view.name.slice(0, 24), at[0], at[1] - 10); } });
  },

  bones(frame) {
    const out = [];
    for (const person of motion.people.filter((p) => p.shown)) {
      const colour = rgb(person.colour);
      motion.skeleton.edges.forEach(([child, parent], i) => {
        const a = placeOf(person, frame, parent), b = placeOf(person, frame, child), r = motion.skeleton.radii[i];
        const darker = motion.skeleton.joints[child].startsWith("right_") ? 0.8 : 1;
        if (a && b) out.push([...a, ...b, ...colour.map((v) => v * darker), r[0], r[1]]);
      });
    }
    return out;
  },

  capsules(look, bones, how) {
    this.instances(this.body, look, bones, [["start", 3, 0], ["end", 3, 3], ["colour", 3, 6], ["radii", 2, 9]], 11, how);
  },

  ellipsoids(look, frame) {
    const gl = this.gl, rows = [];
    for (const person of motion.people.filter((p) => p.shown)) {
      const colour = rgb(person.colour).map((v) => 0.5 + 0.5 * v);
      for (let j = 0; j < joints; j++) {
        const place = placeOf(person, frame, j);
        if (place) rows.push([...place, ...spreadOf(person, frame, j), ...colour]);
      }
    }
    gl.enable(gl.BLEND); gl.depthMask(false); gl.disable(gl.DEPTH_TEST);
    this.instances(this.blob, look, rows, [["start", 3, 0], ["spread", 9, 3], ["colour", 3, 12]], 15, {alpha: 0.4, lit: 1});
    gl.enable(gl.DEPTH_TEST); gl.depthMask(true); gl.disable(gl.BLEND);
  },

  instances(program, look, rows, fields, width, how) {
    const gl = this.gl, used = [];
    if (!rows.length) return;
    gl.useProgram(program);
    this.uniforms(program, look, how);
    const attribute = (name, buffer, size, stride, offset, step, column = 0) => {
      const place = gl.getAttribLocation(program, name);
      if (place < 0) return;
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(place + column); used.push(place + column);
      gl.vertexAttribPointer(place + column, size, gl.FLOAT, false, 4 * stride, 4 * offset);
      gl.vertexAttribDivisor(place + column, step);
    };
    gl.bindBuffer(gl.ARRAY_BUFFER, this.stream);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(rows.flat()), gl.DYNAMIC_DRAW);
    attribute("ball", this.ball, 3, 3, 0, 0);
    for (const [name, size, offset] of fields) {
      for (let c = 0; c < size; c += 3) attribute(name, this.stream, Math.min(size, 3), width, offset + c, 1, c / 3);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.triangles);
    gl.drawElementsInstanced(gl.TRIANGLES, this.count, gl.UNSIGNED_SHORT, 0, rows.length);
    for (const place of used) { gl.vertexAttribDivisor(place, 0); gl.disableVertexAttribArray(place); }
  },

  lines(look, segments, alpha) {
    const gl = this.gl, values = new Float32Array(segments.flat());
    gl.useProgram(this.wire);
    this.uniforms(this.wire, look, {alpha});
    gl.bindBuffer(gl.ARRAY_BUFFER, this.stream); gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
    ["start", "colour"].forEach((name, i) => {
      const place = gl.getAttribLocation(this.wire, name);
      gl.enableVertexAttribArray(place); gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 24, 12 * i);
    });
    gl.drawArrays(gl.LINES, 0, values.length / 6);
  },

  uniforms(program, look, how) {
    const gl = this.gl;
    gl.uniformMatrix4fv(gl.getUniformLocation(program, "look"), false, look);
    gl.uniform3f(gl.getUniformLocation(program, "eye"), ...this.eye());
    for (const [name, value] of Object.entries(how)) gl.uniform1f(gl.getUniformLocation(program, name), value);
  },

  /** A metre's grid about the people. */
  ground() {
    const {centre: [x, y], half} = this.floor, colour = rgb(tone("--grid")), step = Math.max(1, Math.ceil(half / 20)), out = [];
    for (let i = -half; i <= half; i += step) {
      out.push([x + i, y - half, 0, ...colour], [x + i, y + half, 0, ...colour], [x - half, y + i, 0, ...colour], [x + half, y + i, 0, ...colour]);
    }
    return out;
  },
};

/** Lines of a view's camera: its pyramid to the corners of the picture, and which side is up. */
function frustum(view, depth) {
  const [w, h] = view.size, colour = rgb(tone("--camera")), r = view.rotation, eye = positionOf(view);
  const out = (u, v) => {
    const ray = [(u - view.centre[0]) / view.focal[0] * depth, (v - view.centre[1]) / view.focal[1] * depth, depth];
    return [0, 1, 2].map((i) => eye[i] + r[0][i] * ray[0] + r[1][i] * ray[1] + r[2][i] * ray[2]);
  };
  const corners = [out(0, 0), out(w, 0), out(w, h), out(0, h)], roof = out(w / 2, -h / 4);
  const pairs = corners.flatMap((c, i) => [[eye, c], [c, corners[(i + 1) % 4]]]).concat([[corners[0], roof], [corners[1], roof]]);
  return pairs.flatMap(([a, b]) => [[...a, ...colour], [...b, ...colour]]);
}

function positionOf(view) {
  return [0, 1, 2].map((i) => -(view.rotation[0][i] * view.translation[0] + view.rotation[1][i] * view.translation[1] + view.rotation[2][i] * view.translation[2]));
}

function topOf(person, frame) {
  let top = null;
  for (let j = 0; j < joints; j++) { const p = placeOf(person, frame, j); if (p && (!top || p[2] > top[2])) top = p; }
  return top;
}

/** A ball cut at its equator, so that each half can follow one end of a bone. */
function sphere(rings, sides) {
  const vertices = [], triangles = [];
  for (let i = 0; i <= rings + 1; i++) {
    const half = rings / 2, tilt = i <= half ? -Math.PI / 2 + i / half * Math.PI / 2 : (i - half - 1) / half * Math.PI / 2;
    for (let j = 0; j < sides; j++) {
      const a = 2 * Math.PI * j / sides;
      vertices.push(Math.cos(tilt) * Math.cos(a), Math.cos(tilt) * Math.sin(a), i <= half ? Math.min(Math.sin(tilt), -1e-6) : Math.max(Math.sin(tilt), 1e-6));
      if (i > rings) continue;
      const here = i * sides + j, next = i * sides + (j + 1) % sides;
      triangles.push(here, next, next + sides, here, next + sides, here + sides);
    }
  }
  return {vertices, triangles};
}

const minus = (a, b) => a.map((v, i) => v - b[i]);
const dot3 = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = (a) => { const n = Math.hypot(...a) || 1; return a.map((v) => v / n); };
const tone = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);
