// Logos of the table: letters as high as their contribution scores, drawn when they come into view.

// In a square of 1 by 1, from the top left.
const GLYPHS = {
    A: "M0 1L.36 0H.64L1 1H.79L.71 .77H.29L.21 1ZM.35 .6H.65L.5 .16Z",
    C: "M1 .66C.97 .88 .78 1 .52 1 .2 1 0 .8 0 .5S.2 0 .52 0C.78 0 .96 .12 .99 .33H.77C.74 .23 .66 .17 .52 .17 .32 .17 .21 .29 .21 .5S.32 .83 .52 .83C.67 .83 .75 .77 .78 .66Z",
    G: "M1 .46V1H.86L.82 .88C.75 .96 .64 1 .51 1 .2 1 0 .8 0 .5S.2 0 .52 0C.78 0 .95 .11 .99 .31H.78C.74 .22 .66 .17 .53 .17 .33 .17 .21 .29 .21 .5S.33 .83 .53 .83C.68 .83 .77 .75 .79 .62H.53V.46Z",
    T: "M0 0H1V.18H.61V1H.39V.18H0Z",
};
const LETTER = 7, HEIGHT = 38;

function drawLogo(file, i) {
    const {width, letters, scales, steps} = file.numbers.logo;
    const values = Array.from(steps.subarray(i * width, (i + 1) * width),
        step => step === NO_VALUE ? 0 : step * scales[i]);
    const top = Math.max(0, ...values), bottom = Math.min(0, ...values);
    const scale = (HEIGHT - 2) / (top - bottom || 1);
    const zero = 1 + top * scale;
    const svg = makeSvg("svg", {
        class: "logo", viewBox: `0 0 ${width * LETTER} ${HEIGHT}`, role: "img",
        preserveAspectRatio: "xMinYMid meet", "aria-label": `Logo of ${letters.slice(i * width, (i + 1) * width)}`,
    });
    svg.append(makeSvg("path", {d: `M0 ${zero}H${width * LETTER}`, stroke: "#c3c9d0", "stroke-width": .6}));
    values.forEach((value, at) => {
        const glyph = GLYPHS[letters[i * width + at]];
        const height = value * scale;
        if (!glyph || Math.abs(height) < .25) return;
        // Below the line letters hang upside down: a negative height turns them.
        svg.append(makeSvg("path", {
            d: glyph, fill: COLOURS[letters[i * width + at]], "fill-rule": "evenodd",
            transform: `translate(${at * LETTER + .3} ${(zero - height).toFixed(2)}) scale(${LETTER - .6} ${height.toFixed(2)})`,
        }));
    });
    return svg;
}

/** Draws the logos of cells as they come near the part of the table that is seen. */
class LogoCells {
    constructor(scrolled) {
        this.cells = new Map();
        this.observer = new IntersectionObserver(entries => {
            for (const entry of entries) if (entry.isIntersecting) this.draw(entry.target);
        }, {root: scrolled, rootMargin: "200px"});
        window.addEventListener("beforeprint", () => [...this.cells.keys()].forEach(cell => this.draw(cell)));
    }

    set(cell, file, i) {
        cell.replaceChildren();
        this.cells.set(cell, [file, i]);
        this.observer.observe(cell);
    }

    draw(cell) {
        if (!this.cells.has(cell)) return;
        cell.replaceChildren(drawLogo(...this.cells.get(cell)));
        this.cells.delete(cell);
        this.observer.unobserve(cell);
    }
}
