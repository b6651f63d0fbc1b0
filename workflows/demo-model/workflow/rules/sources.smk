# From the public packages to peaks, background windows and one-hot arrays.


rule fetch:
    output:
        "resources/gimmemotifs.tar.gz",
    log:
        "logs/fetch.log",
    retries: 2
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        version=config["gimmemotifs"]["version"],
        sha256=config["gimmemotifs"]["sha256"],
    script:
        "../scripts/fetch.py"


rule extract:
    input:
        "resources/gimmemotifs.tar.gz",
    output:
        beds=expand("resources/{factor}.bed", factor=FACTORS),
        fastas=expand("resources/{factor}.fa", factor=FACTORS),
        motifs="resources/motifs.pfm",
    log:
        "logs/extract.log",
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        names=list(config["factors"].values()),
        motifs=config["gimmemotifs"]["motif_file"],
    script:
        "../scripts/extract.py"


rule index_genome:
    input:
        config["genome"]["path"],
    output:
        fai="resources/genome.fai",
        gzi="resources/genome.gzi",
    log:
        "logs/index_genome.log",
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    script:
        "../scripts/index_genome.py"


rule collect_peaks:
    input:
        beds=rules.extract.output.beds,
        fastas=rules.extract.output.fastas,
        genome=config["genome"]["path"],
        fai="resources/genome.fai",
        gzi="resources/genome.gzi",
    output:
        "results/peaks.tsv",
    log:
        "logs/collect_peaks.log",
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        factors=FACTORS,
        test_chrom=config["split"]["test_chrom"],
        validation_chroms=config["split"]["validation_chroms"],
    script:
        "../scripts/collect_peaks.py"


rule draw_background:
    input:
        peaks="results/peaks.tsv",
        genome=config["genome"]["path"],
        fai="resources/genome.fai",
        gzi="resources/genome.gzi",
    output:
        "results/background.tsv",
    log:
        "logs/draw_background.log",
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        chrom=config["genome"]["chrom"],
        split=config["split"],
        background=config["background"],
        seed=config["seed"],
    script:
        "../scripts/draw_background.py"


rule make_training_set:
    input:
        peaks="results/peaks.tsv",
        background="results/background.tsv",
    output:
        "results/training_set.npz",
    log:
        "logs/make_training_set.log",
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        factors=FACTORS,
        shuffles={
            "train": config["background"]["train_shuffles"],
            "validation": config["background"]["validation_shuffles"],
        },
        seed=config["seed"],
    script:
        "../scripts/make_training_set.py"
