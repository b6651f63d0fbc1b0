// What igv.js asks for: contigs, letters, and values of a stretch. All of it is on this page.

class PageSequence {
    constructor() {
        this.chromosomes = new Map(report.contigs.map(
            ([name, bpLength], order) => [name, {name, order, bpLength, getAltName: () => name}]));
        this.chromosomeNames = [...this.chromosomes.keys()];
    }

    getSequenceRecord(chrom) {
        return this.chromosomes.get(chrom);
    }

    getFirstChromosomeName() {
        return this.chromosomeNames[0];
    }

    async getSequence(chrom, start, end) {
        return sequenceOf(chrom, Math.floor(start), Math.floor(end));
    }
}

/** Values of one track, as igv.js takes them from a source of features. */
class PageTrack {
    constructor(track) {
        this.track = track;
    }

    async getFeatures({chr, start, end, bpPerPixel}) {
        // Zoomed out, the value of a bin is its largest without the sign: a mean would hide motifs.
        const bin = Math.max(1, Math.floor(bpPerPixel || 1));
        const features = [];
        for (const stretch of overlapping(chr, start, end)) {
            const from = Math.max(stretch.start, Math.floor(start)), to = Math.min(stretch.end, Math.ceil(end));
            for (let at = from - from % bin; at < to; at += bin) {
                const feature = this.largest(stretch, Math.max(at, stretch.start), Math.min(at + bin, stretch.end));
                if (feature) features.push(feature);
            }
        }
        return features;
    }

    largest(stretch, start, end) {
        let found = NO_VALUE;
        for (let at = start; at < end; at++) {
            const step = this.track.steps[stretch.offset + at - stretch.start];
            if (step !== NO_VALUE && (found === NO_VALUE || Math.abs(step) > Math.abs(found))) found = step;
        }
        if (found === NO_VALUE) return undefined;
        const value = Number((found * this.track.scales[stretch.index]).toPrecision(4));
        return {chr: stretch.chrom, start, end, value};
    }

    supportsWholeGenome() {
        return false;
    }
}
