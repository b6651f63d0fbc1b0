// The table of regions: sorting, searching, and which region is chosen.

const COLUMNS = [
    {title: "Region", key: (file, i) => regionName(i)},
    {title: "Prediction", number: true, key: (file, i) => file.numbers.prediction[i],
        hint: "Target output at the sequence"},
    {title: "References", number: true, key: (file, i) => file.numbers.reference[i],
        hint: "Target output at its references, mean"},
    {title: "Delta", number: true, key: (file, i) => file.numbers.delta[i],
        hint: "Prediction less that at the references, mean"},
    {title: "Completeness error", number: true, key: (file, i) => file.numbers.completeness[i],
        hint: "|sum of the scores − delta| as a fraction of |delta|"},
    {title: "Strongest stretch", key: (file, i) => file.numbers.strength[i], down: true,
        hint: "Sum of |score| over the strongest bases of the window"},
    {title: "Logo, forward strand"},
];

class RegionTable {
    /** `choose(i)` is called with the region that was clicked. */
    constructor(choose) {
        this.choose = choose;
        this.file = report.files[0];
        this.body = document.querySelector("#table tbody");
        this.logos = new LogoCells(document.getElementById("scroll"));
        this.rows = report.regions.chrom.map((_, i) => this.makeRow(i));
        this.heads = COLUMNS.map(column => this.makeHead(column));
        document.querySelector("#table thead tr").append(...this.heads);
        this.body.addEventListener("keydown", event => this.onKey(event));
        this.fill();
        this.sort(5, -1);
    }

    makeHead(column) {
        const head = make("th", {scope: "col", className: column.number ? "number" : ""});
        if (!column.key) {
            head.append(column.title);
            return head;
        }
        const button = make("button", {type: "button", title: column.hint || ""}, column.title);
        button.addEventListener("click", () => {
            const at = COLUMNS.indexOf(column), first = column.number || column.down ? -1 : 1;
            this.sort(at, this.sorted[0] === at ? -this.sorted[1] : first);
        });
        head.append(button);
        return head;
    }

    makeRow(i) {
        const button = make("button", {type: "button", className: "go", tabIndex: -1}, regionName(i));
        const cells = COLUMNS.map(column => make("td", {className: column.number ? "number" : ""}));
        cells[0].append(button);
        if (regionName(i) !== regionLocus(i)) cells[0].append(make("span", {className: "place"}, regionLocus(i)));
        cells.at(-1).className = "logo";
        const row = make("tr", {}, ...cells);
        row.dataset.region = i;
        row.addEventListener("click", () => {
            this.mark(i);
            this.choose(i);
        });
        return row;
    }

    /** Writes the numbers of the file that is chosen. */
    fill() {
        this.rows.forEach((row, i) => {
            COLUMNS.forEach((column, at) => {
                if (column.number) row.cells[at].textContent = format(column.key(this.file, i));
            });
            const [start, end] = coreOf(this.file, i);
            const strength = this.file.numbers.strength[i];  // 0: there is no stretch to speak of
            row.cells[5].replaceChildren(format(strength), make("span", {className: "place"},
                strength ? locus(report.regions.chrom[i], start, end) : ""));
            this.logos.set(row.cells[6], this.file, i);
        });
    }

    show(file) {
        this.file = file;
        this.fill();
        this.sort(...this.sorted);
    }

    sort(at, direction) {
        this.sorted = [at, direction];
        const key = i => COLUMNS[at].key(this.file, i);
        const order = this.rows.map((_, i) => i).sort((i, j) => {
            const a = key(i), b = key(j);
            if (a === null || b === null) return (a === null) - (b === null);  // at the end either way
            const by = typeof a === "number" ? a - b : a.localeCompare(b, "en", {numeric: true});
            return direction * by || i - j;
        });
        this.body.append(...order.map(i => this.rows[i]));
        this.heads.forEach((head, i) => {
            if (i === at) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
            else head.removeAttribute("aria-sort");
        });
        this.makeReachable();
    }

    search(text) {
        const place = parseLocus(text), words = text.toLowerCase().split(/\s+/).filter(Boolean);
        this.rows.forEach((row, i) => {
            const own = `${regionName(i)} ${regionLocus(i)} ${regionLocus(i).replaceAll(",", "")}`.toLowerCase();
            row.hidden = !(words.every(word => own.includes(word)) || (place && overlaps(i, place)));
        });
        this.makeReachable();
        return this.visible().length;
    }

    visible() {
        return [...this.body.rows].filter(row => !row.hidden);
    }

    mark(i) {
        for (const row of this.rows) row.removeAttribute("aria-current");
        this.chosen = i;
        this.rows[i].setAttribute("aria-current", "true");
        this.makeReachable();
    }

    /** One name is reached with Tab: the chosen one, or the first; arrow keys lead to the others. */
    makeReachable() {
        const seen = this.visible();
        const chosen = seen.find(row => row.hasAttribute("aria-current")) || seen[0];
        for (const row of this.rows) row.querySelector(".go").tabIndex = row === chosen ? 0 : -1;
    }

    /** The row so many below the chosen one, or undefined past the ends. */
    beside(step) {
        const seen = this.visible();
        const at = seen.findIndex(row => row.hasAttribute("aria-current"));
        return at < 0 ? seen[0] : seen[at + step];
    }

    onKey(event) {
        const rows = this.visible(), at = rows.indexOf(event.target.closest("tr"));
        const wanted = {
            ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 8, PageUp: at - 8, Home: 0, End: rows.length - 1,
        }[event.key];
        if (wanted === undefined || at < 0) return;
        event.preventDefault();
        rows[Math.min(Math.max(wanted, 0), rows.length - 1)].querySelector(".go").focus();
    }
}

/** chrom:start-end, 1-based and closed; the last colon splits. */
function parseLocus(text) {
    const found = /^\s*(\S+):([\d,]+)(?:-([\d,]+))?\s*$/.exec(text);
    if (!found) return undefined;
    const [start, end] = [found[2], found[3] || found[2]].map(number => Number(number.replaceAll(",", "")));
    return {chrom: found[1], start: start - 1, end};
}

function overlaps(i, place) {
    const {chrom, start, end} = report.regions;
    return chrom[i] === place.chrom && start[i] < place.end && place.start < end[i];
}
