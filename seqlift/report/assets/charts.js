// The pages of quality and of the run.

const OWN = "#1f5a96", OTHER = "#e0912f";
const WIDTH = 540, PLOT = {left: 46, right: 528, top: 8, bottom: 168};

/** Histograms with the same bins, laid over each other. */
function histogramChart({title, label, range, samples, ticks, share}) {
    const n = samples[0].values.length;
    const highest = Math.max(...samples.flatMap(sample => sample.values)) || 1;
    const x = value => PLOT.left + (value - range[0]) / (range[1] - range[0] || 1) * (PLOT.right - PLOT.left);
    const y = value => PLOT.bottom - value / highest * (PLOT.bottom - PLOT.top);
    const svg = makeSvg("svg", {viewBox: `0 0 ${WIDTH} 206`, role: "img", "aria-label": title});
    for (const {values, colour} of samples) {
        const width = (PLOT.right - PLOT.left) / n;
        const path = values.map((value, i) => value ?
            `M${(PLOT.left + i * width).toFixed(2)} ${PLOT.bottom}V${y(value).toFixed(2)}h${(width - .8).toFixed(2)}V${PLOT.bottom}Z` : "").join("");
        svg.append(makeSvg("path", {d: path, fill: colour, "fill-opacity": samples.length > 1 ? .62 : .85}));
    }
    svg.append(makeSvg("path", {d: `M${PLOT.left} ${PLOT.bottom}H${PLOT.right}`, stroke: "#57606a"}));
    for (const [value, text] of ticks) {
        svg.append(makeSvg("path", {d: `M${x(value)} ${PLOT.bottom}v4`, stroke: "#57606a"}));
        svg.append(makeSvg("text", {x: x(value), y: PLOT.bottom + 17, "text-anchor": "middle"}, text));
    }
    for (const value of [highest / 2, highest]) {
        const text = share ? `${(100 * value).toPrecision(2)} %` : String(Math.round(value));
        svg.append(makeSvg("text", {x: PLOT.left - 5, y: y(value) + 4, "text-anchor": "end"}, text));
        svg.append(makeSvg("path", {d: `M${PLOT.left} ${y(value)}H${PLOT.right}`, stroke: "#d5dae0", "stroke-width": .6}));
    }
    svg.append(makeSvg("text", {x: (PLOT.left + PLOT.right) / 2, y: 203, "text-anchor": "middle"}, label));
    const keys = samples.filter(sample => sample.name).map(({name, colour}) =>
        make("span", {}, make("i", {className: "key", style: `background:${colour}`}), name));
    return make("figure", {}, make("figcaption", {}, title), ...(keys.length ? [make("div", {className: "keys"}, ...keys)] : []), svg);
}

/** About six round numbers within a range. */
function roundTicks([low, high]) {
    const rough = (high - low) / 6 || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map(times => times * power).find(size => size >= rough);
    const ticks = [];
    for (let i = Math.ceil(low / step); i * step <= high + 1e-9 * step; i++) {
        const value = Number((i * step).toPrecision(12));
        ticks.push([value, String(value).replace("-", "−")]);
    }
    return ticks;
}

function factTable(lines, head) {
    const table = make("table", {className: "facts"});
    if (head) table.append(make("thead", {}, make("tr", {}, ...head.map(text => make("th", {scope: "col"}, text)))));
    table.append(make("tbody", {}, ...lines.map(line => make("tr", {}, ...line.map(
        (text, i) => i ? make("td", {}, text) : make("th", {scope: "row"}, text))))));
    return table;
}

const count = (n, word) => `${n.toLocaleString("en-US")} ${word}${n === 1 ? "" : "s"}`;

function fileQuality(file) {
    const {n_regions, references, completeness, predictions, above} = file.quality;
    const [fewest, most] = references;
    const facts = factTable([
        ["Regions", n_regions.toLocaleString("en-US")],
        ["References a region", fewest === most ? String(most) : `${fewest} to ${most}`],
        ["Completeness error, mean", `${format(completeness.mean)} of delta`],
        ["Completeness error, median and largest region", `${format(completeness.median)}, ${format(completeness.largest)} of delta`],
        ["Median prediction", `${format(predictions.medians.regions)}; at references ${format(predictions.medians.references)}`],
        ["Predicted higher than all of their references", `${Math.round(100 * above)} % of the regions`],
    ]);
    const powers = [];
    for (let power = completeness.range[0]; power <= completeness.range[1]; power += 2) {
        powers.push([power, power === 0 ? "1" : `1e${String(power).replace("-", "−")}`]);
    }
    return [
        facts,
        make("div", {className: "charts"},
            histogramChart({
                title: "Predictions of regions and of their references", label: `target output (${file.label})`,
                range: predictions.range, ticks: roundTicks(predictions.range), share: true,
                samples: [
                    {name: "references", values: predictions.references, colour: OTHER},
                    {name: "regions", values: predictions.regions, colour: OWN},
                ],
            }),
            histogramChart({
                title: "Completeness error of regions", label: "|sum of the scores − delta| / |delta|; the leftmost bar has all below",
                range: completeness.range, ticks: powers, samples: [{values: completeness.counts, colour: OWN}],
            })),
    ];
}

const FATES = {
    scored: "scored", padded: "scored, clipped: N past the end of the contig", dropped: "dropped",
    unshufflable: "scores are 0: the sequence has no other shuffle",
};

function fatesOf(fates) {
    const parts = [make("h3", {}, fates.table), factTable(fates.counts.map(
        ([status, n]) => [FATES[status] || status, count(n, "row")]))];
    if (fates.reasons.length) {
        parts.push(make("h3", {}, "Reasons"), factTable(
            fates.reasons.map(([status, reason, n]) => [status, reason, count(n, "row")]), ["status", "reason", ""]));
        const total = fates.reasons.reduce((sum, [, , n]) => sum + n, 0);
        const title = fates.listed.length < total ?
            `The first ${fates.listed.length} of these ${total.toLocaleString("en-US")} rows` : "These rows";
        parts.push(make("h3", {}, title), factTable(fates.listed, ["row", "region", "name", "status", "reason"]));
    } else {
        parts.push(make("p", {className: "text"}, "Every row was scored whole."));
    }
    return parts;
}

function drawQuality(section) {
    section.append(make("p", {className: "text"},
        "Scores are complete where they sum to delta, the prediction less that at the reference. ",
        "Rounding explains errors below about 1e−4 of delta; methods other than deeplift and integrated gradients ",
        "do not promise to be complete. All regions of the files are counted here, those that the table does not show too."));
    for (const file of report.files) {
        section.append(make("h2", {}, report.files.length > 1 ? file.label : "Scores"), ...fileQuality(file));
    }
    section.append(make("h2", {}, "Rows of the input"));
    if (!report.fates.length) {
        section.append(make("p", {className: "text"},
            "What became of the rows of the input is not known: no table of them, PREFIX.regions.tsv, was beside the scores file."));
    }
    for (const fates of report.fates) section.append(...fatesOf(fates));
}

/** A line for each parameter; a cell for each file only where they differ. */
function parameterTable() {
    const names = [...new Set(report.files.flatMap(file => Object.keys(file.attributes)))];
    const head = ["", ...report.files.map(file => report.files.length > 1 ? file.label : file.path)];
    const table = factTable(names.map(name => {
        const values = report.files.map(file => file.attributes[name] || "");
        return [name, ...(new Set(values).size > 1 ? values : values.slice(0, 1))];
    }), head);
    if (report.files.length > 1) {
        for (const row of table.tBodies[0].rows) {
            if (row.cells.length > 2) row.className = "differs";
            else row.cells[1].colSpan = report.files.length;
        }
    }
    return table;
}

function drawRun(section) {
    const shown = report.regions.chrom.length;
    section.append(
        make("h2", {}, "Parameters of the run"), parameterTable(),
        make("h2", {}, "About this page"),
        factTable([
            ["Made by", `seqlift ${report.version}; the browser is igv.js ${igv.version()} (MIT licence)`],
            ["Scores files", report.files.map(file => file.path).join(", ")],
            ["Regions", shown < report.n_regions ?
                `the ${shown.toLocaleString("en-US")} with the strongest stretches, of ${report.n_regions.toLocaleString("en-US")}` :
                `all ${report.n_regions.toLocaleString("en-US")}`],
            ["Sequence", report.genome ? `of ${report.genome}, about the windows` : "of the windows; contigs end with their last window, since no genome was given"],
            ["Values", "forward strand; to 1/32,767 of the largest of a stretch; where windows overlap, those of the window whose centre is nearest"],
            ["Zoomed out", "a bar is the largest value of its bases without the sign"],
        ]));
}
