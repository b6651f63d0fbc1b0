"use strict";
// What the page holds, made readable: coordinates are 0-based half-open, as in the scores file.

const report = JSON.parse(document.getElementById("data").textContent);

// The usual letters' colours of browsers and papers, as `seqlift logo` has them.
const COLOURS = {A: "#109648", C: "#255C99", G: "#F7A01D", T: "#D62839", N: "#9aa3ad"};
const NO_VALUE = -32768;

/** Whole numbers of two bytes, little-endian, in base64. */
function decodeSteps(text) {
    const bytes = atob(text);
    const steps = new Int16Array(bytes.length / 2);
    for (let i = 0; i < steps.length; i++) {
        steps[i] = bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8);
    }
    return steps;
}

for (const file of report.files) {
    for (const track of Object.values(file.tracks)) track.steps = decodeSteps(track.values);
    file.numbers.logo.steps = decodeSteps(file.numbers.logo.values);
}

/** The stretches of the genome that the page has, each with where its values begin. */
const stretches = [];
{
    let offset = 0;
    report.stretches.forEach(([contig, start, end], index) => {
        const chrom = report.contigs[contig][0];
        stretches.push({index, chrom, start, end, offset, sequence: report.sequences[index]});
        offset += end - start;
    });
}

const stretchesOf = new Map(report.contigs.map(([name]) => [name, []]));
for (const stretch of stretches) stretchesOf.get(stretch.chrom).push(stretch);

/** The stretches of a contig that overlap [start, end), in ascending order. */
function overlapping(chrom, start, end) {
    const own = stretchesOf.get(chrom) || [];
    let low = 0, high = own.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (own[middle].end <= start) low = middle + 1; else high = middle;
    }
    const found = [];
    for (; low < own.length && own[low].start < end; low++) found.push(own[low]);
    return found;
}

/** Letters of [start, end); a space where the page has no sequence. */
function sequenceOf(chrom, start, end) {
    let text = "", at = start;
    for (const stretch of overlapping(chrom, start, end)) {
        const from = Math.max(start, stretch.start), to = Math.min(end, stretch.end);
        text += " ".repeat(from - at) + stretch.sequence.slice(from - stretch.start, to - stretch.start);
        at = to;
    }
    return text + " ".repeat(end - at);
}

/** A place as people write it: 1-based and closed, from the first base of the contig on. */
function locus(chrom, start, end) {
    return `${chrom}:${(Math.max(0, start) + 1).toLocaleString("en-US")}-${end.toLocaleString("en-US")}`;
}

function regionName(i) {
    const name = report.regions.name[i];
    return name && name !== "." ? name : regionLocus(i);
}

function regionLocus(i) {
    const {chrom, start, end} = report.regions;
    return locus(chrom[i], start[i], end[i]);
}

/** Where the strongest stretch of a region lies. */
function coreOf(file, i) {
    const start = report.regions.start[i] + file.numbers.core_start[i];
    return [start, start + file.numbers.core_width];
}

/** A number as people read it; a dash where there is none. */
function format(number) {
    if (number === null || number === undefined) return "–";
    const size = Math.abs(number);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
        const [digits, power] = number.toExponential(1).split("e");
        return `${digits.replace("-", "−")}e${power.replace("+", "").replace("-", "−")}`;
    }
    return number.toPrecision(size !== 0 && size < 1 ? 3 : 4).replace("-", "−");
}

/** An element with properties and children; text is always text, never HTML. */
function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
        if (name in element) element[name] = value; else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
}

function makeSvg(tag, attributes = {}, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
}
