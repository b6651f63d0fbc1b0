// Puts the page together.

const byId = id => document.getElementById(id);

function openTab(tab) {
    for (const other of document.querySelectorAll("[role=tab]")) {
        const isOpen = other === tab;
        other.setAttribute("aria-selected", String(isOpen));
        other.tabIndex = isOpen ? 0 : -1;
        byId(other.getAttribute("aria-controls")).hidden = !isOpen;
    }
}

function setUpTabs(onRegions) {
    const tabs = [...document.querySelectorAll("[role=tab]")];
    tabs.forEach((tab, i) => {
        tab.addEventListener("click", () => {
            openTab(tab);
            if (i === 0) onRegions();
        });
        tab.addEventListener("keydown", event => {
            const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
            if (!step) return;
            const next = tabs[(i + step + tabs.length) % tabs.length];
            next.focus();
            next.click();
        });
    });
}

function summary() {
    const shown = report.regions.chrom.length, n = report.n_regions.toLocaleString("en-US");
    const regions = shown < report.n_regions ? `${shown.toLocaleString("en-US")} strongest of ${n} regions` : count(shown, "region");
    const labels = report.files.map(file => file.label).join("; ");
    const files = labels.length < 70 ? labels : count(report.files.length, "file");
    return `${regions} of ${report.length.toLocaleString("en-US")} bp · ${files}`;
}

async function start() {
    byId("summary").textContent = summary();
    let view, queue = Promise.resolve();
    const table = new RegionTable(i => go(() => view.showCore(table.file, i)));

    // One move after the other: igv.js draws while it waits.
    function go(move) {
        byId("here").textContent = regionName(table.chosen);
        if (view) queue = queue.then(move).catch(error => console.error(error));
        return queue;
    }

    function step(by) {
        const row = table.beside(by);
        if (!row) return;
        row.click();
        row.scrollIntoView({block: "nearest"});
    }

    function search() {
        const n = table.search(byId("search").value);
        byId("count").textContent = n === table.rows.length ? count(n, "region") : `${n} of ${count(table.rows.length, "region")}`;
        byId("none").hidden = n > 0;
    }

    byId("search").addEventListener("input", search);
    byId("previous").addEventListener("click", () => step(-1));
    byId("next").addEventListener("click", () => step(1));
    byId("core").addEventListener("click", () => go(() => view.showCore(table.file, table.chosen)));
    byId("window").addEventListener("click", () => go(() => view.showWindow(table.chosen)));
    report.files.forEach((file, i) => byId("file").append(make("option", {value: String(i)}, file.label)));
    byId("which").hidden = report.files.length < 2;
    byId("file").addEventListener("change", () => table.show(report.files[byId("file").value]));
    setUpTabs(() => igv.visibilityChange());
    drawQuality(byId("quality"));
    drawRun(byId("run"));
    search();

    const first = Number(table.visible()[0].dataset.region);
    table.mark(first);
    byId("here").textContent = regionName(first);
    const fit = () => {
        const browser = byId("browser");
        browser.classList.toggle("tall", browser.scrollHeight > .58 * innerHeight);
    };
    const [from, to] = coreOf(table.file, first);
    try {
        view = await GenomeView.open(byId("browser"), [report.regions.chrom[first], from - MARGIN, to + MARGIN]);
        fit();
        window.addEventListener("resize", fit);
        window.view = view;  // for the console of whoever wants more of igv.js
    } catch (error) {
        console.error(error);
        byId("browser").replaceChildren(make("p", {className: "note"}, `The genome browser cannot be drawn here: ${error.message}`));
    }
    document.body.dataset.ready = "true";
}

start();
