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

// Letters narrower than this say nothing and are pale: bars then, pixels.
const NARROWEST_LETTER = 3;

/** A value that igv.js draws as a bar, because no sequence can be put into it. */
class Bar {
    constructor(chr, start, end, value) {
        Object.assign(this, {chr, start, end, value});
    }

    get sequence() {
        return null;
    }

    set sequence(letters) {
        // igv.js adds the letters to all values of a track of letters
    }
}

/** Values of one track, as igv.js takes them from a source of features. */
class PageTrack {
    constructor(track) {
        this.track = track;
    }

    async getFeatures({chr, start, end, bpPerPixel = 1}) {
        // Zoomed out, the value of a bar is its largest without the sign: a mean would hide motifs.
        const bin = Math.ceil(bpPerPixel), isWide = bpPerPixel * NARROWEST_LETTER <= 1;
        const features = [];
        for (const stretch of overlapping(chr, start, end)) {
            const from = Math.max(stretch.start, Math.floor(start)), to = Math.min(stretch.end, Math.ceil(end));
            for (let at = from - from % bin; at < to; at += bin) {
                const value = this.largest(stretch, Math.max(at, stretch.start), Math.min(at + bin, stretch.end));
                if (value === undefined) continue;
                features.push(isWide ? {chr, start: at, end: at + 1, value} : new Bar(chr, at, at + bin, value));
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
        return found === NO_VALUE ? undefined : Number((found * this.track.scales[stretch.index]).toPrecision(4));
    }

    supportsWholeGenome() {
        return false;
    }
}
