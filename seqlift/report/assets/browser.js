// The genome browser: igv.js, given what this page holds.

const MARGIN = 25;  // bp beside the strongest stretch

class GenomeView {
    /** Opens igv.js in an element. */
    static async open(element, first) {
        const browser = await igv.createBrowser(element, {
            // igv.js has no form of reference for sequence here and there in long contigs: it gets one
            // base, and then the contigs of this page.
            reference: {
                id: report.genome || "windows", name: report.genome || "the scored windows", indexed: false,
                wholeGenomeView: false,
                fastaURL: `data:text/plain;base64,${btoa(">start\nN\n")}`,
            },
            locus: "start",
            loadDefaultGenomes: false,
            search: false,
            minimumBases: 20,
            nucleotideColors: {...COLOURS, " ": "rgba(0,0,0,0)"},
            showIdeogram: false,
            showChromosomeWidget: false,
            showMultiSelectButton: report.files.length > 1,
            showTrackDragHandles: false,
            showROITableButton: false,
            showTrackLabelButton: false,
            showCenterGuideButton: false,
            showCursorTrackingGuideButton: false,
            tracks: [],
        });
        const sequence = new PageSequence();
        Object.assign(browser.genome, {
            sequence, chromosomes: sequence.chromosomes, chromosomeNames: sequence.chromosomeNames,
        });
        browser.genome.chromAlias.update(browser.genome.id, sequence.chromosomeNames);
        const view = new GenomeView(browser);
        browser.navbar.multiTrackSelectButton.setVisibility(report.files.length > 1);
        await view.show(...first);
        await browser.loadTrackList(view.tracks());
        return view;
    }

    constructor(browser) {
        this.browser = browser;
    }

    tracks() {
        const several = report.files.length > 1;
        const own = report.files.flatMap(file => [
            {
                name: several ? file.label : "contribution score", graphType: "dynseq", height: several ? 84 : 128,
                source: file.tracks.contribution, color: "#1f5a96", altColor: "#1f5a96",
            },
            {
                name: several ? `${file.label}: standard error` : "standard error", graphType: "bar", height: several ? 34 : 44,
                source: file.tracks["standard-error"], color: "#9aa3ad",
            },
        ]);
        return [
            // Of a single reference there is no standard error.
            ...own.filter(({source}) => source.steps.some(step => step !== NO_VALUE)).map(({source, ...track}) => ({
                type: "wig", autoscale: true, windowFunction: "none", removable: false, ...track,
                featureSource: new PageTrack(source),
            })),
            {
                type: "annotation", name: "scored windows", displayMode: "EXPANDED", margin: 4,
                height: this.haveOverlaps() ? 66 : 42, color: "#5b7796",
                removable: false, features: this.windows(),
            },
        ];
    }

    windows() {
        const {chrom, start, end, strand} = report.regions;
        return chrom.map((chr, i) => ({
            chr, start: Math.max(0, start[i]), end: end[i], name: regionName(i),
            strand: strand[i] === "." ? undefined : strand[i],
        }));
    }

    haveOverlaps() {
        const windows = this.windows().sort((a, b) => a.chr < b.chr ? -1 : a.chr > b.chr ? 1 : a.start - b.start);
        return windows.some((window, i) => i && windows[i - 1].chr === window.chr && windows[i - 1].end > window.start);
    }

    async show(chrom, start, end) {
        // By numbers: text such as HLA-A*01:01:1-100 would be read wrongly.
        const length = report.contigs.find(([name]) => name === chrom)[1];
        const from = Math.max(0, start);
        await this.browser.updateLoci([{chr: chrom, start: from, end: Math.max(from + 1, Math.min(end, length))}]);
    }

    async showCore(file, i) {
        const [start, end] = coreOf(file, i);
        await this.show(report.regions.chrom[i], start - MARGIN, end + MARGIN);
    }

    async showWindow(i) {
        const {chrom, start, end} = report.regions;
        const margin = Math.round((end[i] - start[i]) / 40);
        await this.show(chrom[i], start[i] - margin, end[i] + margin);
    }
}
