// The timeline of tools/trace: draws the part of a trace that is looked at. Kept in step with tracing/svg.py, which draws the
// same picture for paper.
"use strict";
(() => {
    const SVG = "http://www.w3.org/2000/svg";
    const GUTTER = 64, RIGHT = 12, LANE = 92, SLICE = 16, BODY = 34, TICKS = 14, AXIS = 30, OVERVIEW = 30;
    const LEAST = 0.3, PER_PIXEL = 4, SHADES = 3, COLOURS = 8, MOST_MARKS = 600;
    const GUEST = 0, CALL = 1, IDLE = 3;
    const data = JSON.parse(document.getElementById("data").textContent);
    const whole = {begin: 0, end: data.length};
    const view = {begin: data.view[0], end: data.view[1]};
    const chart = document.getElementById("chart"), overview = document.getElementById("overview");
    const tip = document.getElementById("tip"), range = document.getElementById("range");
    let width = 1200;

    // ---- data ----

    // Columns of numbers; times of a lane are [gap, length, kind, who, cause, outcome, ...].
    const lanes = data.lanes.map((lane) => {
        const count = lane.times.length / 6;
        const start = new Float64Array(count), end = new Float64Array(count), row = lane.times;
        for (let i = 0, at = lane.begin; i < count; i++) {
            start[i] = at + row[6 * i];
            end[i] = at = start[i] + row[6 * i + 1];
        }
        const kind = (i) => row[6 * i + 2], who = (i) => row[6 * i + 3], cause = (i) => row[6 * i + 4];
        return {...lane, count, start, end, kind, who, cause, outcome: (i) => row[6 * i + 5]};
    });

    const personality = (kind, who) => Math.floor(kind === GUEST ? (who - 1) / data.vcpus : who / data.agents);
    const personalityName = (number) => data.personalities[number] ?? `personality ${number}`;
    const agentName = (agent) => agent === data.nobody ? "idle"
        : `${personalityName(personality(CALL, agent))}, agent ${agent % data.agents}`;
    const vcpuName = (vpid) => `${personalityName(personality(GUEST, vpid))}/${(vpid - 1) % data.vcpus}`;
    const us = (ticks) => data.hz ? ticks * 1e6 / data.hz : ticks;

    function duration(ticks) {
        const value = us(ticks), unit = data.hz ? "us" : "ticks";
        const text = value >= 1e6 ? `${(value / 1e6).toFixed(4)} s` : value >= 1e3 ? `${(value / 1e3).toFixed(3)} ms` : `${value.toFixed(2)} ${unit}`;
        return `${text} (${ticks} ticks)`;
    }

    // The first i of [0, count) for which condition(i) holds; they are false, then true.
    function first(count, condition) {
        let low = 0, high = count;
        while (low < high) {
            const middle = low + high >> 1;
            if (condition(middle)) high = middle; else low = middle + 1;
        }
        return low;
    }

    // ---- drawing ----

    function element(parent, name, attributes, text) {
        const made = document.createElementNS(SVG, name);
        for (const key in attributes) made.setAttribute(key, attributes[key]);
        if (text !== undefined) made.textContent = text;
        parent.append(made);
        return made;
    }

    // Rectangles by class, each class one path; of those narrower than a pixel only so many as can be seen.
    function collector(begin, end) {
        const scale = (width - GUTTER - RIGHT) / (end - begin), paths = new Map(), drawn = new Set();
        const x = (when) => GUTTER + (Math.min(Math.max(when, begin), end) - begin) * scale;
        const raw = (classes, shape) => paths.get(classes)?.push(shape) ?? paths.set(classes, [shape]);
        function rect(classes, from, to, y, height) {
            if (to <= begin || from >= end) return;
            const left = x(from), wide = Math.max(LEAST, x(to) - left);
            if (wide < 1) {
                const key = `${classes}/${y}/${Math.floor(left * PER_PIXEL)}/${Math.floor((left + wide) * PER_PIXEL)}`;
                if (drawn.has(key)) return;
                drawn.add(key);
            }
            raw(classes, `M${left.toFixed(2)} ${y}h${wide.toFixed(2)}v${height}h-${wide.toFixed(2)}z`);
        }
        function write(svg) {
            for (const [classes, shapes] of paths) element(svg, "path", {class: classes, d: shapes.join("")});
        }
        return {x, scale, rect, raw, write};
    }

    function drawSlices(out, svg, lane, y) {
        const from = first(lane.slices.length, (i) => lane.slices[i][1] > view.begin);
        for (let i = from; i < lane.slices.length && lane.slices[i][0] < view.end; i++) {
            const [begin, end, agent] = lane.slices[i];
            if (agent === data.nobody) continue;
            const number = personality(CALL, agent), name = personalityName(number);
            out.rect(`p${number % COLOURS}`, begin, end, y, SLICE);
            const left = out.x(begin), right = out.x(end);
            if (right - left > 7 * name.length + 8)
                element(svg, "text", {x: (left + right) / 2, y: y + 12, "text-anchor": "middle", class: "name small"}, name);
        }
    }

    function drawTimes(out, lane, body) {
        const from = first(lane.count, (i) => lane.end[i] > view.begin);
        let previous = from > 0 ? lane.end[from - 1] : lane.begin;
        for (let i = from; i < lane.count; i++) {
            const begin = lane.start[i], end = lane.end[i], kind = lane.kind(i), who = lane.who(i);
            out.rect("mux", previous, begin, body + BODY - 4, 4);
            if (begin >= view.end) break;
            previous = end;
            if (kind === GUEST) {
                const shade = (who - 1) % data.vcpus % SHADES, delivered = lane.outcome(i) === 1;
                out.rect(`p${personality(kind, who) % COLOURS} s${shade}`, begin, end, body, BODY);
                if (end <= view.end)
                    out.rect(delivered ? "exit" : "exit absorbed", end, end + 0.7 / out.scale, body + BODY + 2, delivered ? TICKS : TICKS / 2);
            } else if (kind !== IDLE) {
                out.rect(`p${personality(kind, who) % COLOURS}`, begin, end, body + BODY / 2, BODY / 2);
            }
        }
    }

    function drawMarks(out, lane, y) {
        const from = first(lane.marks.length, (i) => lane.marks[i][0] >= view.begin);
        const to = first(lane.marks.length, (i) => lane.marks[i][0] > view.end);
        for (let i = from; to - from <= MOST_MARKS && i < to; i++)
            out.raw("mark", `M${out.x(lane.marks[i][0]).toFixed(2)} ${y}l2.5 5h-5z`);
    }

    function niceStep(length, parts) {
        const target = length / parts, step = 10 ** Math.floor(Math.log10(target));
        return [1, 2, 5, 10].map((factor) => factor * step).find((value) => value >= 0.7 * target);
    }

    function timeText(value) {
        return value >= 1e6 ? `${+(value / 1e6).toFixed(6)} s` : value >= 1e3 ? `${+(value / 1e3).toFixed(6)} ms` : `${+value.toFixed(3)} us`;
    }

    function drawAxis(out, svg, y) {
        const begin = us(view.begin), end = us(view.end), step = niceStep(end - begin, (width - GUTTER) / 110);
        for (let at = Math.ceil(begin / step) * step; at <= end; at += step) {
            const x = GUTTER + (at - begin) / (end - begin) * (width - GUTTER - RIGHT);
            out.raw("axis", `M${x.toFixed(1)} ${y}v5`);
            element(svg, "text", {x, y: y + 18, "text-anchor": x > width - 30 ? "end" : "middle", class: "small"}, timeText(at));
        }
    }

    function prepare(svg, height) {
        svg.replaceChildren();
        svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
        svg.setAttribute("height", height);
    }

    function draw() {
        width = Math.max(480, chart.clientWidth || 1200);
        prepare(chart, lanes.length * LANE + AXIS);
        const out = collector(view.begin, view.end);
        lanes.forEach((lane, index) => {
            const y = index * LANE + 4, body = y + SLICE + 2;
            element(chart, "text", {x: GUTTER - 8, y: body + BODY / 2 + 4, "text-anchor": "end", class: "lane"}, `core ${lane.core}`);
            out.rect("back", view.begin, view.end, body, BODY);
            drawSlices(out, chart, lane, y);
            drawTimes(out, lane, body);
            drawMarks(out, lane, body + BODY + TICKS + 6);
            for (const [begin, end] of lane.gaps) out.rect("gap", begin, end, y, SLICE + BODY + TICKS);
        });
        drawAxis(out, chart, lanes.length * LANE);
        out.write(chart);
        for (const text of [...chart.querySelectorAll("text")]) chart.append(text);     // above the rectangles
        chart.insertBefore(element(chart, "title", {}, "what had each core, over time"), chart.firstChild);
        range.textContent = `${timeText(us(view.begin))} to ${timeText(us(view.end))}: ${duration(Math.round(view.end - view.begin))}`;
        drawOverview();
    }

    // The whole recording: a column a few pixels wide shows who had how much of that time.
    const columns = new Map();
    function shares(lane, count) {
        const key = `${lane.core}/${count}`;
        if (columns.has(key)) return columns.get(key);
        const table = Array.from({length: count}, () => new Map()), wide = data.length / count;
        for (let i = 0; i < lane.count; i++) {
            if (lane.kind(i) === IDLE) continue;
            const number = personality(lane.kind(i), lane.who(i)) % COLOURS;
            for (let c = Math.floor(lane.start[i] / wide); c < count && c * wide < lane.end[i]; c++) {
                const part = Math.min(lane.end[i], (c + 1) * wide) - Math.max(lane.start[i], c * wide);
                table[c].set(number, (table[c].get(number) ?? 0) + part / wide);
            }
        }
        columns.set(key, table);
        return table;
    }

    function drawOverview() {
        const height = lanes.length * OVERVIEW, count = Math.floor((width - GUTTER - RIGHT) / 3);
        prepare(overview, height);
        const out = collector(whole.begin, whole.end);
        lanes.forEach((lane, index) => {
            const y = index * OVERVIEW, high = OVERVIEW - 4;
            element(overview, "text", {x: GUTTER - 8, y: y + high / 2 + 4, "text-anchor": "end", class: "small"}, `core ${lane.core}`);
            out.rect("back", whole.begin, whole.end, y, high);
            shares(lane, count).forEach((column, c) => {
                let top = y + high;
                const left = GUTTER + c * (width - GUTTER - RIGHT) / count;
                for (const [number, part] of [...column].sort((a, b) => a[0] - b[0])) {
                    top -= part * high;
                    out.raw(`p${number}`, `M${left.toFixed(1)} ${top.toFixed(1)}h3v${(part * high).toFixed(1)}h-3z`);
                }
            });
            for (const [begin, end] of lane.gaps) out.rect("gap", begin, end, y, high);
        });
        out.write(overview);
        const left = out.x(view.begin), right = out.x(view.end);
        element(overview, "rect", {x: left, y: 0, width: Math.max(2, right - left), height: height - 2, class: "window"});
    }

    // ---- what is under the pointer ----

    function ending(lane, i) {
        const cause = lane.cause(i);
        if (lane.kind(i) === GUEST) return `${data.reasons[cause] ?? `exit reason ${cause}`}: ${data.outcomes[lane.outcome(i)] ?? "?"}`;
        return lane.kind(i) === CALL ? `system call ${data.calls[cause] ?? cause}` : data.vectors[cause] ?? `vector ${cause}`;
    }

    function describe(lane, when) {
        const lines = [`core ${lane.core} at ${timeText(us(when))}`];
        const slice = lane.slices.find(([begin, end]) => begin <= when && when < end);
        if (slice) {
            const then = slice[3] < 0 ? "" : `; then: ${data.left[slice[3]]}`;
            lines.push(`${slice[2] === data.nobody ? "idle" : `slice of ${agentName(slice[2])}`}: ${duration(slice[1] - slice[0])}${then}`);
        }
        const i = first(lane.count, (n) => lane.end[n] > when);
        if (lane.gaps.some(([begin, end]) => begin <= when && when < end)) {
            lines.push("events were lost here");
        } else if (i < lane.count && lane.start[i] <= when) {
            const kind = lane.kind(i), who = lane.who(i);
            const what = kind === GUEST ? `guest ${vcpuName(who)}` : kind === IDLE ? "idle" : `ring 3 of ${agentName(who)}`;
            lines.push(`${what}: ${duration(lane.end[i] - lane.start[i])}`, `ended by ${ending(lane, i)}`);
        } else if (i > 0 && i < lane.count) {
            lines.push(`multiplexer: ${duration(lane.start[i] - lane.end[i - 1])}`, `after ${ending(lane, i - 1)}`);
        }
        const near = 3 * (view.end - view.begin) / width;
        const from = first(lane.marks.length, (n) => lane.marks[n][0] >= when - near);
        for (let n = from; n < lane.marks.length && lane.marks[n][0] <= when + near && lines.length < 9; n++)
            lines.push(`${timeText(us(lane.marks[n][0]))}: ${lane.marks[n][1]}`);
        return lines;
    }

    function pointed(event) {
        const box = chart.getBoundingClientRect(), scale = width / box.width;
        const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
        const part = Math.min(1, Math.max(0, (x - GUTTER) / (width - GUTTER - RIGHT)));
        return {x, part, when: view.begin + part * (view.end - view.begin), lane: lanes[Math.floor(y / LANE)]};
    }

    function showTip(event) {
        const {when, lane, x} = pointed(event);
        tip.hidden = !lane || x < GUTTER;
        if (tip.hidden) return;
        tip.textContent = describe(lane, when).join("\n");
        const left = Math.min(event.pageX + 14, document.documentElement.clientWidth - tip.offsetWidth - 8);
        tip.style.left = `${Math.max(4, left)}px`;
        tip.style.top = `${event.pageY + 16}px`;
    }

    // ---- moving ----

    let planned = false;
    function look(begin, end) {
        const length = Math.min(whole.end, Math.max(50, end - begin));
        view.begin = Math.min(Math.max(0, begin), whole.end - length);
        view.end = view.begin + length;
        if (!planned) requestAnimationFrame(() => { planned = false; draw(); });
        planned = true;
    }

    function zoom(factor, part = 0.5) {
        const at = view.begin + part * (view.end - view.begin), length = (view.end - view.begin) * factor;
        look(at - part * length, at + (1 - part) * length);
    }

    const shift = (part) => look(view.begin + part * (view.end - view.begin), view.end + part * (view.end - view.begin));
    const actions = {
        "in": () => zoom(0.5), "out": () => zoom(2), "all": () => look(whole.begin, whole.end),
        "left": () => shift(-0.5), "right": () => shift(0.5),
    };
    const keys = {"+": "in", "=": "in", "-": "out", "0": "all", "ArrowLeft": "left", "ArrowRight": "right"};

    document.querySelectorAll("button[data-do]").forEach((button) => button.addEventListener("click", actions[button.dataset.do]));
    document.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
        event.preventDefault();
        actions[keys[event.key]]();
    });
    chart.addEventListener("wheel", (event) => {
        event.preventDefault();
        if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) shift((event.deltaX || event.deltaY) / 1000);
        else zoom(1.0015 ** event.deltaY, pointed(event).part);
    }, {passive: false});
    let grabbed = null;
    chart.addEventListener("pointerdown", (event) => {
        grabbed = {x: event.clientX, begin: view.begin, end: view.end};
        chart.setPointerCapture(event.pointerId);
    });
    chart.addEventListener("pointermove", (event) => {
        if (!grabbed) return showTip(event);
        tip.hidden = true;
        const moved = (grabbed.x - event.clientX) / chart.getBoundingClientRect().width * width;
        const ticks = moved / (width - GUTTER - RIGHT) * (grabbed.end - grabbed.begin);
        look(grabbed.begin + ticks, grabbed.end + ticks);
    });
    chart.addEventListener("pointerup", () => { grabbed = null; });
    chart.addEventListener("pointerleave", () => { tip.hidden = true; });
    function choose(event) {
        if (!(event.buttons & 1)) return;
        const box = overview.getBoundingClientRect(), x = (event.clientX - box.left) * width / box.width;
        const when = (x - GUTTER) / (width - GUTTER - RIGHT) * whole.end, half = (view.end - view.begin) / 2;
        look(when - half, when + half);
    }
    overview.addEventListener("pointerdown", choose);
    overview.addEventListener("pointermove", choose);
    // A link to a part: #332000-334000, in microseconds of the recording.
    function follow() {
        const part = /^#([\d.]+)-([\d.]+)$/.exec(location.hash);
        if (part) look(part[1] * (data.hz ? data.hz / 1e6 : 1), part[2] * (data.hz ? data.hz / 1e6 : 1));
    }
    addEventListener("hashchange", follow);
    addEventListener("resize", draw);
    addEventListener("beforeprint", draw);

    follow();
    draw();
    document.body.dataset.state = "drawn";
})();
